//! Runs that are deleted.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::ProblemBody;
use fusion_api_types::{CollectRuns, RunDeleted, RunsDeleted};
use fusion_coordination::{Discarding, OldRuns};
use fusion_core::{RunId, WorkflowState};

use super::path::Id;
use crate::idempotency::Asked;
use crate::input::{Fields, Input};
use crate::parameters::Trying;
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{Query, flag};
use crate::routed::{Routes, routes};
use crate::run_views::{collected, deleted};
use crate::state::App;

/// What is told of runs.
const KIND: &str = "run";

/// How long a request works at most, about: what is left then is done by the next one, and by who keeps the
/// store tidy. Well below the time that any request has.
const WITHIN: Duration = Duration::from_secs(20);

/// States that are named at most.
const MOST_STATES: usize = 10;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(delete)).routes(routes!(collect))
}

/// Deletes a run that has ended, with the runs below it, their tasks, journals, messages and agents, the
/// workspaces of these, and the kept files that nobody else names. Its events and what it cost stay.
#[utoipa::path(delete, path = "/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "UUID of the run."),
        ("only_copies" = Option<bool>, Query,
         description = "Also when the workspace of an agent holds what is nowhere else."), Trying),
    responses(
        (status = 200, body = RunDeleted),
        (status = 409, description = "It has not ended, something that has not ended needs it, or a workspace \
         holds what is nowhere else.", body = ProblemBody, content_type = "application/problem+json"),
    ))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<RunId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    let mut given = query.of(&["only_copies", "dry_run"]);
    let how = Discarding {
        only_copies: given.one("only_copies", flag).unwrap_or_default(),
        dry_run: given.dry_run(),
    };
    given.finish()?;
    let working = app.clone();
    let work = async move {
        let by = &asked.actor().name;
        let engine = working.coordinator();
        let done = engine.delete_run(id, how, by, Some(WITHIN)).await?;
        if !how.dry_run {
            tell(&working, &asked, id).await;
        }
        Ok(done)
    };
    let done = app.to_the_end(Box::pin(work)).await?;
    json(StatusCode::OK, &deleted(done, how.dry_run))
}

/// Deletes all runs that ended so long ago, but those that something open needs and those with what is
/// nowhere else. With many of them it stops after some seconds, and says where to go on.
#[utoipa::path(post, path = "/runs/gc", tag = "runs", request_body = CollectRuns,
    responses((status = 200, body = RunsDeleted)))]
async fn collect(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&[
        "older_than_seconds",
        "states",
        "only_copies",
        "dry_run",
        "after",
    ]);
    let older_than = fields.number("older_than_seconds");
    if older_than.is_none() {
        fields.add("older_than_seconds", "must be a number of seconds");
    }
    let states = states(&mut fields);
    let how = Discarding {
        only_copies: fields.flag("only_copies").unwrap_or_default(),
        dry_run: fields.flag("dry_run").unwrap_or_default(),
    };
    let after = fields.read("after", |text| {
        text.parse::<RunId>()
            .map_err(|_| "must be the `next` of an earlier answer".to_owned())
    });
    fields.finish()?;
    let which = OldRuns {
        older_than: Duration::from_secs(older_than.unwrap_or_default()),
        states,
        after,
        within: Some(WITHIN),
    };
    let working = app.clone();
    let work = async move {
        let by = &asked.actor().name;
        let done = working.coordinator().collect_runs(&which, how, by).await?;
        if !how.dry_run {
            for gone in &done.gone {
                tell(&working, &asked, gone.run.id).await;
            }
        }
        Ok(done)
    };
    let done = app.to_the_end(Box::pin(work)).await?;
    json(StatusCode::OK, &collected(how.dry_run, done))
}

/// The final states that are named; none where nothing is said of them.
fn states(fields: &mut Fields<'_>) -> Vec<WorkflowState> {
    let mut states = Vec::new();
    if !fields.has("states") {
        return states;
    }
    for (index, state) in fields.list("states", MOST_STATES).iter().enumerate() {
        let state = state.as_str().and_then(WorkflowState::from_text);
        match state.filter(|state| state.is_final()) {
            Some(state) => states.push(state),
            None => fields.at("states", index, "must be completed, failed or cancelled"),
        }
    }
    states
}

/// The engine made the change in commits of its own: who asked is told after it.
async fn tell(app: &App, asked: &Asked, id: RunId) {
    let engine = app.coordinator();
    let told = engine.tell_change(asked.actor(), "deleted", KIND, id.uuid());
    if let Err(error) = told.await {
        tracing::error!(%error, %id, "who deleted a run could not be told");
    }
}
