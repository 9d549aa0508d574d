//! What may be sent, and how a delivery ends.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::payload::{PayloadFault, check};
use super::{
    Delivery, DeliveryStatus, Letter, Message, MessageLimits, Outcome, Settlement, Undelivered,
};
use crate::subject::{SubjectFault, check_subject};
use crate::{
    Agent, AgentId, Change, Coded, Decision, ErrorCode, EventId, EventType, MessageId, Moment,
    NewEvent, RunId, Severity, Timestamp,
};

/// Recipients of one message at most.
pub const MAX_RECIPIENTS: usize = 1_000;

/// The longest `message_type`, in bytes.
pub const MAX_MESSAGE_TYPE_BYTES: usize = 64;

/// What senders write in place of a name to mean every agent of the run: no agent is called so.
pub const EVERYONE: &str = "all";

/// The topic of a message to every agent.
pub const TOPIC_OF_EVERYONE: &str = "broadcast.all";

/// Why a message can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum MessageFault {
    /// The content is beyond a limit.
    #[error(transparent)]
    Payload(#[from] PayloadFault),
    /// The topic is no subject.
    #[error("the topic can't be used")]
    Topic(#[from] SubjectFault),
    /// The type is empty or too long.
    #[error(
        "a message type of {bytes} bytes can't be used: 1 to {MAX_MESSAGE_TYPE_BYTES} bytes are allowed"
    )]
    Type {
        /// Its length.
        bytes: usize,
    },
    /// Nobody would get it.
    #[error("nobody would get the message: no agent listens to '{topic}'")]
    NoRecipient {
        /// The topic.
        topic: String,
    },
    /// Too many would get it.
    #[error("{count} agents would get the message: {MAX_RECIPIENTS} are allowed")]
    TooManyRecipients {
        /// How many.
        count: usize,
    },
    /// It would have expired when it is sent.
    #[error("the message would expire at {expiry}, which has passed: name a later time")]
    Expired {
        /// When it would expire.
        expiry: Timestamp,
    },
    /// The replies go on for ever.
    #[error(
        "{limit} messages went to and fro before this one, which is the limit: end the talk, and go on \
         with what was said"
    )]
    TooManyHops {
        /// The limit.
        limit: u32,
    },
    /// There is nothing to send again.
    #[error("message {id} is {status}: only one that failed or expired is sent again")]
    NotFailed {
        /// The message.
        id: MessageId,
        /// Its status.
        status: DeliveryStatus,
    },
}

impl Coded for MessageFault {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFailed { .. } => ErrorCode::Conflict,
            Self::Payload(_)
            | Self::Topic(_)
            | Self::Type { .. }
            | Self::NoRecipient { .. }
            | Self::TooManyRecipients { .. }
            | Self::Expired { .. }
            | Self::TooManyHops { .. } => ErrorCode::InvalidInput,
        }
    }
}

/// Who gets a message. An agent that is named twice gets it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Agents that were named.
    Agents(Vec<AgentId>),
    /// Whoever listens to the topic now.
    Listeners(Vec<AgentId>),
}

/// The subject that wakes an agent when a message waits for it.
#[must_use]
pub fn inbox_subject(agent: AgentId) -> String {
    format!("agent.{agent}.inbox")
}

/// A message that is about to be sent.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// Who sends it; `None` is a person.
    pub sender: Option<&'a Agent>,
    /// The run it belongs to.
    pub run_id: Option<RunId>,
    /// Who gets it.
    pub audience: Audience,
    /// The subject; for one agent [`inbox_subject`].
    pub topic: String,
    /// What kind of content.
    pub message_type: String,
    /// The content.
    pub payload: Value,
    /// The message that it answers.
    pub reply_to: Option<&'a Message>,
    /// When it expires.
    pub expiry_at: Option<Timestamp>,
}

