//! Tasks.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use fusion_api_types::api::{TaskDetail, TaskPage};
use fusion_core::{Task, TaskId, TaskState};
use fusion_persistence::{Repository, TaskFilter};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::path::Id;
use crate::input::parsed;
use crate::page;
use crate::parameters::Paging;
use crate::precondition::resource;
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::task_views;

/// How often it is looked whether a task has ended, where nobody says so.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(list)).routes(routes!(get))
}

/// The tasks, the newest first.
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("agent_id" = Option<String>, Query, description = "Only those of this agent."),
    ("workflow_id" = Option<String>, Query, description = "Only those of this version of a workflow."),
    ("run_id" = Option<String>, Query, description = "Only those of this run."),
    ("project_id" = Option<String>, Query, description = "Only tasks of their own that use the share of this project."),
    Paging,
), responses((status = 200, body = TaskPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&[
        "state",
        "agent_id",
        "workflow_id",
        "run_id",
        "project_id",
        "limit",
        "cursor",
    ]);
    let filter = TaskFilter {
        states: query.many("state", |text| {
            word(
                text,
                TaskState::from_text,
                TaskState::ALL,
                TaskState::as_str,
            )
        }),
        agent: query.one("agent_id", parsed),
        workflow: query.one("workflow_id", parsed),
        run: query.one("run_id", parsed),
        pool: query.one("project_id", parsed).map(Some),
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// One task, and why it waits.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", params(
    ("id" = String, Path, description = "UUID of the task."),
    ("wait" = Option<u64>, Query, description = "Answer when the task has ended, at the latest after so many seconds: 0 to 30."),
), responses((status = 200, body = TaskDetail)))]
async fn get(State(app): State<App>, Id(id): Id<TaskId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["wait"]);
    let wait = query.one("wait", super::runs::seconds);
    query.finish()?;
    if let Some(wait) = wait {
        ended(&app, id, Instant::now() + wait).await?;
    }
    let row: Task = app.reader().get(id).await?;
    let version = row.version;
    let detail = task_views::detail(app.reader(), row).await?;
    // What it waits for changes while the task does not.
    resource(&HeaderMap::new(), version, &detail)
}

/// Waits until a task has ended, the time is over, or the server stops.
async fn ended(app: &App, id: TaskId, until: Instant) -> Result<()> {
    let pattern = format!("task.*.{id}").parse();
    let pattern = pattern.map_err(|_| Refusal::internal("the topic of a task is no pattern"))?;
    let mut hints = app.parts.bus.subscribe(&pattern).await;
    loop {
        let task: Task = app.reader().get(id).await?;
        if task.state.is_final() {
            return Ok(());
        }
        let next = timeout_at(until.min(Instant::now() + LOOK), hints.recv());
        tokio::select! {
            () = app.stopping.cancelled() => return Ok(()),
            () = sleep_until(until) => return Ok(()),
            _ = next => {}
        }
    }
}
