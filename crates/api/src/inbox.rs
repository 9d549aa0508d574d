//! What waits for a person.

use std::collections::BTreeSet;

use fusion_api_types::{InboxItem, InboxView};
use fusion_core::{
    Agent, AgentState, Approval, ApprovalState, Event, EventType, NewEvent, Run, RunId, Task,
    TaskState,
};
use fusion_persistence::{
    AgentFilter, ApprovalFilter, EventFilter, Page, Reader, Repository, Result, RunFilter,
};
use serde_json::Value;

/// Rows of each kind that are looked at.
const MOST: u32 = 1_000;

/// Everything that waits for a person, the oldest first.
///
/// # Errors
/// The store fails.
pub async fn read(store: &dyn Reader) -> Result<InboxView> {
    let mut items = approvals(store).await?;
    let open: Vec<Run> = store
        .list(&RunFilter::unfinished(), Page::first(MOST))
        .await?;
    for run in &open {
        if let Some(halt) = run.halt.as_ref().filter(|_| run.is_paused()) {
            items.push(InboxItem {
                kind: "paused_run".to_owned(),
                id: run.id.to_string(),
                run: Some(run.id.to_string()),
                name: run.workflow_name.clone(),
                since: halt.since,
                expires: None,
                message: format!("held by {}", halt.by),
            });
        } else if let Some(event) = budget_stop(store, run.id).await? {
            items.push(stopped(store, run, event.event).await?);
        }
    }
    items.extend(silent(store).await?);
    items.sort_by_key(|item| item.since);
    Ok(InboxView { items })
}

/// A run that its budget stopped; of a task of its own that is the task.
async fn stopped(store: &dyn Reader, run: &Run, event: NewEvent) -> Result<InboxItem> {
    let mut item = InboxItem {
        kind: "budget".to_owned(),
        id: run.id.to_string(),
        run: Some(run.id.to_string()),
        name: run.workflow_name.clone(),
        since: event.timestamp,
        expires: None,
        message: event.message.clone(),
    };
    if run.is_standalone {
        let task = store.tasks_of_run(run.id).await?.into_iter().next();
        if let Some(task) = task {
            // An older program told only of tasks that were stopped by their own.
            let kind = match event.data.get("is_own").and_then(Value::as_bool) {
                Some(false) => "budget_around",
                Some(true) | None => "task_budget",
            };
            kind.clone_into(&mut item.kind);
            item.id = task.id.to_string();
            item.name = task.name;
        }
    }
    Ok(item)
}

async fn approvals(store: &dyn Reader) -> Result<Vec<InboxItem>> {
    let pending = ApprovalFilter {
        states: vec![ApprovalState::Pending],
        ..ApprovalFilter::default()
    };
    let pending: Vec<Approval> = store.list(&pending, Page::first(MOST)).await?;
    let mut items = Vec::new();
    for approval in pending {
        let task: Option<Task> = store.find(approval.task_id).await?;
        // Its run may have ended in another way.
        let Some(task) = task.filter(|task| task.state == TaskState::Queued) else {
            continue;
        };
        items.push(InboxItem {
            kind: "approval".to_owned(),
            id: approval.id.to_string(),
            run: approval.run_id.map(|run| run.to_string()),
            name: task.name,
            since: approval.requested_at,
            expires: approval.expires_at,
            message: approval.question,
        });
    }
    Ok(items)
}

/// The event that tells that a budget stopped a run, unless something was handed out since.
async fn budget_stop(store: &dyn Reader, run: RunId) -> Result<Option<Event>> {
    let types = [
        EventType::BudgetExceeded,
        EventType::TaskAssigned,
        EventType::WorkflowResumed,
    ];
    let filter = EventFilter {
        types: types.iter().map(|it| it.as_str().to_owned()).collect(),
        ..EventFilter::of_run(run)
    };
    let newest = store.events_before(&filter, None, 1).await?.pop();
    Ok(newest.filter(|event| event.event.event_type == EventType::BudgetExceeded))
}

/// Agents at work that were told to show no progress and have shown none since.
async fn silent(store: &dyn Reader) -> Result<Vec<InboxItem>> {
    let working = AgentFilter {
        states: vec![AgentState::Working],
        ..AgentFilter::default()
    };
    let working: Vec<Agent> = store.list(&working, Page::first(MOST)).await?;
    if working.is_empty() {
        return Ok(Vec::new());
    }
    let types = [EventType::AgentUnresponsive, EventType::AgentRecovered];
    let filter = EventFilter {
        types: types.iter().map(|it| it.as_str().to_owned()).collect(),
        agents: working.iter().map(|agent| agent.id).collect(),
        ..EventFilter::default()
    };
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for Event { event, .. } in store.events_before(&filter, None, MOST).await? {
        let agent = event
            .source_agent_id
            .and_then(|id| working.iter().find(|agent| agent.id == id));
        let Some(agent) = agent.filter(|agent| seen.insert(agent.id)) else {
            continue;
        };
        if event.event_type == EventType::AgentUnresponsive {
            items.push(InboxItem {
                kind: "unresponsive_agent".to_owned(),
                id: agent.id.to_string(),
                run: event.run_id.map(|run| run.to_string()),
                name: agent.name.clone(),
                since: event.timestamp,
                expires: None,
                message: event.message,
            });
        }
    }
    Ok(items)
}
