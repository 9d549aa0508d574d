//! Tasks of their own: asked for, changed, cancelled, asked for again.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{self, NewTask, TaskChanges, TaskRetry, TaskTree};
use fusion_coordination::{Coordinator, RetryTask};
use fusion_core::{Agent, AgentId, AgentState, Budget, Cost, Project, ProjectId, Task, TaskId};
use fusion_persistence::{AgentFilter, Page, ProjectFilter, Repository};
use serde_json::{Map, Value};

use super::path::Id;
use crate::dry_run::tried;
use crate::idempotency::{Asked, made, replayed};
use crate::input::{Fields, Input, MAX_BODY};
use crate::parameters::Trying;
use crate::precondition::{check, json, resource};
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::{task_views, views};

/// What is told of tasks.
const KIND: &str = "task";

/// Characters in which it is said at most why a task is cancelled.
const MAX_REASON: usize = 1_000;

/// Agents of one name that are looked at.
const NAMED: u32 = 100;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(create))
        .routes(routes!(change))
        .routes(routes!(retry))
        .routes(routes!(dependencies))
}

/// Asks for a task of its own: a standing agent that can do it takes it in its turn. A step of a
/// workflow is begun with its run.
#[utoipa::path(post, path = "/tasks", tag = "tasks", request_body = NewTask,
    responses((status = 201, body = api::Task)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(FIELDS);
    let wanted = Wanted::read(&mut fields);
    fields.finish()?;
    if let Some(answer) = asked.remembered(&app, &input.bytes).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let new = wanted.resolved(&app).await?;
    let now = app.moment().now;
    let ask = |task: &Task| asked.ask(now, &input.bytes, || views::task(task.clone()));
    match app.coordinator().create_task(new, ask).await {
        Ok(task) => made(Ok(()), StatusCode::CREATED, &views::task(task)),
        Err(error) => made(Err(error), StatusCode::CREATED, &Value::Null),
    }
}

/// Fields of a task that is asked for.
pub(super) const FIELDS: &[&str] = &[
    "name",
    "description",
    "required_capabilities",
    "priority",
    "dependencies",
    "workflow_id",
    "input_artifacts",
    "agent",
    "demanded",
    "project",
    "delay_seconds",
    "timeout_seconds",
    "max_attempts",
    "max_cost_usd",
];

/// A task that was read, with its agent and its project as they were written.
#[derive(Debug)]
pub(super) struct Wanted {
    task: fusion_coordination::NewTask,
    agent: Option<String>,
    project: Option<String>,
}

impl Wanted {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        if fields.has("workflow_id") {
            let message = "can't be given: a step of a workflow is begun with its run";
            fields.add("workflow_id", message);
        }
        let own = |text: Option<&str>| text.map(str::to_owned);
        let seconds = |number: Option<u64>| number.map(Duration::from_secs);
        let description = own(fields.text("description", MAX_BODY)).unwrap_or_default();
        if description.trim().is_empty() {
            fields.add("description", "is required");
        }
        let capabilities: Vec<String> = fields.ids("required_capabilities").unwrap_or_default();
        let agent = own(fields.name("agent"));
        let is_demanded = fields.flag("demanded").unwrap_or_default();
        if is_demanded && agent.is_none() {
            let message = "says that nobody but `agent` may do it: give it too";
            fields.add("demanded", message);
        }
        let task = fusion_coordination::NewTask {
            name: own(fields.name("name")),
            description,
            capabilities: capabilities.into_iter().collect(),
            agent: None,
            is_demanded,
            priority: priority(fields).unwrap_or_default(),
            dependencies: fields.ids("dependencies").unwrap_or_default(),
            inputs: inputs(fields),
            project: None,
            delay: seconds(fields.number("delay_seconds")),
            timeout: seconds(fields.number("timeout_seconds")),
            max_attempts: fields.number("max_attempts"),
            limit: limit(fields).unwrap_or_default(),
        };
        let project = own(fields.name("project"));
        Self {
            task,
            agent,
            project,
        }
    }

    /// The same with the agent and the project that are meant.
    ///
    /// # Errors
    /// There is no such agent or project, or the store fails.
    pub(super) async fn resolved(self, app: &App) -> Result<fusion_coordination::NewTask> {
        let mut task = self.task;
        if let Some(text) = self.agent {
            task.agent = Some(agent_named(app, &text).await?);
        }
        if let Some(text) = self.project {
            task.project = Some(project_named(app, &text).await?);
        }
        Ok(task)
    }
}

