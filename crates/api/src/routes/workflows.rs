//! Workflows: definitions, and how one is started.

use std::path::Path;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{
    self, Fault, NewWorkflow, RunStarted, StartWorkflow, Validation, WorkflowPage,
};
use fusion_coordination::{Error as EngineError, NewDefinition, Version, check_models, expect_own};
use fusion_core::{
    Budget, Cost, InputFault, Workflow, WorkflowDefinition, WorkflowId, WorkflowState, error_chain,
};
use fusion_persistence::{Error as StoreError, Repository, WorkflowFilter};
use fusion_workflow_file::check_called;
use serde_json::Value;

use super::drawn::{self, Given};
use super::path::{Id, folder, may_name_folders};
use crate::idempotency::{Asked, made, replayed};
use crate::input::{Input, parsed};
use crate::page;
use crate::parameters::Paging;
use crate::precondition::{json, resource};
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(validate))
        .routes(routes!(start))
}

/// The workflows, each version by itself, the newest first.
#[utoipa::path(get, path = "/workflows", tag = "workflows", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("project_id" = Option<String>, Query, description = "Only those of this project."),
    ("name" = Option<String>, Query, description = "Only versions of this name."),
    Paging,
), responses((status = 200, body = WorkflowPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["state", "project_id", "name", "limit", "cursor"]);
    let filter = WorkflowFilter {
        states: query.many("state", |text| {
            word(
                text,
                WorkflowState::from_text,
                WorkflowState::ALL,
                WorkflowState::as_str,
            )
        }),
        project: query.one("project_id", parsed),
        name: query.one("name", parsed),
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// One version of a workflow.
#[utoipa::path(get, path = "/workflows/{id}", tag = "workflows",
    params(("id" = String, Path, description = "UUID of the version.")),
    responses((status = 200, body = api::Workflow)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    resource(&headers, row.version, &views::workflow(row, true))
}

/// Checks a definition and stores it as the next version of its name: the text of a file (`source`), or a
/// graph (`name`, `dag_definition`, `execution_parameters`).
#[utoipa::path(post, path = "/workflows", tag = "workflows", request_body = NewWorkflow, responses(
    (status = 201, body = api::Workflow),
    (status = 200, description = "It is the newest version already.", body = api::Workflow),
))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let known = [&["source", "project_id", "base_dir"][..], &drawn::FIELDS].concat();
    let mut fields = input.fields(&known);
    let given = Given::read(&mut fields);
    let project_id = fields.read("project_id", parsed);
    let base_dir = fields.read("base_dir", folder);
    fields.finish()?;
    if base_dir.is_some() {
        may_name_folders(&asked)?;
    }
    if let Some(answer) = asked.remembered(&app, &input.bytes).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let (definition, source) = given.checked()?;
    fits(&app, &definition, &source).await?;
    let base_dir = base_dir.unwrap_or_else(|| app.options.data_dir.join("workflows"));
    let new = NewDefinition {
        definition,
        source,
        base_dir: base_dir.display().to_string(),
        project_id,
        after: None,
    };
    let now = app.moment().now;
    let ask = |row: &Workflow| {
        let answer = views::workflow(row.clone(), true);
        asked.ask(now, &input.bytes, || answer)
    };
    match app.coordinator().store_workflow(new, ask).await {
        Ok(Version::New(row)) => made(Ok(()), StatusCode::CREATED, &views::workflow(*row, true)),
        Ok(Version::Same(row)) => json(StatusCode::OK, &views::workflow(*row, true)),
        Err(EngineError::Store(StoreError::Missing { .. })) => {
            Err(Refusal::fault("/project_id", "there is no such project"))
        }
        Err(error) => made(Err(error), StatusCode::CREATED, &Value::Null),
    }
}

/// A definition without faults.
pub(super) fn checked(source: &str) -> Result<WorkflowDefinition> {
    fusion_workflow_file::parse(source).map_err(|faults| refused(&faults))
}

/// Sees that a definition fits the stored workflows that its steps are runs of.
pub(super) async fn fits(app: &App, definition: &WorkflowDefinition, source: &str) -> Result<()> {
    let called = app.coordinator().called_by(definition).await?;
    let faults = check_called(source, &called);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(refused(&faults))
    }
}

fn refused(faults: &[fusion_workflow_file::Fault]) -> Refusal {
    let faults = faults.iter().map(|fault| Fault {
        pointer: "/source".to_owned(),
        message: told(fault),
    });
    Refusal::invalid(faults.collect())
}

