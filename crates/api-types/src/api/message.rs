//! Messages.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{AgentName, DeliveryView};

/// A message of an agent or of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// UUID.
    pub id: String,
    /// Place in the message log, in the order of the commits.
    pub seq: u64,
    /// When it was sent.
    pub timestamp: DateTime<Utc>,
    /// UUID of the sender; `null` is the engine on a topic that begins with `task.`, else a person.
    pub sender_agent_id: Option<String>,
    /// The sender with its name.
    pub sender: Option<AgentName>,
    /// UUIDs of those it is for; `null` is everyone who listened to the topic.
    pub recipient_agent_ids: Option<Vec<String>>,
    /// The same with their names.
    pub recipients: Option<Vec<AgentName>>,
    /// The topic.
    pub topic: String,
    /// The content.
    pub payload: Value,
    /// What kind of content.
    pub message_type: String,
    /// `pending`, `delivered`, `failed` or `expired`.
    pub delivery_status: String,
    /// When the last of its recipients read it, once all have.
    pub delivered_at: Option<DateTime<Utc>>,
    /// From then on it is not delivered any more.
    pub expiry_at: Option<DateTime<Utc>>,
    /// UUID of its run.
    pub run_id: Option<String>,
    /// UUID of the message that it answers.
    pub reply_to: Option<String>,
    /// UUID of the message that it sends again.
    pub resends: Option<String>,
    /// How many replies led to it.
    pub hops: u32,
}

/// A message, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageDetail {
    /// The same fields as in a list, beside the ones below.
    #[serde(flatten)]
    pub message: Message,
    /// One for each recipient.
    pub deliveries: Vec<DeliveryView>,
    /// UUID of the run that was begun to do it, where it is for an agent that belongs to no run.
    #[serde(default)]
    pub begun_run_id: Option<String>,
}

/// A page of messages, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// The messages.
    pub messages: Vec<Message>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A message to be sent by a person. It goes to the named agents, else to every agent of the run
/// that listens to the topic, else to every agent of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewMessage {
    /// UUID of the run whose agents are meant; the run of the first recipient without it.
    #[serde(default)]
    pub run_id: Option<String>,
    /// UUIDs of agents of one run; or of one agent that belongs to none, which begins a run for it.
    #[serde(default)]
    pub recipient_agent_ids: Option<Vec<String>>,
    /// The topic; only without recipients.
    #[serde(default)]
    pub topic: Option<String>,
    /// The content: any JSON.
    pub payload: Value,
    /// What kind of content; `text` without it.
    #[serde(default)]
    pub message_type: Option<String>,
    /// UUID of the message that it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// From then on it is not delivered any more.
    #[serde(default)]
    pub expiry_at: Option<DateTime<Utc>>,
}
