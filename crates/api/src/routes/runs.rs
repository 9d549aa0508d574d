//! Runs: history and live state.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::RunPage;
use fusion_api_types::{RunDetail, RunSummary};
use fusion_core::{Run, RunId, TaskState, WorkflowId, WorkflowState};
use fusion_persistence::{Page, Repository, RunFilter, TaskFilter};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::path::Id;
use crate::input::parsed;
use crate::page;
use crate::parameters::Paging;
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{Parameters, Query, flag, word};
use crate::routed::{Routes, routes};
use crate::run_views::{Snapshot, summary};
use crate::state::App;

/// The longest wait for the end of a run, in seconds.
const MAX_WAIT: u64 = 30;

/// How often a run is looked at while its end is waited for, when nothing is heard of it.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(of_workflow))
        .routes(routes!(list))
        .routes(routes!(get))
}

/// The runs, the newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("workflow_id" = Option<String>, Query, description = "Only those of this version of a workflow."),
    ("workflow" = Option<String>, Query, description = "Only those of workflows of this name."),
    ("standalone" = Option<bool>, Query, description = "Only those that are a task of their own, or only the others."),
    ("parent" = Option<String>, Query, description = "Only those that a step of this run waits for, or waited for; `none` is those that no step does."),
    Paging,
), responses((status = 200, body = RunPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&[
        "state",
        "workflow_id",
        "workflow",
        "standalone",
        "parent",
        "limit",
        "cursor",
    ]);
    let filter = RunFilter {
        states: states(&mut query),
        workflow: query.one("workflow_id", parsed),
        workflow_name: query.one("workflow", parsed),
        standalone: query.one("standalone", flag),
        parent: query.one("parent", parent),
        ..RunFilter::default()
    };
    let page = query.page();
    query.finish()?;
    listed(&app, &filter, page).await
}

/// The runs of a version of a workflow, the newest first.
#[utoipa::path(get, path = "/workflows/{id}/runs", tag = "runs", params(
    ("id" = String, Path, description = "UUID of the version."),
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    Paging,
), responses((status = 200, body = RunPage)))]
async fn of_workflow(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    query: Query,
) -> Result<Response> {
    let mut query = query.of(&["state", "limit", "cursor"]);
    let filter = RunFilter {
        states: states(&mut query),
        workflow: Some(id),
        ..RunFilter::default()
    };
    let page = query.page();
    query.finish()?;
    app.reader().get(id).await?;
    listed(&app, &filter, page).await
}

/// The run above, or `none`.
fn parent(text: &str) -> std::result::Result<Option<RunId>, String> {
    if text == "none" {
        return Ok(None);
    }
    parsed(text).map(Some)
}

fn states(query: &mut Parameters<'_>) -> Vec<WorkflowState> {
    query.many("state", |text| {
        word(
            text,
            WorkflowState::from_text,
            WorkflowState::ALL,
            WorkflowState::as_str,
        )
    })
}

async fn listed(app: &App, filter: &RunFilter, page: Page<RunId>) -> Result<Response> {
    let found = page::rows(app, filter, page, |row| row.id).await?;
    let mut runs = Vec::with_capacity(found.rows.len());
    for run in &found.rows {
        runs.push(shown(app, run).await?);
    }
    json(
        StatusCode::OK,
        &RunPage {
            runs,
            total: found.total,
            next_cursor: found.next_cursor,
        },
    )
}

pub(super) async fn shown(app: &App, run: &Run) -> Result<RunSummary> {
    let ended = TaskFilter {
        states: vec![TaskState::Completed],
        run: Some(run.id),
        ..TaskFilter::default()
    };
    let completed = app.reader().count(&ended).await?;
    let live = is_live(app, run).await?;
    Ok(summary(
        run,
        usize::try_from(completed).unwrap_or(usize::MAX),
        live,
    ))
}

async fn is_live(app: &App, run: &Run) -> Result<bool> {
    Ok(run.state.is_final() || app.reader().is_worked_on(run.id).await?)
}

/// One run with its agents, its steps and what each step did.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(
    ("id" = String, Path, description = "UUID of the run."),
    ("wait" = Option<u64>, Query, description = "Answer when the run has ended, at the latest after so many seconds: 0 to 30."),
), responses((status = 200, body = RunDetail)))]
async fn get(State(app): State<App>, Id(id): Id<RunId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["wait"]);
    let wait = query.one("wait", seconds);
    query.finish()?;
    if let Some(wait) = wait {
        ended(&app, id, Instant::now() + wait).await?;
    }
    let run = app.reader().get(id).await?;
    let workflow = app.reader().get(run.workflow_id).await?;
    let live = is_live(&app, &run).await?;
    let snapshot = Snapshot::read(app.reader(), id).await?;
    let snapshot = snapshot.with_journals(app.reader()).await?;
    json(
        StatusCode::OK,
        &snapshot.detail(&workflow, &app.options.data_dir, live),
    )
}

/// How long an answer may be waited for.
pub(super) fn seconds(text: &str) -> std::result::Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= MAX_WAIT => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(format!("must be a number of seconds from 0 to {MAX_WAIT}")),
    }
}

/// Waits until a run has ended, the time is over, or the server stops.
async fn ended(app: &App, id: RunId, until: Instant) -> Result<()> {
    let pattern = format!("workflow.{id}.*").parse();
    let pattern = pattern.map_err(|_| Refusal::internal("the topic of a run is no pattern"))?;
    let mut hints = app.parts.bus.subscribe(&pattern).await;
    loop {
        if app.reader().get(id).await?.state.is_final() {
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