fn told(fault: &fusion_workflow_file::Fault) -> String {
    match &fault.help {
        Some(help) => format!("{fault}; {help}"),
        None => fault.to_string(),
    }
}

fn warned(warning: &fusion_workflow_file::Warning) -> String {
    format!("{} ({})", told(&warning.fault), warning.rule.as_str())
}

/// Checks a stored definition again: whether it fits the workflows that its steps are runs of, as they are
/// stored now, and whether the providers of its models are there and know them. Models that
/// inputs choose can be checked only when a run starts. Also says what is likely not meant.
#[utoipa::path(post, path = "/workflows/{id}/validate", tag = "workflows",
    params(("id" = String, Path, description = "UUID of the version.")),
    responses((status = 200, body = Validation)))]
async fn validate(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    query: Query,
) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    let errors: Vec<String> = match fusion_workflow_file::parse(&row.source) {
        Err(faults) => faults.iter().map(told).collect(),
        Ok(definition) => {
            let called = app.coordinator().called_by(&definition).await?;
            let faults = check_called(&row.source, &called);
            let models = model_faults(&app, &definition, &row.base_dir).await;
            faults.iter().map(told).chain(models).collect()
        }
    };
    let warnings = fusion_workflow_file::warnings(&row.source);
    json(
        StatusCode::OK,
        &Validation {
            valid: errors.is_empty(),
            errors,
            warnings: warnings.iter().map(warned).collect(),
        },
    )
}

/// What is wrong with the models of a definition as it would run with the defaults of its inputs.
async fn model_faults(app: &App, definition: &WorkflowDefinition, base_dir: &str) -> Vec<String> {
    let Ok(inputs) = definition.resolve_inputs(&serde_json::Map::new()) else {
        return Vec::new();
    };
    let registry = app.parts.desk.registry();
    let checked = check_models(registry, definition, &inputs, Path::new(base_dir)).await;
    checked
        .err()
        .map(|error| error_chain(&error))
        .into_iter()
        .collect()
}

/// Starts a run of a version. Its models are checked first; then it is stored, and the server works
/// on it whatever becomes of the client.
#[utoipa::path(post, path = "/workflows/{id}/start", tag = "workflows", request_body = StartWorkflow,
    params(("id" = String, Path, description = "UUID of the version.")),
    responses((status = 200, body = RunStarted)))]
async fn start(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["inputs", "max_cost_usd"]);
    let given = fields.object("inputs");
    let limit = Budget {
        usd: fields.read("max_cost_usd", Cost::read_limit),
        tokens: None,
    };
    fields.finish()?;
    if let Some(answer) = asked.remembered(&app, &input.bytes).await? {
        return replayed(StatusCode::OK, &answer);
    }
    let row: Workflow = app.reader().get(id).await?;
    expect_own(&row.name)?;
    let given = given
        .and_then(|given| given.as_object().cloned())
        .unwrap_or_default();
    let inputs = row.definition.resolve_inputs(&given).map_err(|faults| {
        let faults = faults.iter().map(input_fault);
        Refusal::invalid(faults.collect())
    })?;
    let registry = app.parts.desk.registry();
    let base_dir = Path::new(&row.base_dir);
    let models = check_models(registry, &row.definition, &inputs, base_dir).await?;
    let now = app.moment().now;
    let started = |run_id: fusion_core::RunId| RunStarted {
        run_id: run_id.to_string(),
        workflow_id: id.to_string(),
        state: WorkflowState::Ready.to_string(),
    };
    let ask = |run_id| asked.ask(now, &input.bytes, || started(run_id));
    match app
        .coordinator()
        .create_run_of(&row, inputs, (models, limit), ask)
        .await
    {
        Ok(run_id) => made(Ok(()), StatusCode::OK, &started(run_id)),
        Err(error) => made(Err(error), StatusCode::OK, &Value::Null),
    }
}

pub(super) fn input_fault(fault: &InputFault) -> Fault {
    let (InputFault::Undeclared { name, .. }
    | InputFault::Missing { name }
    | InputFault::HandedOver { name }
    | InputFault::WrongType { name, .. }) = fault;
    Fault {
        pointer: format!("/inputs/{}", name.replace('~', "~0").replace('/', "~1")),
        message: fault.to_string(),
    }
}
