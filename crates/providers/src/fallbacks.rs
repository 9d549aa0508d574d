//! Asks other models when the first can't serve.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_core::Usage;

use crate::{
    Catalog, DeltaSink, Error, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn,
    TurnPlace, TurnRequest,
};

/// A model that may serve a turn.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Who offers it.
    pub provider: Arc<dyn Provider>,
    /// [`ModelInfo::model`].
    pub model: String,
}

/// Several models for one agent, asked in order. The next one is asked when a model is gone,
/// overloaded or out of reach, over its quota, or its provider is paused or disabled
/// ([`Error::is_worth_a_fallback`]), never when the request itself is at fault.
///
/// While another model is left, nobody waits for a quota. When all fail, the one whose limit is
/// over first is waited for, if a limit was what it failed by; else the first one's failure is
/// given back. [`Turn::served_by`] and [`Turn::model`] say who answered.
#[derive(Debug)]
pub struct Fallbacks {
    first: Candidate,
    others: Vec<Candidate>,
}

impl Fallbacks {
    /// The model that is wanted, and others in the order of preference.
    #[must_use]
    pub const fn new(first: Candidate, others: Vec<Candidate>) -> Self {
        Self { first, others }
    }

    fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Asks one model. Another model is another question, so it has another key.
async fn ask(
    candidate: &Candidate,
    number: usize,
    request: &TurnRequest<'_>,
    deltas: &dyn DeltaSink,
) -> Result<Turn> {
    let key = match number {
        0 => request.place.key.to_owned(),
        _ => format!("{}-{number}", request.place.key),
    };
    let request = TurnRequest {
        model: &candidate.model,
        place: TurnPlace {
            key: &key,
            ..request.place
        },
        ..*request
    };
    candidate.provider.send_message(&request, deltas).await
}

#[async_trait]
impl Provider for Fallbacks {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.first.provider.spawn_agent(request).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let hasty = TurnRequest {
            may_wait: request.may_wait && self.others.is_empty(),
            ..*request
        };
        let mut soonest = None;
        let mut first_error = None;
        for (number, candidate) in self.candidates().enumerate() {
            let error = match ask(candidate, number, &hasty, deltas).await {
                Err(error) if error.is_worth_a_fallback() => error,
                other => return other,
            };
            if let Error::Limited { retry_after, .. } = &error {
                let wait = retry_after.unwrap_or_default();
                if soonest.is_none_or(|(_, least)| wait < least) {
                    soonest = Some((number, wait));
                }
            }
            if number < self.others.len() {
                tracing::warn!(model = candidate.model, %error, "another model is asked");
            }
            first_error.get_or_insert(error);
        }
        let waits = request.may_wait && !self.others.is_empty();
        match (soonest.filter(|_| waits), first_error) {
            (Some((number, _)), _) => {
                let candidate = self.candidates().nth(number).unwrap_or(&self.first);
                ask(candidate, number, request, deltas).await
            }
            (None, Some(error)) => Err(error),
            (None, None) => ask(&self.first, 0, request, deltas).await,
        }
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.first.provider.get_quota_info().await
    }

    /// Each provider knows its own answers only.
    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        for candidate in self.candidates() {
            let usage = candidate.provider.get_generation(id).await?;
            if usage.is_some() {
                return Ok(usage);
            }
        }
        Ok(None)
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.first.provider.list_models().await
    }
}

#[cfg(test)]
mod tests;