impl Draft<'_> {
    /// Sends it: one row, one delivery for each recipient, and the event `message.sent`. The commit
    /// is refused when an inbox is full.
    ///
    /// # Errors
    /// It is beyond a limit, which the error names.
    pub fn send(
        self,
        limits: MessageLimits,
        moment: Moment<'_>,
    ) -> Result<(Message, Decision), MessageFault> {
        self.send_after(None, limits, moment)
    }

    /// Sends it as the next word of a talk: `heard` is the most hops of what its sender last took in
    /// from those it goes to. Whether it names what it answers or not, the talk goes on by one.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_after(
        self,
        heard: Option<u32>,
        limits: MessageLimits,
        moment: Moment<'_>,
    ) -> Result<(Message, Decision), MessageFault> {
        let answered = self.reply_to.map(|answered| answered.hops);
        let before = answered.max(heard);
        let hops = before.map_or(0, |hops| hops.saturating_add(1));
        let (named, mut recipients) = match self.audience {
            Audience::Agents(agents) => (true, agents),
            Audience::Listeners(agents) => (false, agents),
        };
        let mut seen = BTreeSet::new();
        recipients.retain(|agent| seen.insert(*agent));
        let message = Message {
            id: MessageId::from_uuid(moment.ids.uuid()),
            seq: 0,
            timestamp: moment.now,
            sender_agent_id: self.sender.map(|agent| agent.id),
            recipient_agent_ids: named.then(|| recipients.clone()),
            topic: self.topic,
            payload: self.payload,
            message_type: self.message_type,
            run_id: self.run_id,
            reply_to: self.reply_to.map(|answered| answered.id),
            resends: None,
            hops,
            delivery_status: DeliveryStatus::Pending,
            delivered_at: None,
            expiry_at: self.expiry_at,
        };
        let from = self.sender.map_or("a person", |agent| &agent.name);
        let letter = Letter {
            message,
            recipients,
            inbox_limit: limits.inbox,
        };
        post(letter, from, limits, moment)
    }
}

impl Message {
    /// Sends a failed or expired message again, as a new one, to those recipients that have not read
    /// it. It is given as much time as the first.
    ///
    /// # Errors
    /// Nothing of it failed or expired.
    pub fn resend(
        &self,
        deliveries: &[Delivery],
        limits: MessageLimits,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), MessageFault> {
        let recipients: Vec<AgentId> = deliveries
            .iter()
            .filter(|delivery| {
                matches!(
                    delivery.status,
                    DeliveryStatus::Failed | DeliveryStatus::Expired
                )
            })
            .map(|delivery| delivery.agent_id)
            .collect();
        if recipients.is_empty() {
            return Err(MessageFault::NotFailed {
                id: self.id,
                status: self.delivery_status,
            });
        }
        let message = Self {
            id: MessageId::from_uuid(moment.ids.uuid()),
            seq: 0,
            timestamp: moment.now,
            recipient_agent_ids: self
                .recipient_agent_ids
                .as_ref()
                .map(|_| recipients.clone()),
            resends: Some(self.id),
            delivery_status: DeliveryStatus::Pending,
            delivered_at: None,
            expiry_at: self
                .expiry_at
                .and_then(|expiry| moment.now.checked_add_signed(expiry - self.timestamp)),
            ..self.clone()
        };
        let letter = Letter {
            message,
            recipients,
            inbox_limit: limits.inbox,
        };
        post(letter, "the dead letters", limits, moment)
    }
}

fn post(
    letter: Letter,
    from: &str,
    limits: MessageLimits,
    moment: Moment<'_>,
) -> Result<(Message, Decision), MessageFault> {
    check_letter(&letter, limits, moment.now)?;
    let message = letter.message.clone();
    let count = letter.recipients.len();
    let agents = if count == 1 { "agent" } else { "agents" };
    let told = format!("{from} sent {} to {count} {agents}", message.topic);
    let data = json!({
        "message_id": message.id, "topic": message.topic, "message_type": message.message_type,
        "recipients": count, "reply_to": message.reply_to, "resends": message.resends,
    });
    let event = NewEvent {
        message_queue_topic: Some(message.topic.clone()),
        ..event(moment, EventType::MessageSent, message.run_id, told)
            .by(message.sender_agent_id)
            .data(data)
    };
    let decision = Decision::default()
        .with(Change::SendMessage(Box::new(letter)))
        .telling(event);
    Ok((message, decision))
}

