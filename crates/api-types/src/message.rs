//! Messages between agents, and what became of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An agent by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentName {
    /// UUID of the agent.
    pub id: String,
    /// Its name in the workflow file.
    pub name: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// UUID of the message.
    pub id: String,
    /// Place in the message log, in the order of the commits.
    pub seq: u64,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// UUID of its run; `null` when it belongs to none.
    pub run: Option<String>,
    /// Who sent it; `null` is the engine on a topic that begins with `task.`, else a person.
    pub sender: Option<AgentName>,
    /// For whom; `null` means everyone who listened to the topic: `message show` tells who that was.
    pub recipients: Option<Vec<AgentName>>,
    /// The subject it was published under.
    pub topic: String,
    /// What kind of content.
    pub message_type: String,
    /// The content.
    pub payload: Value,
    /// `pending`, `delivered`, `failed` or `expired`.
    pub status: String,
    /// When the last of its recipients read it, once all have.
    pub delivered_at: Option<DateTime<Utc>>,
    /// From then on it is not delivered any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// UUID of the message that it answers.
    pub reply_to: Option<String>,
    /// UUID of the failed or expired message that it sends again.
    pub resends: Option<String>,
    /// How many replies led to it.
    pub hops: u32,
}

/// The answer to a list of messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageList {
    /// Newest first.
    pub messages: Vec<MessageView>,
    /// Older ones were left out: those that are here have as much content as one answer holds.
    #[serde(default)]
    pub cut: bool,
}

/// What became of a message at one of its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// The recipient.
    pub agent: AgentName,
    /// `pending`, `delivered`, `failed` or `expired`.
    pub status: String,
    /// When it got its last status; `null` while it is pending.
    pub settled_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// All about a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageDetail {
    /// The same fields as in a list, beside the ones below.
    #[serde(flatten)]
    pub message: MessageView,
    /// One for each recipient.
    pub deliveries: Vec<DeliveryView>,
}
