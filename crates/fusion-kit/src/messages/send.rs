//! A message from a person to the agents of a run.

use fusion_api_types::{MessageDetail, Problem, ProblemKind};
use fusion_cli::{Content, NewMessage, To};
use fusion_core::{
    Agent, AgentId, AgentState, Audience, Clock, Decision, Draft, EVERYONE, MAX_PAYLOAD_BYTES,
    Message, MessageId, Run, TOPIC_OF_EVERYONE, Timestamp, inbox_subject, payload_from_json,
    reserved_part,
};
use fusion_messaging::{Pattern, Subject};
use fusion_persistence::{Batch, Error as StoreError, Page, Repository, RunFilter, Store};
use fusion_persistence_sql::{Location, SqlStore};
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::{look, read, views};
use crate::backend::{LocalBackend, Reading};
use crate::content::bytes_of;
use crate::find::{find, find_message};
use crate::system::{SystemClock, SystemIds};
use crate::wiring::BusPlace;
use crate::{problems, wiring};

/// The content, checked before anything else is looked at.
pub(super) fn payload(content: &Content) -> Result<Value, Problem> {
    if let Content::Text(text) = content {
        return Ok(Value::String(text.clone()));
    }
    let json = bytes_of(content, MAX_PAYLOAD_BYTES)?;
    payload_from_json(&json).map_err(|fault| problems::of_error(&fault))
}

/// What was typed, with what it names.
pub(super) struct Typed {
    run: Run,
    audience: Audience,
    topic: String,
    message_type: String,
    payload: Value,
    reply_to: Option<Message>,
    expiry_at: Option<Timestamp>,
}

impl Typed {
    pub(super) async fn of(
        new: &NewMessage,
        payload: Value,
        reading: &Reading,
    ) -> Result<Self, Problem> {
        let (store, data_dir) = (reading.store(), reading.data_dir());
        let reply_to = match &new.reply_to {
            Some(id) => Some(find_message(store, data_dir, id).await?),
            None => None,
        };
        let run = run(new, reply_to.as_ref(), reading).await?;
        let agents = look::agents(reading, &run).await?;
        let (audience, topic) = audience(&new.to, &agents, &run)?;
        let expiry_at = new.expires_in.and_then(|time| {
            let time = chrono::Duration::from_std(time).ok()?;
            SystemClock.now().checked_add_signed(time)
        });
        Ok(Self {
            run,
            audience,
            topic,
            message_type: new.message_type.clone(),
            payload,
            reply_to,
            expiry_at,
        })
    }

    pub(super) fn draft(&self) -> Draft<'_> {
        Draft {
            sender: None,
            run_id: Some(self.run.id),
            audience: self.audience.clone(),
            topic: self.topic.clone(),
            message_type: self.message_type.clone(),
            payload: self.payload.clone(),
            reply_to: self.reply_to.as_ref(),
            expiry_at: self.expiry_at,
        }
    }
}

/// The run that is meant: named, that of the message that is answered, or the newest unfinished one.
async fn run(
    new: &NewMessage,
    answered: Option<&Message>,
    reading: &Reading,
) -> Result<Run, Problem> {
    let store = reading.store();
    let of_answered = answered.and_then(|message| message.run_id);
    let run = match (&new.run, of_answered) {
        (Some(text), _) => find(store, reading.data_dir(), Some(text)).await?,
        (None, Some(run)) => store.get(run).await.map_err(read)?,
        (None, None) => {
            let unfinished = store.list(&RunFilter::unfinished(), Page::first(1)).await;
            let newest = unfinished.map_err(read)?.into_iter().next();
            newest.ok_or_else(|| {
                Problem::new(
                    ProblemKind::NotFound,
                    "no run is under way, so nobody would read it",
                )
                .with_help("start one with: fusion-kit run FILE")
            })?
        }
    };
    if run.state.is_final() {
        let text = format!(
            "run {} is {} already: nobody would read it",
            run.id, run.state
        );
        return Err(Problem::new(ProblemKind::Conflict, text));
    }
    if let Some(other) = of_answered.filter(|other| *other != run.id) {
        let text = format!(
            "the message that is answered belongs to run {other}, not to {}",
            run.id
        );
        return Err(Problem::new(ProblemKind::InvalidInput, text));
    }
    Ok(run)
}

