//! The scripted model, with a look at what it was sent.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use fusion_core::Usage;
use fusion_providers::{
    Catalog, DeltaSink, Message, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Scripted,
    ToolCall, ToolSpec, Turn, TurnRequest,
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

/// One question to the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) turn: u32,
    pub(crate) key: String,
    pub(crate) system: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<ToolSpec>,
    pub(crate) output_schema: Option<Value>,
    pub(crate) options: Option<Map<String, Value>>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    scripted: Scripted,
    sent: Mutex<Vec<Sent>>,
    /// Cancels the task at a turn, and never answers it.
    hangs_at: Option<(u32, CancellationToken)>,
    /// What a call cost that was lost before each answer.
    loses: Usage,
}

impl Model {
    pub(crate) fn hanging_at(turn: u32, cancel: CancellationToken) -> Self {
        Self {
            hangs_at: Some((turn, cancel)),
            ..Self::default()
        }
    }

    pub(crate) fn losing(self, loses: Usage) -> Self {
        Self { loses, ..self }
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// What the model was told since its last answer, when it was asked for this turn.
    pub(crate) fn told_at(&self, turn: u32) -> Vec<Message> {
        let sent = self.sent();
        let sent = sent.iter().find(|sent| sent.turn == turn).unwrap();
        let is_answer = |message: &Message| matches!(message, Message::Assistant { .. });
        let last = sent.messages.iter().rposition(is_answer).unwrap();
        sent.messages[last + 1..].to_vec()
    }
}

#[async_trait]
impl Provider for Model {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.scripted.spawn_agent(request).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        assert_valid(request.messages);
        self.sent.lock().unwrap().push(Sent {
            turn: request.place.turn,
            key: request.place.key.to_owned(),
            system: request.system.to_owned(),
            messages: request.messages.to_vec(),
            tools: request
                .tools
                .iter()
                .map(|tool| ToolSpec::clone(tool))
                .collect(),
            output_schema: request.output_schema.cloned(),
            options: request.options.cloned(),
        });
        assert!(deltas.lost(Some(self.loses)));
        if let Some((turn, cancel)) = &self.hangs_at
            && *turn == request.place.turn
        {
            cancel.cancel();
            std::future::pending::<()>().await;
        }
        self.scripted.send_message(request, deltas).await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.scripted.get_quota_info().await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.scripted.list_models().await
    }
}

/// Each call of an answer is answered once, in order, before anything else is said.
fn assert_valid(messages: &[Message]) {
    let mut open: VecDeque<&ToolCall> = VecDeque::new();
    for message in messages {
        match message {
            Message::Tool { call_id, .. } => {
                let call = open.pop_front().expect("a result without a call");
                assert_eq!(call_id, &call.id);
            }
            Message::User { .. } => assert!(open.is_empty(), "{messages:#?}"),
            Message::Assistant { tool_calls, .. } => {
                assert!(open.is_empty(), "{messages:#?}");
                open.extend(tool_calls);
            }
        }
    }
    assert!(open.is_empty(), "{messages:#?}");
}
