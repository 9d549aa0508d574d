//! What an agent did, from the journals of its tasks.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use fusion_api_types::{AgentLogEntry, Problem};
use fusion_cli::Log;
use fusion_core::{AgentId, EntryState, JournalEntry, JournalEntryId, Task};
use fusion_persistence::{Page, Reader, Repository, TaskFilter};
use tokio::time::{MissedTickBehavior, interval};

use super::read;
use fusion_api::run_views::journal_view;

/// How often `--follow` looks for more.
const LOOK: Duration = Duration::from_millis(250);

/// Tasks whose journals are read: the newest.
const TASKS: u32 = 50;

/// Tasks in which something may be new.
const NEW: u32 = 5;

pub(super) async fn show(
    store: &dyn Reader,
    agent: AgentId,
    limit: u32,
    follow: bool,
    log: &mut dyn Log,
) -> Result<(), Problem> {
    let mut shown = BTreeSet::new();
    let mut all = entries(store, agent, TASKS).await?;
    let keep = usize::try_from(limit).unwrap_or(usize::MAX);
    for (_, entry) in all.drain(..all.len().saturating_sub(keep)) {
        shown.insert(entry.id);
    }
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for (task, entry) in all {
            // What goes on is told when it is done, where somebody waits for that.
            let is_told = !follow || entry.state != EntryState::Started;
            if is_told
                && shown.insert(entry.id)
                && let ControlFlow::Break(()) = log.entry(&view(&task, &entry))?
            {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        ticks.tick().await;
        all = entries(store, agent, NEW).await?;
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

fn view(task: &Task, entry: &JournalEntry) -> AgentLogEntry {
    AgentLogEntry {
        run: task.run_id.to_string(),
        task: task.id.to_string(),
        step: task.name.clone(),
        entry: journal_view(entry),
    }
}
