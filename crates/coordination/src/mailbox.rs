//! The mailbox of the agent that works on a task: its messages are in the store, and the bus only
//! says when to look.

use std::fmt::Write as _;

use async_trait::async_trait;
use fusion_agents::{
    Addressed, Incoming, JournalRefused, Mailbox, Outgoing, Record, Refusal, Sender,
};
use fusion_core::{
    Agent, AgentId, AgentState, Audience, Delivery, DeliveryStatus, Draft, EventType, Message,
    Severity, error_chain, inbox_subject,
};
use fusion_messaging::{Pattern, Subscription};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::audience::{Refused, Target, recipients};
use crate::journal::TaskJournal;
use crate::plan::Plan;
use crate::{Coordinator, Error};

/// Patterns that one agent may listen to.
const MAX_PATTERNS: usize = 100;

/// What a message is called that its sender gives no type.
const DEFAULT_TYPE: &str = "message";

/// Names that an answer lists.
const NAMES_TOLD: usize = 20;

/// The messages of one agent while it works on one task.
#[derive(Debug)]
pub(crate) struct TaskMailbox<'a> {
    coordinator: &'a Coordinator,
    plan: &'a Plan,
    journal: &'a TaskJournal<'a>,
    /// Rings when a message was committed for the agent; made when it first waits for one.
    hints: Mutex<Option<Subscription>>,
}

impl<'a> TaskMailbox<'a> {
    pub(crate) fn new(
        coordinator: &'a Coordinator,
        plan: &'a Plan,
        journal: &'a TaskJournal<'a>,
    ) -> Self {
        Self {
            coordinator,
            plan,
            journal,
            hints: Mutex::new(None),
        }
    }

    fn incoming(&self, message: &Message) -> Incoming {
        let sender = match message.sender_agent_id {
            Some(id) => Sender::Agent(self.plan.name_of(id)),
            None if message.is_of_engine() => Sender::System,
            None => Sender::Person,
        };
        Incoming {
            id: message.id,
            seq: message.seq,
            sender,
            topic: message.topic.clone(),
            message_type: message.message_type.clone(),
            text: match &message.payload {
                Value::String(text) => text.clone(),
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_)) => other.to_string(),
            },
            reply_to: message.reply_to,
        }
    }

    /// The agents of the run as they are now: the one at work, and the others.
    async fn agents(&self) -> Result<(Agent, Vec<Agent>), Refusal> {
        let own = self.journal.agent();
        let store = &self.coordinator.parts.store;
        let agents = store.agents_of_run(self.plan.run.id).await;
        let agents = agents.map_err(|error| unreadable(&error))?;
        let others = agents
            .into_iter()
            .map(|(agent, _)| agent)
            .filter(|agent| agent.id != own.id && agent.state != AgentState::Terminated)
            .filter(|agent| !agent.is_runner())
            .collect();
        Ok((own, others))
    }

    /// The message that is answered: one of this run, which the agent sent or read.
    async fn answered(&self, outgoing: &Outgoing) -> Result<Option<Message>, Refusal> {
        let Some(id) = outgoing.reply_to else {
            return Ok(None);
        };
        let (store, own) = (&self.coordinator.parts.store, self.journal.agent().id);
        let found: Option<Message> = store.find(id).await.map_err(|error| unreadable(&error))?;
        if let Some(message) = found.filter(|message| message.run_id == Some(self.plan.run.id)) {
            if message.sender_agent_id == Some(own) {
                return Ok(Some(message));
            }
            let deliveries = store.deliveries(id).await;
            let deliveries = deliveries.map_err(|error| unreadable(&error))?;
            let was_read =
                |one: &Delivery| one.agent_id == own && one.status == DeliveryStatus::Delivered;
            if deliveries.iter().any(was_read) {
                return Ok(Some(message));
            }
        }
        Err(Refusal(format!(
            "you have neither read nor sent a message {id}: take its id from the message, or write `last`"
        )))
    }

    /// How far the talk with these agents has come: the most hops of what the agent last read of them
    /// in its step. What it read is committed before it can send, and its fence keeps others from
    /// reading for it.
    async fn heard_of(&self, agents: &[AgentId]) -> Result<Option<u32>, Refusal> {
        let (store, own) = (&self.coordinator.parts.store, self.journal.agent().id);
        let heard = store.hops_heard(own, self.journal.begun_at()).await;
        let heard = heard.map_err(|error| unreadable(&error))?.into_iter();
        let of_them = heard.filter(|(agent, _)| agents.contains(agent));
        Ok(of_them.map(|(_, hops)| hops).max())
    }

    /// Tells that the message flow does not let an agent send, together with the outcome of its call.
    fn log(&self, own: &Agent, outgoing: &Outgoing, refused: &Refused) {
        let to: Vec<&str> = refused.kept_from.iter().map(String::as_str).collect();
        let told = format!(
            "{} may not send {} to {}",
            own.name,
            refused.topic,
            names(&to)
        );
        let event = self
            .plan
            .run
            .event(self.coordinator.moment(), EventType::MessageFailed, told)
            .by(Some(own.id))
            .severity(Severity::Warning)
            .data(json!({
                "reason": "message_flow", "from": own.name, "to": to,
                "topic": refused.topic, "message_type": outgoing.message_type,
            }));
        self.journal.tell(event);
    }
}