/// Who gets it, and on which topic.
fn audience(to: &To, agents: &[Agent], run: &Run) -> Result<(Audience, String), Problem> {
    let living = || {
        let readers = agents.iter().filter(|agent| !agent.is_runner());
        readers.filter(|agent| agent.state != AgentState::Terminated)
    };
    match to {
        To::Agent(text) if text == EVERYONE => audience(&To::Everyone, agents, run),
        To::Agent(text) => {
            let agent = look::named(agents, run, text)?;
            if agent.state == AgentState::Terminated {
                let text = format!("the agent '{}' has ended: it reads no more", agent.name);
                return Err(Problem::new(ProblemKind::Conflict, text));
            }
            Ok((Audience::Agents(vec![agent.id]), inbox_subject(agent.id)))
        }
        To::Topic(topic) if topic == TOPIC_OF_EVERYONE => audience(&To::Everyone, agents, run),
        To::Topic(topic) => {
            let subject: Subject = topic.parse().map_err(|error| problems::of_error(&error))?;
            if let Some(first) = reserved_part(topic) {
                let text = format!("the topics that begin with `{first}.` belong to the engine");
                return Err(Problem::new(ProblemKind::InvalidInput, text).with_help(
                    "take a name of your own, or `broadcast.NAME`; --to reaches one agent",
                ));
            }
            let listens = |agent: &&Agent| {
                let patterns = agent.message_subscriptions.iter();
                let mut patterns = patterns.filter_map(|text| text.parse::<Pattern>().ok());
                patterns.any(|pattern| pattern.matches(&subject))
            };
            let listeners = living().filter(listens).map(|agent| agent.id).collect();
            Ok((Audience::Listeners(listeners), topic.clone()))
        }
        To::Everyone => {
            let all = living().map(|agent| agent.id).collect();
            Ok((Audience::Listeners(all), TOPIC_OF_EVERYONE.to_owned()))
        }
    }
}

/// Commits what was decided; gives the message as it is stored. On a server other processes may be
/// at work, a file belongs to one.
pub(super) async fn commit(
    backend: &LocalBackend,
    id: MessageId,
    decision: Decision,
) -> Result<MessageDetail, Problem> {
    let place = backend.place()?;
    let bus = BusPlace::of(backend.config())?;
    let subjects = decision.subjects();
    let location = place.location();
    let work = Box::pin(write(location, id, decision));
    let written = match location {
        Location::Server(_) => work.await,
        Location::File(..) | Location::Memory => place.alone(work).await?,
    };
    let sent = written?;
    bus.tell(subjects, &SystemIds::new()).await;
    Ok(sent)
}

async fn write(
    location: &Location,
    id: MessageId,
    decision: Decision,
) -> Result<MessageDetail, Problem> {
    let writing = TaskTracker::new();
    let store = SqlStore::open(location, &writing).await.map_err(read)?;
    let sent = match store.commit(Batch::free(decision)).await {
        Ok(_) => views::detail(&store, id).await.map_err(read),
        Err(StoreError::InboxFull { agent, limit }) => Err(full(&store, agent, limit).await),
        Err(error) => Err(read(error)),
    };
    wiring::close(store, &writing).await;
    sent
}

/// Nobody knows an agent by its id.
async fn full(store: &SqlStore, agent: AgentId, limit: u32) -> Problem {
    let found: Result<Agent, StoreError> = store.get(agent).await;
    let name = found.map_or_else(|_| agent.to_string(), |agent| agent.name);
    let text =
        format!("the inbox of '{name}' is full: {limit} messages wait for it, nothing was sent");
    let look = format!("see what waits with: fusion-kit message list --to {name} --status pending");
    Problem::new(ProblemKind::Limited, text).with_help(look)
}
