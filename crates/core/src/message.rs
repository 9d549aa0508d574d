//! Messages between agents, and how far each has come at each of its recipients.

mod payload;
mod rules;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transition::{StateMachine, text_enum};
use crate::{AgentId, MessageId, NewEvent, RunId, Timestamp};

pub use payload::{MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH, PayloadFault, payload_from_json};
pub use rules::{
    Audience, Draft, EVERYONE, MAX_MESSAGE_TYPE_BYTES, MAX_RECIPIENTS, MessageFault,
    TOPIC_OF_EVERYONE, deliver, inbox_subject, settle_undelivered,
};

text_enum! {
    /// How far a message has come.
    DeliveryStatus {
        /// Committed, not yet read.
        Pending = "pending",
        /// Entered a committed turn of its recipient.
        Delivered = "delivered",
        /// Will not be read any more: its recipient has ended, for example.
        Failed = "failed",
        /// Not read before `expiry_at`.
        Expired = "expired",
    }
}

impl StateMachine for DeliveryStatus {
    const ENTITY: &'static str = "delivery";
    const STATES: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }

    /// What entered a committed turn is delivered, even when it was given up a moment before: the
    /// log tells what the agent has read.
    fn allows(self, to: Self) -> bool {
        use DeliveryStatus::{Delivered, Expired, Failed, Pending};
        match self {
            Pending => matches!(to, Delivered | Failed | Expired),
            Failed | Expired => matches!(to, Delivered),
            Delivered => false,
        }
    }
}

impl DeliveryStatus {
    /// The status of a message, from those of its deliveries: pending while one is, then failed if
    /// one failed, expired if one expired, else delivered.
    #[must_use]
    pub fn of_message(deliveries: impl IntoIterator<Item = Self>) -> Self {
        let weight = |status: &Self| match status {
            Self::Pending => 3,
            Self::Failed => 2,
            Self::Expired => 1,
            Self::Delivered => 0,
        };
        deliveries
            .into_iter()
            .max_by_key(weight)
            .unwrap_or(Self::Delivered)
    }
}

/// One message on a topic. It never changes, but for how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Names the message; readers de-duplicate by it.
    pub id: MessageId,
    /// Place in the message log: 1, 2, 3, in the order of the commits. The store gives it; 0 before.
    pub seq: u64,
    /// When it was sent.
    pub timestamp: Timestamp,
    /// Who sent it; `None` is the engine on a topic that begins with `task.`, else a person.
    pub sender_agent_id: Option<AgentId>,
    /// For whom; `None` means everyone who listened to the topic when it was sent: its deliveries
    /// tell who that was.
    pub recipient_agent_ids: Option<Vec<AgentId>>,
    /// The subject it was published under.
    pub topic: String,
    /// The content.
    pub payload: Value,
    /// What kind of content, for the reader.
    pub message_type: String,
    /// The run it belongs to, when it belongs to one.
    pub run_id: Option<RunId>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The failed or expired message that it sends again.
    pub resends: Option<MessageId>,
    /// How many messages went to and fro before it: 0 for a fresh one; one more than what it answers,
    /// and than what its sender last took in, in its step, from an agent that it goes to.
    pub hops: u32,
    /// How far it has come, of all its deliveries: [`DeliveryStatus::of_message`].
    pub delivery_status: DeliveryStatus,
    /// When the last of its recipients read it, once all have.
    pub delivered_at: Option<Timestamp>,
    /// From then on it is not delivered any more, by the clock of the database, to the millisecond.
    pub expiry_at: Option<Timestamp>,
}

impl Message {
    /// Whether the engine tells of something with it: nobody else can send to such a topic.
    #[must_use]
    pub fn is_of_engine(&self) -> bool {
        self.sender_agent_id.is_none() && self.topic.starts_with("task.")
    }
}

/// What became of a message at one of its recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub message_id: MessageId,
    /// Its place in the message log.
    pub seq: u64,
    /// The recipient.
    pub agent_id: AgentId,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// When it got its last status; `None` while it is pending.
    pub settled_at: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// A pending delivery that will come to nothing, and what is told of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The message.
    pub message_id: MessageId,
    /// The recipient.
    pub agent_id: AgentId,
    /// The run that the message belongs to.
    pub run_id: Option<RunId>,
    /// The topic of the message.
    pub topic: String,
}

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It entered a committed turn.
    Delivered,
    /// It was not read in time.
    Expired,
    /// It will not be read any more, and why.
    Failed(String),
}

impl Outcome {
    /// The status that the delivery gets.
    #[must_use]
    pub const fn status(&self) -> DeliveryStatus {
        match self {
            Self::Delivered => DeliveryStatus::Delivered,
            Self::Expired => DeliveryStatus::Expired,
            Self::Failed(_) => DeliveryStatus::Failed,
        }
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Delivered | Self::Expired => None,
        }
    }
}

/// A message that is to be stored, and everyone who gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// The message, pending.
    pub message: Message,
    /// Its recipients, each once.
    pub recipients: Vec<AgentId>,
    /// The batch is refused when more than this would wait for one of them.
    pub inbox_limit: u32,
}

/// How deliveries to one agent end.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The recipient.
    pub agent_id: AgentId,
    /// How.
    pub outcome: Outcome,
    /// When.
    pub settled_at: Timestamp,
    /// Which messages, each with the event that tells it. A delivery that has ended already stays as
    /// it is, and its event is not told; but what was given up can still be delivered.
    pub told: Vec<(MessageId, NewEvent)>,
}

/// What limits a message beside its own size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Messages that wait for one agent at most.
    pub inbox: u32,
    /// Messages that go to and fro between agents at most.
    pub hops: u32,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            inbox: 1_000,
            hops: 16,
        }
    }
}

#[cfg(test)]
mod tests;
