//! New attempts of runs that have ended.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{ForkRun, RetryRun, RunStarted};
use fusion_coordination::Again;
use fusion_core::{Run, RunId, WorkflowState};
use fusion_persistence::Repository;
use serde_json::{Map, Value};

use super::path::Id;
use crate::idempotency::{Asked, made, replayed};
use crate::input::{Fields, Input};
use crate::problem::Result;
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;

/// The longest id of a step.
const MAX_STEP: usize = 255;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(retry)).routes(routes!(fork))
}

/// Does again what is not finished of a run that failed or was cancelled: as a new run, which takes over
/// what is, and which the server works on.
#[utoipa::path(post, path = "/runs/{id}/retry", tag = "runs", request_body = RetryRun,
    params(("id" = String, Path, description = "UUID of the run.")),
    responses((status = 200, body = RunStarted)))]
async fn retry(
    State(app): State<App>,
    Id(run): Id<RunId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["from", "latest"]);
    let again = Again {
        run,
        from: step(&mut fields),
        inputs: Map::new(),
        latest: fields.flag("latest").unwrap_or(false),
    };
    fields.finish()?;
    started(&app, &asked, &input, &again).await
}

/// Goes on from a step of a run that has ended, maybe with other inputs: as a new run, which takes over
/// what was finished before that step.
#[utoipa::path(post, path = "/runs/{id}/fork", tag = "runs", request_body = ForkRun,
    params(("id" = String, Path, description = "UUID of the run.")),
    responses((status = 200, body = RunStarted)))]
async fn fork(
    State(app): State<App>,
    Id(run): Id<RunId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["from", "inputs", "latest"]);
    if !fields.has("from") {
        fields.add("from", "is required");
    }
    let inputs = match fields.object("inputs") {
        Some(Value::Object(inputs)) => inputs,
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        )
        | None => Map::new(),
    };
    let again = Again {
        run,
        from: step(&mut fields),
        inputs,
        latest: fields.flag("latest").unwrap_or(false),
    };
    fields.finish()?;
    started(&app, &asked, &input, &again).await
}

fn step(fields: &mut Fields<'_>) -> Option<String> {
    fields.text("from", MAX_STEP).map(str::to_owned)
}

async fn started(app: &App, asked: &Asked, input: &Input, again: &Again) -> Result<Response> {
    if let Some(answer) = asked.remembered(app, &input.bytes).await? {
        return replayed(StatusCode::OK, &answer);
    }
    // The version is known for sure only when the run is stored.
    let before: Run = app.reader().get(again.run).await?;
    let now = app.moment().now;
    let told = |run: RunId, workflow_id: String| RunStarted {
        run_id: run.to_string(),
        workflow_id,
        state: WorkflowState::Ready.to_string(),
    };
    let newest = if again.latest {
        app.reader().latest_workflow(&before.workflow_name).await?
    } else {
        None
    };
    let workflow = newest.map_or(before.workflow_id, |newest| newest.id);
    let answer = |run| told(run, workflow.to_string());
    let ask = |run| asked.ask(now, &input.bytes, || answer(run));
    match app.coordinator().run_again(again, ask).await {
        Ok(run) => made(Ok(()), StatusCode::OK, &answer(run)),
        Err(error) => made(Err(error), StatusCode::OK, &Value::Null),
    }
}
