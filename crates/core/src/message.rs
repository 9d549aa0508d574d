//! Messages between agents.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transition::text_enum;
use crate::{AgentId, MessageId, Timestamp};

text_enum! {
    /// How far a message has come.
    DeliveryStatus {
        /// Committed, not yet read.
        Pending = "pending",
        /// Entered a committed turn of its recipient.
        Delivered = "delivered",
        /// Given up after its retries.
        Failed = "failed",
        /// Not read before `expiry_at`.
        Expired = "expired",
    }
}

/// One message on a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Names the message; readers de-duplicate by it.
    pub id: MessageId,
    /// When it was sent.
    pub timestamp: Timestamp,
    /// Who sent it.
    pub sender_agent_id: AgentId,
    /// For whom; `None` means everyone who listens to the topic.
    pub recipient_agent_ids: Option<Vec<AgentId>>,
    /// The subject it was published under.
    pub topic: String,
    /// The content.
    pub payload: Value,
    /// What kind of content, for the reader.
    pub message_type: String,
    /// How far it has come.
    pub delivery_status: DeliveryStatus,
    /// When its recipient read it.
    pub delivered_at: Option<Timestamp>,
    /// After this it is not delivered any more.
    pub expiry_at: Option<Timestamp>,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}
