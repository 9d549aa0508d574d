//! What an agent did, from the journals of its tasks.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use fusion_api::run_views::journal_view;
use fusion_api_types::api::Delta;
use fusion_api_types::{AgentLogEntry, AgentSummary, Problem};
use fusion_cli::Log;
use fusion_core::{AgentId, EntryState, JournalEntry, JournalEntryId, Task};
use fusion_persistence::{Page, Reader, Repository, TaskFilter};
use tokio::time::{Instant, sleep};

use super::read;
use crate::backend::LocalBackend;
use crate::remote::{Listening, Remote};

/// How often `--follow` looks for more.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// Tasks whose journals are read: the newest.
const TASKS: u32 = 50;

/// Tasks in which something may be new.
const NEW: u32 = 5;

/// Entries that are read to find what is new.
const RECENT: u32 = 500;

/// How much of a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// As much as is ever shown.
    Whole(u32),
    /// Where something may be new.
    End,
}

impl Reach {
    /// How many entries of a server are enough.
    pub(crate) const fn entries(self) -> u32 {
        match self {
            Self::Whole(limit) => limit,
            Self::End => RECENT,
        }
    }
}

/// How much of a log is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// At most so many entries of before, the newest.
    pub(crate) limit: u32,
    /// Of these only what was begun since then.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Also what comes.
    pub(crate) follow: bool,
}

impl Extent {
    /// So many entries of before, and what comes.
    pub(crate) const fn on_from(limit: u32) -> Self {
        Self {
            limit,
            since: None,
            follow: true,
        }
    }

    /// How many of these entries, the oldest first, are not shown.
    fn skipped(&self, entries: &[(String, AgentLogEntry)]) -> usize {
        let keep = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let is_old = |entry: &AgentLogEntry| {
            self.since
                .is_some_and(|since| entry.entry.started_at < since)
        };
        let old = entries.iter().take_while(|(_, entry)| is_old(entry));
        old.count().max(entries.len().saturating_sub(keep))
    }
}

/// Where a log is read.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Entries with their ids, oldest first.
    async fn entries(&self, reach: Reach) -> Result<Vec<(String, AgentLogEntry)>, Problem>;

    /// Waits a moment; what is said meanwhile is told. Says whether anything more may come.
    async fn wait(&mut self, log: &mut dyn Log) -> Result<ControlFlow<()>, Problem>;
}

/// The log of an agent in a store.
pub(super) struct OfStore<'a> {
    pub(super) store: &'a dyn Reader,
    pub(super) agent: AgentId,
}

/// The log of an agent of a server.
pub(super) struct OfServer {
    pub(super) remote: Remote,
    pub(super) agent: AgentSummary,
    pub(super) listening: Listening,
}

impl LocalBackend {
    /// The server that a log is asked of, if any: what is being said is heard of one only.
    pub(crate) fn log_server(&self, follow: bool) -> Result<Option<Remote>, Problem> {
        if follow {
            self.remote()
        } else {
            self.named_remote()
        }
    }
}

/// Shows what a source tells.
pub(crate) async fn show(
    source: &mut dyn Source,
    extent: Extent,
    log: &mut dyn Log,
) -> Result<(), Problem> {
    let Extent { limit, follow, .. } = extent;
    let mut shown = BTreeSet::new();
    // Who goes on must know all that is seen at the next look.
    let reach = if follow { limit.max(RECENT) } else { limit };
    let mut all = source.entries(Reach::Whole(reach)).await?;
    for (id, entry) in all.drain(..extent.skipped(&all)) {
        if !follow || is_done(&entry) {
            shown.insert(id);
        }
    }
    loop {
        for (id, entry) in all {
            // What goes on is told when it is done, where somebody waits for that.
            let is_told = !follow || is_done(&entry);
            if is_told
                && shown.insert(id)
                && let ControlFlow::Break(()) = log.entry(&entry)?
            {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        if source.wait(log).await?.is_break() {
            return Ok(());
        }
        all = source.entries(Reach::End).await?;
    }
}

/// Whether nothing more is written about an entry.
fn is_done(entry: &AgentLogEntry) -> bool {
    entry.entry.state != EntryState::Started.as_str()
}

#[async_trait]
impl Source for OfServer {
    async fn entries(&self, reach: Reach) -> Result<Vec<(String, AgentLogEntry)>, Problem> {
        let path = format!("/agents/{}/logs", self.agent.id);
        self.remote.log(&path, reach.entries()).await
    }

    async fn wait(&mut self, log: &mut dyn Log) -> Result<ControlFlow<()>, Problem> {
        listen(&mut self.listening, |_| true, log).await
    }
}

/// Tells for a moment what is said of what is meant.
pub(crate) async fn listen(
    listening: &mut Listening,
    is_meant: impl Fn(&Delta) -> bool + Send,
    log: &mut dyn Log,
) -> Result<ControlFlow<()>, Problem> {
    let until = Instant::now() + LOOK;
    while let Some(delta) = listening
        .words(until.saturating_duration_since(Instant::now()))
        .await
    {
        if is_meant(&delta) && log.words(&delta)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[async_trait]
impl Source for OfStore<'_> {
    async fn entries(&self, reach: Reach) -> Result<Vec<(String, AgentLogEntry)>, Problem> {
        let tasks = match reach {
            Reach::Whole(_) => TASKS,
            Reach::End => NEW,
        };
        let entries = entries(self.store, self.agent, tasks).await?;
        let entries = entries.iter();
        Ok(entries
            .map(|(task, entry)| (entry.id.to_string(), view(task, entry)))
            .collect())
    }

    async fn wait(&mut self, _: &mut dyn Log) -> Result<ControlFlow<()>, Problem> {
        sleep(LOOK).await;
        Ok(ControlFlow::Continue(()))
    }
}

/// The journals of an agent's newest tasks, oldest first.
async fn entries(
    store: &dyn Reader,
    agent: AgentId,
    tasks: u32,
) -> Result<Vec<(Task, JournalEntry)>, Problem> {
    let filter = TaskFilter {
        agent: Some(agent),
        ..TaskFilter::default()
    };
    let tasks = store
        .list(&filter, Page::first(tasks))
        .await
        .map_err(read)?;
    let mut entries: Vec<(Task, JournalEntry)> = Vec::new();
    for task in tasks {
        let journal = store.journal(task.id).await.map_err(read)?;
        entries.extend(journal.into_iter().map(|entry| (task.clone(), entry)));
    }
    let place = |entry: &JournalEntry| -> (_, u32, JournalEntryId) {
        (entry.started_at, entry.seq, entry.id)
    };
    entries.sort_by_key(|(_, entry)| place(entry));
    Ok(entries)
}

/// An entry of the journal of a task.
pub(crate) fn view(task: &Task, entry: &JournalEntry) -> AgentLogEntry {
    AgentLogEntry {
        run: task.run_id.to_string(),
        task: task.id.to_string(),
        step: task.name.clone(),
        entry: journal_view(entry),
    }
}
