//! Tasks with what they wait for and with their neighbours, as the API and the command line show them.

use std::collections::BTreeSet;

use fusion_api_types::api::{self, TaskDetail, TaskLine, TaskTree, TaskWaitReason};
use fusion_coordination::{Wait, why};
use fusion_core::{AgentState, Task, TaskId, TaskState};
use fusion_persistence::{Reader, Repository, Result};

use crate::views;

/// Lines of a tree at most; more are left out.
const MAX_LINES: usize = 10_000;

/// Tasks that need one and that are looked at.
const DEPENDENTS: u32 = 1_000;

/// A task as a list shows it.
#[must_use]
pub fn line(task: Task) -> api::Task {
    views::task(task)
}

/// A task with what it waits for.
///
/// # Errors
/// The store fails.
pub async fn detail(store: &dyn Reader, task: Task) -> Result<TaskDetail> {
    let waits = why(store, &task).await?;
    Ok(TaskDetail {
        task: views::task(task),
        waits_for: waits.into_iter().map(reason).collect(),
    })
}

fn reason(wait: Wait) -> TaskWaitReason {
    let mut shown = TaskWaitReason {
        kind: String::new(),
        text: String::new(),
        task_id: None,
        run_id: None,
        until: None,
    };
    let (kind, text) = match wait {
        Wait::Dependency { id, name, state } => {
            shown.task_id = Some(id.to_string());
            let text = match state {
                TaskState::Failed | TaskState::Cancelled => {
                    format!("it needs '{name}', which is {state}: it is about to be cancelled")
                }
                TaskState::Queued
                | TaskState::Assigned
                | TaskState::Running
                | TaskState::Completed => format!("it needs '{name}', which is {state}"),
            };
            ("dependency", text)
        }
        Wait::Time(wait) => {
            shown.until = Some(wait.until);
            ("time", wait.reason)
        }
        Wait::Run { id, told } => {
            shown.run_id = Some(id.to_string());
            ("run", told)
        }
        Wait::Approval { question } => ("approval", format!("a person is asked: {question}")),
        Wait::Capability { unknown, nearest } => ("capability", nobody_can(&unknown, &nearest)),
        Wait::Agents { busy, count } => ("agents", all_busy(&busy, count)),
        Wait::Turn => (
            "turn",
            "an agent that can do it is idle and takes it in its turn".to_owned(),
        ),
    };
    kind.clone_into(&mut shown.kind);
    shown.text = text;
    shown
}

/// Nobody works where the task is.
#[must_use]
pub fn no_process() -> TaskWaitReason {
    TaskWaitReason {
        kind: "process".to_owned(),
        text: "no process hosts the agents: start `fusion-kit serve`, or wait for it with \
               `fusion-kit task wait`"
            .to_owned(),
        task_id: None,
        run_id: None,
        until: None,
    }
}

fn nobody_can(unknown: &[String], nearest: &[(String, Vec<String>)]) -> String {
    let mut text = match unknown {
        [] if nearest.is_empty() => "there is no agent that may do it".to_owned(),
        [] => "no agent has all of the capabilities that it needs".to_owned(),
        [one] => format!("no agent has the capability '{one}'"),
        many => format!("no agent has the capabilities '{}'", many.join("', '")),
    };
    let near: Vec<String> = nearest
        .iter()
        .map(|(name, lacks)| format!("'{name}' lacks {}", lacks.join(", ")))
        .collect();
    if !near.is_empty() {
        text.push_str("; nearest: ");
        text.push_str(&near.join("; "));
    }
    text
}

fn all_busy(busy: &[(String, AgentState)], count: usize) -> String {
    let told: Vec<String> = busy
        .iter()
        .map(|(name, state)| format!("'{name}' is {state}"))
        .collect();
    let more = match count.saturating_sub(busy.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("no agent that can do it is free: {}{more}", told.join(", "))
}

/// What a task needs, and what needs it.
///
/// # Errors
/// The store fails.
pub async fn tree(store: &dyn Reader, task: Task) -> Result<TaskTree> {
    let needs = walk(store, &task, Way::Needs).await?;
    let needed_by = walk(store, &task, Way::NeededBy).await?;
    Ok(TaskTree {
        task: line_of(0, &task, false),
        needs,
        needed_by,
    })
}

#[derive(Clone, Copy)]
enum Way {
    Needs,
    NeededBy,
}

/// The tree from a task on, depth first; what stands above already is not followed again.
async fn walk(store: &dyn Reader, root: &Task, way: Way) -> Result<Vec<TaskLine>> {
    let mut lines = Vec::new();
    let mut seen: BTreeSet<TaskId> = BTreeSet::from([root.id]);
    let mut stack: Vec<(u32, Task)> = Vec::new();
    push(&mut stack, 1, neighbours(store, root, way).await?);
    while let Some((depth, task)) = stack.pop() {
        if lines.len() == MAX_LINES {
            break;
        }
        let again = !seen.insert(task.id);
        lines.push(line_of(depth, &task, again));
        if !again {
            push(&mut stack, depth + 1, neighbours(store, &task, way).await?);
        }
    }
    Ok(lines)
}

/// The first is taken first.
fn push(stack: &mut Vec<(u32, Task)>, depth: u32, tasks: Vec<Task>) {
    stack.extend(tasks.into_iter().rev().map(|task| (depth, task)));
}

async fn neighbours(store: &dyn Reader, task: &Task, way: Way) -> Result<Vec<Task>> {
    match way {
        Way::NeededBy => store.dependents(task.id, DEPENDENTS).await,
        Way::Needs => {
            let mut needed = Vec::with_capacity(task.dependencies.len());
            for id in &task.dependencies {
                needed.push(store.get(*id).await?);
            }
            Ok(needed)
        }
    }
}

fn line_of(depth: u32, task: &Task, again: bool) -> TaskLine {
    TaskLine {
        depth,
        id: task.id.to_string(),
        name: task.name.clone(),
        state: task.state.to_string(),
        again,
    }
}
