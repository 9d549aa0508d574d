//! A model that fails as it is told, and counts.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{Cost, Usage};
use fusion_providers::{
    Ability, Catalog, CostSource, DeltaSink, Error, FinishReason, ModelInfo, ModelRequest, Price,
    Provider, QuotaInfo, Result, Turn, TurnRequest,
};
use tokio_util::sync::CancellationToken;

/// How the n-th call fails, from 1; `None` for an answer.
type Failing = Box<dyn Fn(u64) -> Option<Error> + Send + Sync>;

/// Answers with the step's name, unless it fails. Says what it costs.
pub(crate) struct Model {
    calls: Mutex<u64>,
    failing: Failing,
    /// What each lost answer cost.
    bill: Option<Usage>,
    /// Cancels at this call, and never answers it.
    hangs_at: Option<(u64, CancellationToken)>,
    gone: bool,
}

impl Model {
    pub(crate) fn failing(failing: impl Fn(u64) -> Option<Error> + Send + Sync + 'static) -> Self {
        Self {
            calls: Mutex::default(),
            failing: Box::new(failing),
            bill: None,
            hangs_at: None,
            gone: false,
        }
    }

    pub(crate) fn good() -> Self {
        Self::failing(|_| None)
    }

    /// The same, and it tells what each answer cost that was lost.
    pub(crate) fn billing(self, bill: Usage) -> Self {
        Self {
            bill: Some(bill),
            ..self
        }
    }

    /// The same, and it cancels at this call, which it never answers.
    pub(crate) fn hanging_at(self, call: u64, cancel: CancellationToken) -> Self {
        Self {
            hangs_at: Some((call, cancel)),
            ..self
        }
    }

    /// No look-up finds it.
    pub(crate) fn gone() -> Self {
        Self {
            gone: true,
            ..Self::good()
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

pub(crate) fn server(status: u16) -> Error {
    Error::Server {
        provider: "p".into(),
        status,
        message: "down".into(),
        retry_after: None,
        generation_id: None,
    }
}

/// A limit, and when it is over.
pub(crate) fn limited(wait: Option<Duration>) -> Error {
    Error::Limited {
        provider: "p".into(),
        message: "no quota".into(),
        retry_after: wait,
    }
}

/// A stream that broke off.
pub(crate) fn cut(id: Option<&str>) -> Error {
    Error::Truncated {
        provider: "p".into(),
        problem: "it stops in the middle".into(),
        generation_id: id.map(Into::into),
    }
}

#[async_trait]
impl Provider for Model {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        if self.gone {
            return Err(Error::UnknownModel {
                provider: "p".into(),
                model: request.model.to_owned(),
                nearest: None,
            });
        }
        Ok(ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: Some(10_000),
            max_output_tokens: Some(100),
            price: Some(Price {
                input_token: Cost::from_picos(1),
                output_token: Cost::from_picos(10),
                request: Cost::ZERO,
            }),
            tools: Ability::Yes,
            json_schema: Ability::Yes,
        })
    }

    async fn send_message(&self, request: &TurnRequest<'_>, _: &dyn DeltaSink) -> Result<Turn> {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        if let Some((at, cancel)) = &self.hangs_at
            && *at == call
        {
            cancel.cancel();
            std::future::pending::<()>().await;
        }
        if let Some(error) = (self.failing)(call) {
            return Err(error);
        }
        Ok(Turn {
            text: format!("did {}", request.place.step),
            tool_calls: vec![],
            reasoning: None,
            finish_reason: FinishReason::Stop,
            usage: Usage {
                turns: 1,
                input_tokens: 10,
                output_tokens: 5,
                cost: Cost::ZERO,
            },
            tokens_are_estimated: false,
            cost_source: CostSource::Unknown,
            served_by: None,
            model: request.model.to_owned(),
            generation_id: None,
        })
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        Ok(QuotaInfo::default())
    }

    async fn get_generation(&self, _: &str) -> Result<Option<Usage>> {
        Ok(self.bill)
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        Ok(None)
    }
}