#[async_trait]
impl Mailbox for TaskMailbox<'_> {
    async fn unread(&self, after: u64, limit: u32) -> Result<Vec<Incoming>, Refusal> {
        let store = &self.coordinator.parts.store;
        let messages = store.inbox(self.journal.agent().id, after, limit).await;
        let messages = messages.map_err(|error| unreadable(&error))?;
        let incoming = messages.iter().map(|message| self.incoming(message));
        let incoming = incoming.collect();
        self.journal.remember(messages);
        Ok(incoming)
    }

    async fn changed(&self) {
        let mut hints = self.hints.lock().await;
        match hints.as_mut() {
            Some(hints) => {
                // A lost hint costs the time until the next look.
                tokio::select! {
                    _ = hints.recv() => {}
                    () = tokio::time::sleep(self.coordinator.options.sweep) => {}
                }
            }
            // What came before the bus was listened to may have been missed: look once more.
            None => match inbox_subject(self.journal.agent().id).parse::<Pattern>() {
                Ok(pattern) => {
                    *hints = Some(self.coordinator.parts.bus.subscribe(&pattern).await);
                }
                Err(_) => tokio::time::sleep(self.coordinator.options.sweep).await,
            },
        }
    }

    async fn address(&self, outgoing: Outgoing) -> Result<Addressed, Refusal> {
        let answered = self.answered(&outgoing).await?;
        let (own, others) = self.agents().await?;
        let target = Target::of(&outgoing.to, &own, &others).map_err(Refusal)?;
        let found = match recipients(&self.plan.workflow.definition, &own, &others, &target) {
            Ok(found) => found,
            Err(refused) => {
                if !refused.kept_from.is_empty() {
                    self.log(&own, &outgoing, &refused);
                }
                return Err(Refusal(refused.why));
            }
        };
        let ids: Vec<AgentId> = found.agents.iter().map(|agent| agent.id).collect();
        let heard = self.heard_of(&ids).await?;
        let moment = self.coordinator.moment();
        let default_type = || DEFAULT_TYPE.to_owned();
        let draft = Draft {
            sender: Some(&own),
            run_id: Some(self.plan.run.id),
            audience: match target {
                Target::Agent(_) => Audience::Agents(ids),
                Target::Topic(_) | Target::All => Audience::Listeners(ids),
            },
            topic: target.topic(),
            message_type: outgoing.message_type.unwrap_or_else(default_type),
            payload: outgoing.payload,
            reply_to: answered.as_ref(),
            expiry_at: outgoing.expires_in.and_then(|time| {
                let time = chrono::Duration::from_std(time).ok()?;
                moment.now.checked_add_signed(time)
            }),
        };
        let (message, sending) = draft
            .send_after(heard, self.coordinator.options.messages, moment)
            .map_err(|fault| Refusal(error_chain(&fault)))?;
        let mut told = format!("Sent message {} to {}.", message.id, listed(&found.agents));
        if !found.kept_from.is_empty() {
            let kept: Vec<&str> = found.kept_from.iter().map(String::as_str).collect();
            let _infallible = write!(told, " The message flow keeps it from {}.", names(&kept));
        }
        Ok(Addressed {
            id: message.id,
            sending,
            told,
        })
    }

    async fn with_pattern(&self, pattern: &str) -> Result<Vec<String>, Refusal> {
        if let Err(error) = Pattern::of_topics(pattern) {
            return Err(Refusal(error.to_string()));
        }
        let mut patterns = self.journal.agent().message_subscriptions;
        if !patterns.iter().any(|known| known == pattern) {
            if patterns.len() >= MAX_PATTERNS {
                return Err(Refusal(format!(
                    "you listen to {MAX_PATTERNS} patterns, which is the limit: unsubscribe from one first"
                )));
            }
            patterns.push(pattern.to_owned());
        }
        self.plan.expect_listeners();
        Ok(patterns)
    }

    async fn without_pattern(&self, pattern: &str) -> Result<Vec<String>, Refusal> {
        let mut patterns = self.journal.agent().message_subscriptions;
        let before = patterns.len();
        patterns.retain(|known| known != pattern);
        if patterns.len() == before {
            let known: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let known = if known.is_empty() {
                "nothing".to_owned()
            } else {
                names(&known)
            };
            return Err(Refusal(format!(
                "you do not listen to '{pattern}'; you listen to {known}"
            )));
        }
        Ok(patterns)
    }

    async fn post(&self, records: Vec<Record>) -> Result<Result<(), Refusal>, JournalRefused> {
        match self.journal.write(records).await {
            Ok(()) => Ok(Ok(())),
            Err(Error::Store(fusion_persistence::Error::InboxFull { agent, limit })) => {
                let name = self.plan.name_of(agent);
                Ok(Err(Refusal(format!(
                    "the inbox of '{name}' is full: {limit} messages wait for it. Nothing was sent; try \
                     again when it has read some"
                ))))
            }
            Err(error) => Err(self.journal.refuse(error)),
        }
    }
}

fn unreadable(error: &fusion_persistence::Error) -> Refusal {
    Refusal(format!(
        "messages can't be read now: {}",
        error_chain(error)
    ))
}

fn names(names: &[&str]) -> String {
    let mut told: Vec<&str> = names.iter().copied().take(NAMES_TOLD).collect();
    let more = format!("{} more", names.len().saturating_sub(NAMES_TOLD));
    if names.len() > NAMES_TOLD {
        told.push(&more);
    }
    told.join(", ")
}

/// The recipients, and whether they can read it at once.
fn listed(agents: &[&Agent]) -> String {
    let told: Vec<String> = agents
        .iter()
        .map(|agent| match agent.state {
            AgentState::Working => agent.name.clone(),
            AgentState::Spawning
            | AgentState::Idle
            | AgentState::Paused
            | AgentState::Error
            | AgentState::Terminated => format!("{} (works on no step now)", agent.name),
        })
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    names(&told)
}
