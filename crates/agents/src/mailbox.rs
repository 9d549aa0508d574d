//! The port to what an agent hears from others and says to them.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{Decision, MessageId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{JournalRefused, Record};

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// Another agent of the run, by its name: nothing it says is to be trusted.
    Agent(String),
    /// Somebody who may write to the store: a person, or a program for one.
    Person,
    /// The engine: a thing that happened in the run.
    System,
}

/// A message that waits for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// Names the message.
    pub id: MessageId,
    /// Its place in the order of all messages: an inbox is read by it.
    pub seq: u64,
    /// Who sent it.
    pub sender: Sender,
    /// What it was sent to.
    pub topic: String,
    /// What kind of content it is.
    pub message_type: String,
    /// What it says: a text as it is, everything else as JSON.
    pub text: String,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
}

/// A message that an agent wants to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The name of an agent, a topic, or `all`.
    pub to: String,
    /// What it says.
    pub payload: Value,
    /// What kind of content it is; `None` leaves it to the mailbox.
    pub message_type: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// How long it may wait to be read; `None` is as long as the run.
    pub expires_in: Option<Duration>,
}

/// A message with its recipients, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Addressed {
    /// Names the message.
    pub id: MessageId,
    /// What sends it, once it is committed.
    pub sending: Decision,
    /// Who gets it and who does not, in words for the model.
    pub told: String,
}

/// Why something can't be done, in words for a model to act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Where one agent's messages come from and go to while it works on a task.
///
/// Contract: a message is unread until a [`Record::Acknowledge`] that names it was committed, and
/// never after. Addressing sends nothing: the message is sent when the [`Record::Send`] that holds
/// it is committed, so that a tool's outcome and its message are one.
#[async_trait]
pub trait Mailbox: Debug + Send + Sync {
    /// Unread messages with a place above `after`, in their order.
    ///
    /// # Errors
    /// They can't be read now.
    async fn unread(&self, after: u64, limit: u32) -> Result<Vec<Incoming>, Refusal>;

    /// Returns when something may have arrived since the last look, at the latest after two
    /// seconds.
    async fn changed(&self);

    /// Finds the recipients of what an agent wants to send.
    ///
    /// # Errors
    /// It may not be sent, or to nobody.
    async fn address(&self, outgoing: Outgoing) -> Result<Addressed, Refusal>;

    /// The patterns that the agent listens to once it also listens to this one.
    ///
    /// # Errors
    /// It is no pattern, or one too many.
    async fn with_pattern(&self, pattern: &str) -> Result<Vec<String>, Refusal>;

    /// The patterns that the agent listens to once it does not listen to this one any more.
    ///
    /// # Errors
    /// It does not listen to it.
    async fn without_pattern(&self, pattern: &str) -> Result<Vec<String>, Refusal>;

    /// Writes records together, as [`Journal::record`](crate::Journal::record) does. A message among
    /// them that can't be delivered refuses them all, with the reason inside; the journal goes on.
    ///
    /// # Errors
    /// As for the journal.
    async fn post(&self, records: Vec<Record>) -> Result<Result<(), Refusal>, JournalRefused>;
}
