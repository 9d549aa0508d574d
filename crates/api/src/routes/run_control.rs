//! Runs under a person's control: held, let go on, ended.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::RunSummary;
use fusion_api_types::api::{PauseRun, ResumeRun, RunsCancelled};
use fusion_coordination::{Error as EngineError, Raised};
use fusion_core::{Budget, Cost, PauseAt, Run, RunId, WorkflowId};
use fusion_persistence::{Page, Repository, RunFilter};

use super::path::Id;
use super::runs::shown;
use crate::dry_run::{tried, view as dry_run_view};
use crate::idempotency::Asked;
use crate::input::{Fields, Input};
use crate::parameters::Trying;
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;

/// What is told of runs.
const KIND: &str = "run";

/// Runs that are ended in one go.
const AT_ONCE: u32 = 1_000;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(cancel))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel_all))
}

/// Ends a run: running tools and model calls are cut off, its open steps are cancelled. Ending it again
/// changes nothing.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs",
    params(("id" = String, Path, description = "UUID of the run."), Trying),
    responses((status = 200, body = RunSummary)))]
async fn cancel(
    State(app): State<App>,
    Id(id): Id<RunId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    let by = &asked.actor().name;
    if query.dry_run()? {
        return tried(&app, |dry| async move { dry.cancel_run(id, by).await }).await;
    }
    let run = app.coordinator().cancel_run(id, by).await?;
    answered(&app, &asked, "cancelled", &run).await
}

/// Holds a run: nothing of it is handed out until it is let go on. Holding it again changes nothing,
/// but that `now` still cuts off what was let end.
#[utoipa::path(post, path = "/runs/{id}/pause", tag = "runs", request_body = PauseRun,
    params(("id" = String, Path, description = "UUID of the run."), Trying),
    responses((status = 200, body = RunSummary)))]
async fn pause(
    State(app): State<App>,
    Id(id): Id<RunId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let mut fields = input.fields(&["at"]);
    let at = fields.read("at", |text| {
        word(text, PauseAt::from_text, PauseAt::ALL, PauseAt::as_str)
    });
    fields.finish()?;
    let at = at.unwrap_or(PauseAt::NextStep);
    let by = &asked.actor().name;
    if dry_run {
        return tried(&app, |dry| async move { dry.pause_run(id, at, by).await }).await;
    }
    let run = app.coordinator().pause_run(id, at, by).await?;
    answered(&app, &asked, "paused", &run).await
}

/// Lets a run go on that is held, or that could not go on: the server takes it up at once.
#[utoipa::path(post, path = "/runs/{id}/resume", tag = "runs", request_body = ResumeRun,
    params(("id" = String, Path, description = "UUID of the run.")),
    responses((status = 200, body = RunSummary)))]
async fn resume(
    State(app): State<App>,
    Id(id): Id<RunId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["budget_usd", "budget_tokens", "budget_of", "now"]);
    let raised = raised(&mut fields);
    let early = fields.flag("now").unwrap_or(false);
    fields.finish()?;
    check_names(&app, id, &raised).await?;
    let by = &asked.actor().name;
    let engine = app.coordinator();
    let run = engine.release_run(id, raised, early, by).await?;
    answered(&app, &asked, "resumed", &run).await
}

/// The budgets of a request.
fn raised(fields: &mut Fields<'_>) -> Raised {
    let budget = Budget {
        usd: fields.read("budget_usd", Cost::read_limit),
        tokens: fields.number("budget_tokens"),
    };
    match fields.name("budget_of") {
        Some(_) if budget.is_empty() => {
            fields.add("budget_of", "is given, and no budget");
            Raised::default()
        }
        Some(name) => Raised::of(name, budget),
        None => Raised {
            run: budget,
            ..Raised::default()
        },
    }
}

/// Refuses a budget of an agent or a step that the run does not have.
async fn check_names(app: &App, id: RunId, raised: &Raised) -> Result<()> {
    if raised.agents.is_empty() && raised.steps.is_empty() && raised.workflow.is_none() {
        return Ok(());
    }
    let run: Run = app.reader().get(id).await?;
    let workflow = app.reader().get(run.workflow_id).await?;
    match raised.unknown_in(&workflow.definition) {
        Some(_) => Err(Refusal::fault(
            "/budget_of",
            "the run has no agent, step or workflow of this name",
        )),
        None => Ok(()),
    }
}

/// Ends every open run of a version of a workflow.
#[utoipa::path(post, path = "/workflows/{id}/cancel", tag = "workflows",
    params(("id" = String, Path, description = "UUID of the version."), Trying),
    responses((status = 200, body = RunsCancelled)))]
async fn cancel_all(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    app.reader().get(id).await?;
    let (engine, by) = (app.coordinator(), &asked.actor().name);
    let (mut runs, mut changes) = (Vec::new(), Vec::new());
    // One may have ended by itself since it was listed.
    for run in open_runs(&app, id).await? {
        if dry_run {
            let tried = engine.dry_run(|dry| async move { dry.cancel_run(run, by).await });
            match tried.await {
                Err(EngineError::Ended { .. }) => {}
                tried => changes.extend(tried?),
            }
        } else if let Ok(run) = engine.cancel_run(run, by).await {
            tell(&app, &asked, "cancelled", run.id).await;
            runs.push(shown(&app, &run).await?);
        }
    }
    match dry_run {
        true => json(StatusCode::OK, &dry_run_view(changes)),
        false => json(StatusCode::OK, &RunsCancelled { runs }),
    }
}

/// Every open run of a version of a workflow.
async fn open_runs(app: &App, workflow: WorkflowId) -> Result<Vec<RunId>> {
    let open = RunFilter {
        workflow: Some(workflow),
        ..RunFilter::unfinished()
    };
    let (mut runs, mut page) = (Vec::new(), Page::first(AT_ONCE));
    loop {
        let found: Vec<Run> = app.reader().list(&open, page).await?;
        let Some(last) = found.last() else {
            return Ok(runs);
        };
        page.after = Some(last.id);
        runs.extend(found.iter().map(|run| run.id));
    }
}

/// Tells who changed a run, and answers with the run.
async fn answered(app: &App, asked: &Asked, done: &str, run: &Run) -> Result<Response> {
    tell(app, asked, done, run.id).await;
    json(StatusCode::OK, &shown(app, run).await?)
}

/// The engine made the change in commits of its own: who asked is told after it.
async fn tell(app: &App, asked: &Asked, done: &str, id: RunId) {
    let told = app
        .coordinator()
        .tell_change(asked.actor(), done, KIND, id.uuid());
    if let Err(error) = told.await {
        tracing::error!(%error, done, %id, "who changed a run could not be told");
    }
}
