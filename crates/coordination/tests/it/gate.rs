//! A model that answers when it is let to, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fusion_core::{Cost, Usage};
use fusion_providers::{
    Ability, Catalog, CostSource, DeltaSink, FinishReason, ModelInfo, ModelRequest, Provider,
    QuotaInfo, Result, ToolCall, Turn, TurnRequest,
};
use serde_json::json;
use tokio::sync::Semaphore;

/// Answers with the last words that it was told. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// A permit for each answer.
    pub(crate) open: Arc<Semaphore>,
    /// Calls that were begun.
    pub(crate) begun: Arc<AtomicU64>,
    /// Calls under way, and the most that there were at once.
    pub(crate) going: Arc<[AtomicU64; 2]>,
    /// Turns before the answer; in each a file is listed.
    pub(crate) tool_turns: u32,
}

impl Gate {
    pub(crate) fn shut() -> Self {
        Self {
            open: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
            going: Arc::default(),
            tool_turns: 0,
        }
    }

    pub(crate) fn open() -> Self {
        let gate = Self::shut();
        gate.open.add_permits(Semaphore::MAX_PERMITS);
        gate
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Provider for Gate {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: None,
            tools: Ability::Yes,
            json_schema: Ability::Yes,
        })
    }

    async fn send_message(&self, request: &TurnRequest<'_>, _: &dyn DeltaSink) -> Result<Turn> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let [going, most] = &*self.going;
        most.fetch_max(going.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
        going.fetch_sub(1, Ordering::SeqCst);
        let uses_tool = request.place.turn <= self.tool_turns;
        let tool_calls = if uses_tool {
            vec![ToolCall {
                id: ToolCall::made_up_id(request.place.turn, 0),
                name: "list_files".to_owned(),
                arguments: json!({}),
            }]
        } else {
            Vec::new()
        };
        Ok(Turn {
            text: format!("turn {}", request.place.turn),
            finish_reason: if uses_tool {
                FinishReason::ToolCalls
            } else {
                FinishReason::Stop
            },
            tool_calls,
            reasoning: None,
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

    async fn list_models(&self) -> Result<Option<Catalog>> {
        Ok(None)
    }
}