/// What it may cost.
pub(super) fn limit(fields: &mut Fields<'_>) -> Option<Budget> {
    let usd = fields.read("max_cost_usd", Cost::read_limit)?;
    Some(Budget {
        usd: Some(usd),
        tokens: None,
    })
}

fn inputs(fields: &mut Fields<'_>) -> Map<String, Value> {
    let given = fields.object("input_artifacts");
    let given = given.as_ref().and_then(Value::as_object);
    given.cloned().unwrap_or_default()
}

/// A whole number, which may be negative.
pub(super) fn priority(fields: &mut Fields<'_>) -> Option<i32> {
    if !fields.has("priority") {
        return None;
    }
    let given = fields.any("priority")?.as_i64();
    let priority = given.and_then(|number| i32::try_from(number).ok());
    if priority.is_none() {
        let message = format!("must be a whole number from {} to {}", i32::MIN, i32::MAX);
        fields.add("priority", message);
    }
    priority
}

/// The living standing agent that is meant.
async fn agent_named(app: &App, text: &str) -> Result<AgentId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let filter = AgentFilter {
        name: Some(text.to_owned()),
        standing: true,
        ..AgentFilter::default()
    };
    let mut named: Vec<Agent> = app.reader().list(&filter, Page::first(NAMED)).await?;
    named.retain(|agent| agent.state != AgentState::Terminated);
    match named.as_slice() {
        [only] => Ok(only.id),
        [] => Err(Refusal::fault(
            "/agent",
            "there is no standing agent of this name",
        )),
        _ => Err(Refusal::fault(
            "/agent",
            "several agents have this name: give its id",
        )),
    }
}

async fn project_named(app: &App, text: &str) -> Result<ProjectId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let filter = ProjectFilter {
        name: Some(text.to_owned()),
        ..ProjectFilter::default()
    };
    let named: Vec<Project> = app.reader().list(&filter, Page::first(1)).await?;
    let project = named.first().map(|project| project.id);
    project.ok_or_else(|| Refusal::fault("/project", "there is no project of this name"))
}

/// Cancels a task, changes the priority of one that waits, or what one of its own may cost.
#[utoipa::path(patch, path = "/tasks/{id}", tag = "tasks", request_body = TaskChanges,
    params(("id" = String, Path, description = "UUID of the task."), Trying),
    responses((status = 200, body = api::Task)))]
async fn change(
    State(app): State<App>,
    Id(id): Id<TaskId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let mut fields = input.fields(&["state", "reason", "priority", "max_cost_usd"]);
    let cancels = fields.read("state", |text| match text {
        "cancelled" => Ok(()),
        _ => Err("can only be set to `cancelled`".to_owned()),
    });
    let cancelling = fields.is_given("state");
    let reason = reason(&mut fields, cancelling);
    let wanted = [
        cancels.map(|()| Wish::Cancel(reason)),
        priority(&mut fields).map(Wish::Prioritise),
        limit(&mut fields).map(Wish::Limit),
    ];
    let given = ["state", "priority", "max_cost_usd"];
    if given.iter().filter(|name| fields.is_given(name)).count() != 1 {
        fields.add("", "must have one of: state, priority, max_cost_usd");
    }
    fields.finish()?;
    let wish = wanted.into_iter().flatten().next();
    let wish = wish.ok_or_else(|| Refusal::fault("", "says nothing that can be done"))?;
    let before: Task = app.reader().get(id).await?;
    check(&headers, before.version)?;
    if dry_run {
        return tried(&app, |dry| changed(dry, id, wish, &asked)).await;
    }
    let (task, done) = changed(app.coordinator().clone(), id, wish, &asked).await?;
    tell(&app, &asked, done, id).await;
    resource(&HeaderMap::new(), task.version, &views::task(task))
}

