//! The mailbox of an agent in memory: it keeps the contract of a real one.

use async_trait::async_trait;
use fusion_agents::{
    Addressed, Incoming, Journal, JournalRefused, Mailbox, Outgoing, Record, Refusal, Sender,
};
use fusion_core::{Decision, EventId, EventType, MessageId, NewEvent, RunId, Severity, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::journal::Memory;

/// The id of the n-th message that the agent sends.
pub(crate) fn sent_id(number: usize) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(1_000 + u128::try_from(number).unwrap()))
}

/// A message of the reviewer with this place.
pub(crate) fn incoming(seq: u64, text: &str) -> Incoming {
    Incoming {
        id: MessageId::from_uuid(Uuid::from_u128(seq.into())),
        seq,
        sender: Sender::Agent("reviewer".into()),
        topic: "agent.writer.inbox".into(),
        message_type: "note".into(),
        text: text.into(),
        reply_to: None,
    }
}

impl Memory {
    /// A message arrives.
    pub(crate) fn arrive(&self, message: Incoming) {
        self.state.lock().unwrap().arrived.push(message);
        self.bell.notify_one();
    }

    /// These messages arrive as soon as the agent has sent something.
    pub(crate) fn answering(self, answers: &[Incoming]) -> Self {
        self.state
            .lock()
            .unwrap()
            .answers
            .extend_from_slice(answers);
        self
    }

    /// No message can be delivered from now on.
    pub(crate) fn fill(&self, why: &str) {
        self.state.lock().unwrap().full = Some(why.to_owned());
    }

    /// The task is stopped when its inbox is looked at.
    pub(crate) fn stopping(&self, stop: CancellationToken) {
        self.state.lock().unwrap().stops = Some(stop);
    }

    pub(crate) fn read(&self) -> Vec<MessageId> {
        self.state.lock().unwrap().read.clone()
    }

    pub(crate) fn sent(&self) -> Vec<MessageId> {
        self.state.lock().unwrap().sent.clone()
    }

    pub(crate) fn subscriptions(&self) -> Vec<String> {
        self.state.lock().unwrap().subscriptions.clone()
    }
}

#[async_trait]
impl Mailbox for Memory {
    async fn unread(&self, after: u64, limit: u32) -> Result<Vec<Incoming>, Refusal> {
        let state = self.state.lock().unwrap();
        if let Some(stop) = &state.stops {
            stop.cancel();
        }
        let waits = |message: &&Incoming| message.seq > after && !state.read.contains(&message.id);
        let unread = state.arrived.iter().filter(waits).cloned();
        Ok(unread.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn changed(&self) {
        self.bell.notified().await;
    }

    async fn address(&self, outgoing: Outgoing) -> Result<Addressed, Refusal> {
        if outgoing.to != "reviewer" {
            return Err(Refusal(format!("there is no agent '{}'", outgoing.to)));
        }
        let id = sent_id(self.state.lock().unwrap().sent.len() + 1);
        let event = NewEvent {
            id: EventId::from_uuid(Uuid::nil()),
            timestamp: Timestamp::UNIX_EPOCH,
            event_type: EventType::MessageSent,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "test".into(),
            run_id: Some(RunId::from_uuid(Uuid::nil())),
            data: json!({ "message_id": id }),
            message: String::new(),
            message_queue_topic: None,
        };
        Ok(Addressed {
            id,
            sending: Decision::default().telling(event),
            told: format!(
                "Sent {:?} as {id}, in reply to {:?}.",
                outgoing.payload, outgoing.reply_to
            ),
        })
    }

    async fn with_pattern(&self, pattern: &str) -> Result<Vec<String>, Refusal> {
        let mut patterns = self.subscriptions();
        patterns.push(pattern.to_owned());
        Ok(patterns)
    }

    async fn without_pattern(&self, pattern: &str) -> Result<Vec<String>, Refusal> {
        let mut patterns = self.subscriptions();
        if !patterns.iter().any(|known| known == pattern) {
            return Err(Refusal(format!("you do not listen to '{pattern}'")));
        }
        patterns.retain(|known| known != pattern);
        Ok(patterns)
    }

    async fn post(&self, records: Vec<Record>) -> Result<Result<(), Refusal>, JournalRefused> {
        let sends = records
            .iter()
            .any(|record| matches!(record, Record::Send(_)));
        let full = self.state.lock().unwrap().full.clone();
        match full.filter(|_| sends) {
            Some(why) => Ok(Err(Refusal(why))),
            None => self.record(records).await.map(Ok),
        }
    }
}
