//! What a storm has left: in the store, and in the ledger that the workers wrote beside it.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::{AgentState, EntryState, EventType, RunId, Task, TaskState};
use fusion_persistence::{AgentReader, JournalFilter, Page, Repository, TaskReader};
use fusion_persistence_sql::SqlStore;
use serde_json::json;

use crate::faults::world;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Everything that must not be.
    pub(super) faults: Vec<String>,
    /// Results of workers that had lost their lease, kept out.
    pub(super) refused: usize,
    /// Work that was done more than once, because its worker died or lost its lease.
    #[expect(dead_code, reason = "printed")]
    pub(super) repeated: usize,
}

/// A line of the ledger.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) word: String,
    pub(super) task: String,
    pub(super) fence: u64,
    pub(super) process: u64,
}

pub(super) fn read(ledger: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(ledger).unwrap();
    let line = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        Line {
            word: parts[0].to_owned(),
            task: parts[1].to_owned(),
            fence: parts[2].parse().unwrap(),
            process: parts[3].parse().unwrap(),
        }
    };
    text.lines().map(line).collect()
}

pub(super) async fn check(store: &SqlStore, run: RunId, ledger: &Path) -> Verdict {
    let lines = read(ledger);
    let tasks = store.tasks_of_run(run).await.unwrap();
    let mut faults = Vec::new();
    let completed = completions(store, &mut faults).await;
    for task in &tasks {
        check_task(task, &lines, &completed, &mut faults);
    }
    for (agent, _) in store.agents_of_run(run).await.unwrap() {
        if agent.state != AgentState::Idle {
            faults.push(format!("{} is {} without a task", agent.name, agent.state));
        }
    }
    check_journals(store, run, &mut faults).await;
    let count = |word: &str| lines.iter().filter(|line| line.word == word).count();
    Verdict {
        faults,
        refused: count("refused"),
        repeated: count("done").saturating_sub(tasks.len()),
    }
}

/// How often the event log says of each task that it was completed.
async fn completions(store: &SqlStore, faults: &mut Vec<String>) -> BTreeMap<String, usize> {
    let events = world::events(store).await.unwrap();
    let mut completed = BTreeMap::new();
    for (event, place) in events.iter().zip(1..) {
        if event.seq != place {
            faults.push(format!("event {} is at place {place}", event.seq));
        }
        if event.event.event_type == EventType::TaskCompleted {
            let task = event.event.data["task_id"].as_str().unwrap().to_owned();
            *completed.entry(task).or_insert(0) += 1;
        }
    }
    completed
}

fn check_task(
    task: &Task,
    lines: &[Line],
    completed: &BTreeMap<String, usize>,
    faults: &mut Vec<String>,
) {
    let id = task.id.to_string();
    if (task.state, task.unmet_dependencies) != (TaskState::Completed, 0) {
        faults.push(format!("{id} is lost: it is {}", task.state));
    }
    let times = completed.get(&id).copied().unwrap_or_default();
    if times != 1 {
        faults.push(format!("{id} was completed {times} times"));
    }
    let of_task = |word: &'static str| {
        let id = id.clone();
        lines
            .iter()
            .filter(move |line| line.word == word && line.task == id)
    };
    let output = |line: &Line| json!({ "fence": line.fence, "process": line.process });
    let stored = task.output_artifacts.clone().unwrap_or_default();
    if stored["fence"] != json!(task.fence) {
        faults.push(format!(
            "{id} has the result {stored} of another fence than {}",
            task.fence
        ));
    }
    if !of_task("done").any(|line| output(line) == stored) {
        faults.push(format!("{id} has a result that nobody made: {stored}"));
    }
    for line in of_task("kept").filter(|line| output(line) != stored) {
        faults.push(format!(
            "{id} has the result {stored}, and {line:?} was acknowledged"
        ));
    }
}

/// Dense, ended, and booked once each.
async fn check_journals(store: &SqlStore, run: RunId, faults: &mut Vec<String>) {
    let all = JournalFilter::default();
    let entries = store.list(&all, Page::first(1_000_000)).await.unwrap();
    let mut seqs: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for entry in &entries {
        seqs.entry(entry.task_id).or_default().push(entry.seq);
        if entry.state != EntryState::Finished {
            faults.push(format!("a journal entry of {} has no end", entry.task_id));
        }
    }
    for (task, mut seqs) in seqs {
        seqs.sort_unstable();
        if !seqs
            .iter()
            .copied()
            .eq(1..=u32::try_from(seqs.len()).unwrap())
        {
            faults.push(format!("the journal of {task} has the places {seqs:?}"));
        }
    }
    match store.get(run).await {
        Ok(run) => {
            if run.open_tasks != 0 {
                faults.push(format!("the run has {} open tasks", run.open_tasks));
            }
            if run.usage.turns != entries.len() as u64 {
                let booked = run.usage.turns;
                faults.push(format!("{booked} of {} turns are booked", entries.len()));
            }
        }
        Err(error) => faults.push(format!("the run can't be read: {error}")),
    }
}
