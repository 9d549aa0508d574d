//! What an answer cost, asked for afterwards.

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use fusion_core::Usage;
use fusion_providers::Result;

use super::HttpProvider;
use crate::money;

/// Where the next two questions lie between the first one and the end, in tenths of the time.
const PAUSES: [u32; 2] = [1, 3];

#[derive(Deserialize)]
struct Body {
    data: Generation,
}

#[derive(Deserialize)]
struct Generation {
    total_cost: Box<RawValue>,
    native_tokens_prompt: Option<u64>,
    native_tokens_completion: Option<u64>,
    tokens_prompt: Option<u64>,
    tokens_completion: Option<u64>,
}

impl HttpProvider {
    /// Asks OpenRouter; `None` when it still does not know the answer after the third question, or
    /// takes too long.
    pub(super) async fn ask_generation(&self, id: &str) -> Result<Option<Usage>> {
        let limit = self.connection.limits.generation;
        let mut url = self.connection.url(&["generation"]);
        url.query_pairs_mut().append_pair("id", id);
        let asked = async {
            for pause in PAUSES {
                if let Some(usage) = self.generation(url.clone()).await? {
                    return Ok(Some(usage));
                }
                sleep(limit * pause / 10).await;
            }
            self.generation(url).await
        };
        timeout(limit, asked).await.unwrap_or(Ok(None))
    }

    /// One question; `None` for an answer that is not known, or not yet.
    async fn generation(&self, url: Url) -> Result<Option<Usage>> {
        let response = self.connection.get(url).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(self.fault(response, None).await);
        }
        let body = self.connection.body(response).await?;
        let malformed = |problem: &str| self.connection.origin.malformed(problem, &body);
        let generation = serde_json::from_slice::<Body>(&body)
            .map_err(|error| malformed(&error.to_string()))?
            .data;
        let cost = money::cost(&generation.total_cost)
            .ok_or_else(|| malformed("its `total_cost` is no amount of money"))?;
        let tokens = |native: Option<u64>, counted| native.or(counted).unwrap_or_default();
        Ok(Some(Usage {
            turns: 0,
            input_tokens: tokens(generation.native_tokens_prompt, generation.tokens_prompt),
            output_tokens: tokens(
                generation.native_tokens_completion,
                generation.tokens_completion,
            ),
            cost,
        }))
    }
}