/// Why a task is cancelled, if it is.
fn reason<'a>(fields: &mut Fields<'a>, cancels: bool) -> Option<&'a str> {
    let reason = fields.text("reason", MAX_REASON)?;
    if reason.trim().is_empty() {
        fields.add("reason", "must not be empty");
    }
    if !cancels {
        fields.add("reason", "says why a task is cancelled: give `state` too");
    }
    Some(reason.trim())
}

/// What is to become of a task.
#[derive(Debug, Clone, Copy)]
enum Wish<'a> {
    Cancel(Option<&'a str>),
    Prioritise(i32),
    Limit(Budget),
}

/// Changes a task; says what was done.
async fn changed(
    engine: Coordinator,
    id: TaskId,
    wish: Wish<'_>,
    asked: &Asked,
) -> fusion_coordination::Result<(Task, &'static str)> {
    Ok(match wish {
        Wish::Prioritise(priority) => (engine.prioritise_task(id, priority).await?, "updated"),
        Wish::Limit(limit) => {
            let by = &asked.actor().name;
            (engine.limit_task(id, limit, by).await?, "updated")
        }
        Wish::Cancel(reason) => (engine.cancel_task(id, reason).await?, "cancelled"),
    })
}

/// The engine made the change in a commit of its own: who asked is told after it.
pub(super) async fn tell(app: &App, asked: &Asked, done: &str, id: TaskId) {
    let told = app
        .coordinator()
        .tell_change(asked.actor(), done, KIND, id.uuid());
    if let Err(error) = told.await {
        tracing::error!(%error, done, %id, "who changed a task could not be told");
    }
}

/// Asks again for what a task was to do that failed or was cancelled, or for what the body says instead:
/// a new task, which begins from the start. A body may be left out.
#[utoipa::path(post, path = "/tasks/{id}/retry", tag = "tasks", request_body = Option<TaskRetry>,
    params(("id" = String, Path, description = "UUID of the task.")),
    responses((status = 201, body = api::Task)))]
async fn retry(
    State(app): State<App>,
    Id(id): Id<TaskId>,
    asked: Asked,
    query: Query,
    input: Option<Input>,
) -> Result<Response> {
    query.none()?;
    let (description, body) = match input {
        Some(input) => (description(&input)?, input.bytes),
        None => (None, Bytes::new()),
    };
    if let Some(answer) = asked.remembered(&app, &body).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let now = app.moment().now;
    let ask = |task: &Task| asked.ask(now, &body, || views::task(task.clone()));
    let again = RetryTask {
        by: &asked.actor().name,
        token: Some(asked.actor().token),
        description,
    };
    match app.coordinator().retry_task(id, again, ask).await {
        Ok(task) => made(Ok(()), StatusCode::CREATED, &views::task(task)),
        Err(error) => made(Err(error), StatusCode::CREATED, &Value::Null),
    }
}

/// What is asked instead, if anything.
fn description(input: &Input) -> Result<Option<String>> {
    let mut fields = input.fields(&["description"]);
    let description = fields.text("description", MAX_BODY).map(str::to_owned);
    if description
        .as_deref()
        .is_some_and(|text| text.trim().is_empty())
    {
        fields.add("description", "must not be empty");
    }
    fields.finish()?;
    Ok(description)
}

/// What a task needs and what needs it, also beyond its run: 10,000 of each at most.
#[utoipa::path(get, path = "/tasks/{id}/dependencies", tag = "tasks",
    params(("id" = String, Path, description = "UUID of the task.")),
    responses((status = 200, body = TaskTree)))]
async fn dependencies(
    State(app): State<App>,
    Id(id): Id<TaskId>,
    query: Query,
) -> Result<Response> {
    query.none()?;
    let task: Task = app.reader().get(id).await?;
    let tree = task_views::tree(app.reader(), task).await?;
    json(StatusCode::OK, &tree)
}