fn check_letter(
    letter: &Letter,
    limits: MessageLimits,
    now: Timestamp,
) -> Result<(), MessageFault> {
    let Letter {
        message,
        recipients,
        ..
    } = letter;
    check_subject(&message.topic)?;
    let bytes = message.message_type.len();
    if !(1..=MAX_MESSAGE_TYPE_BYTES).contains(&bytes) {
        return Err(MessageFault::Type { bytes });
    }
    if message.hops > limits.hops {
        let limit = limits.hops;
        return Err(MessageFault::TooManyHops { limit });
    }
    if let Some(expiry) = message.expiry_at.filter(|expiry| *expiry <= now) {
        return Err(MessageFault::Expired { expiry });
    }
    match recipients.len() {
        0 => {
            let topic = message.topic.clone();
            return Err(MessageFault::NoRecipient { topic });
        }
        1..=MAX_RECIPIENTS => {}
        count => return Err(MessageFault::TooManyRecipients { count }),
    }
    Ok(check(&message.payload)?)
}

/// These messages entered a turn of this agent: to be committed in one batch with the entry of the
/// journal that took them in.
#[must_use]
pub fn deliver(agent: &Agent, messages: &[Message], moment: Moment<'_>) -> Decision {
    if messages.is_empty() {
        return Decision::default();
    }
    let told = messages.iter().map(|message| {
        let read = format!("{} read {}", agent.name, message.topic);
        let event = event(moment, EventType::MessageDelivered, message.run_id, read);
        (message.id, about(event, message.id, agent.id))
    });
    Decision::default().with(Change::SettleDeliveries(Settlement {
        agent_id: agent.id,
        outcome: Outcome::Delivered,
        settled_at: moment.now,
        told: told.collect(),
    }))
}

/// Gives deliveries up that will come to nothing: they expired, or nobody is there to read them.
#[must_use]
pub fn settle_undelivered(
    undelivered: &[Undelivered],
    outcome: &Outcome,
    moment: Moment<'_>,
) -> Decision {
    let mut told: BTreeMap<AgentId, Vec<(MessageId, NewEvent)>> = BTreeMap::new();
    for one in undelivered {
        let (event_type, what) = match outcome {
            Outcome::Delivered => (EventType::MessageDelivered, "was read".to_owned()),
            Outcome::Expired => (EventType::MessageExpired, "was not read in time".to_owned()),
            Outcome::Failed(why) => (EventType::MessageFailed, format!("was given up: {why}")),
        };
        let line = format!("a message on {} {what}", one.topic);
        let event = event(moment, event_type, one.run_id, line).severity(Severity::Warning);
        let event = about(event, one.message_id, one.agent_id);
        let of_agent = told.entry(one.agent_id).or_default();
        of_agent.push((one.message_id, event));
    }
    let settle = |decision: Decision, (agent_id, told)| {
        decision.with(Change::SettleDeliveries(Settlement {
            agent_id,
            outcome: outcome.clone(),
            settled_at: moment.now,
            told,
        }))
    };
    told.into_iter().fold(Decision::default(), settle)
}

fn about(event: NewEvent, message: MessageId, agent: AgentId) -> NewEvent {
    event
        .by(Some(agent))
        .data(json!({ "message_id": message, "agent_id": agent }))
}

fn event(
    moment: Moment<'_>,
    event_type: EventType,
    run_id: Option<RunId>,
    message: String,
) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(moment.ids.uuid()),
        timestamp: moment.now,
        event_type,
        severity: Severity::Info,
        source_agent_id: None,
        source_component: "messages".to_owned(),
        run_id,
        data: json!({}),
        message,
        message_queue_topic: run_id.map(|run| format!("workflow.{run}.events")),
    }
}
