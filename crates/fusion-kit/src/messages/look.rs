//! Which messages and which agents a command means.

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::MessageQuery;
use fusion_core::{Agent, AgentId, DeliveryStatus, Message, Run, Timestamp, nearest};
use fusion_persistence::{AgentReader, MessageFilter, Page, Repository};
use fusion_persistence_sql::SqlStore;

use super::{AT_ONCE, read};
use crate::backend::Reading;
use crate::find::find;

/// Names that a refusal lists.
const LISTED: usize = 20;

pub(super) async fn filter(
    query: &MessageQuery,
    reading: &Reading,
    now: Timestamp,
) -> Result<MessageFilter, Problem> {
    let (store, data_dir) = (reading.store(), reading.data_dir());
    let run = match query.run.as_deref() {
        Some(text) => Some(find(store, data_dir, Some(text)).await?),
        None => None,
    };
    let mut agents = [query.from.as_deref(), query.to.as_deref()].map(|_| None);
    for (found, text) in agents.iter_mut().zip([&query.from, &query.to]) {
        if let Some(text) = text {
            *found = Some(agent_of(reading, run.as_ref(), text).await?);
        }
    }
    let [sender, recipient] = agents;
    let ago = |time| now.checked_sub_signed(chrono::Duration::from_std(time).ok()?);
    let statuses = query.statuses.iter();
    Ok(MessageFilter {
        sender,
        recipient,
        topic: query.topic.clone(),
        statuses: statuses
            .filter_map(|status| DeliveryStatus::from_text(status))
            .collect(),
        run: run.map(|run| run.id),
        since: query.since.and_then(ago),
        until: None,
    })
}

/// Content that one list holds, in bytes as JSON, unless its first message has more.
const LIST_BYTES: usize = 16 * 1024 * 1024;

/// The newest messages.
pub(super) struct Newest {
    pub(super) messages: Vec<Message>,
    /// Older ones were left out: there would have been too much content.
    pub(super) cut: bool,
}

/// The newest messages, at most `limit` and at most [`LIST_BYTES`] of content.
pub(super) async fn newest(
    store: &SqlStore,
    filter: &MessageFilter,
    limit: u32,
) -> fusion_persistence::Result<Newest> {
    let mut messages: Vec<Message> = Vec::new();
    let (mut bytes, mut left) = (0, limit);
    while left > 0 {
        let page = Page {
            after: messages.last().map(|message| message.id),
            limit: left.min(AT_ONCE),
        };
        let found = store.list(filter, page).await?;
        left = match u32::try_from(found.len()) {
            Ok(count) if count == page.limit => left - count,
            Ok(_) | Err(_) => 0,
        };
        for message in found {
            bytes += message.payload.to_string().len();
            if bytes > LIST_BYTES && !messages.is_empty() {
                return Ok(Newest {
                    messages,
                    cut: true,
                });
            }
            messages.push(message);
        }
    }
    Ok(Newest {
        messages,
        cut: false,
    })
}

/// An agent by its id, or by its name in a run: the newest when none is named.
async fn agent_of(reading: &Reading, run: Option<&Run>, text: &str) -> Result<AgentId, Problem> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let newest;
    let run = match run {
        Some(run) => run,
        None => {
            newest = find(reading.store(), reading.data_dir(), None).await?;
            &newest
        }
    };
    let agents = agents(reading, run).await?;
    named(&agents, run, text).map(|agent| agent.id)
}

/// The agents of a run, by name.
pub(super) async fn agents(reading: &Reading, run: &Run) -> Result<Vec<Agent>, Problem> {
    let agents = reading.store().agents_of_run(run.id).await.map_err(read)?;
    Ok(agents.into_iter().map(|(agent, _)| agent).collect())
}

/// One of the agents of a run, by its name or its id.
pub(super) fn named<'a>(agents: &'a [Agent], run: &Run, text: &str) -> Result<&'a Agent, Problem> {
    let is_meant = |agent: &&Agent| agent.name == text || agent.id.to_string() == text;
    agents.iter().find(is_meant).ok_or_else(|| {
        let names = || agents.iter().map(|agent| agent.name.as_str());
        let help = match nearest(text, names()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => {
                let listed: Vec<&str> = names().take(LISTED).collect();
                format!("its agents are: {}", listed.join(", "))
            }
        };
        let message = format!("run {} has no agent '{text}'", run.id);
        Problem::new(ProblemKind::NotFound, message).with_help(help)
    })
}
