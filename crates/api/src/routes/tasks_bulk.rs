//! Several tasks in one request, each by itself: asked for, cancelled, asked for again, put before others.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{BulkTasks, NewTasks, TaskBulkAnswer, TaskBulkResult};
use fusion_coordination::{Error as EngineError, RetryTask};
use fusion_core::{Task, TaskId, TaskState, error_chain};
use fusion_persistence::{Error as StoreError, Page, Repository, TaskFilter};

use super::tasks_life::{FIELDS, Wanted, priority, tell};
use crate::idempotency::{Asked, answer_of};
use crate::input::{Fields, Input, parsed};
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

/// Tasks of one request at most.
const MOST: usize = 500;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(create)).routes(routes!(act))
}

/// Asks for tasks of their own. One that can't be made does not keep the others. With an
/// `Idempotency-Key` each counts by its place, so that a request which was cut off is sent again whole.
#[utoipa::path(post, path = "/tasks/batch", tag = "tasks", operation_id = "create_batch", request_body = NewTasks,
    responses((status = 201, body = TaskBulkAnswer)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["tasks"]);
    let all = fields.each("tasks", (1, MOST), FIELDS, |task| Wanted::read(task));
    fields.finish()?;
    let mut results = Vec::with_capacity(all.len());
    for (number, wanted) in all.into_iter().enumerate() {
        let asked = asked.part(number);
        results.push(one_made(&app, &asked, &input, wanted).await?);
    }
    json(StatusCode::CREATED, &TaskBulkAnswer { results })
}

/// # Errors
/// The store is away, or the key was used for another request.
async fn one_made(
    app: &App,
    asked: &Asked,
    input: &Input,
    wanted: Wanted,
) -> Result<TaskBulkResult> {
    if let Some(answer) = asked.remembered(app, &input.bytes).await? {
        return Ok(replayed(&answer));
    }
    let new = match wanted.resolved(app).await {
        Ok(new) => new,
        Err(refusal) if refusal.is_of_client() => return Ok(left(None, None, refusal.detail())),
        Err(refusal) => return Err(refusal),
    };
    let now = app.moment().now;
    let ask = |task: &Task| asked.ask(now, &input.bytes, || views::task(task.clone()));
    match app.coordinator().create_task(new, ask).await {
        Ok(task) => Ok(done(task)),
        Err(EngineError::Store(StoreError::Repeated(remembered))) => {
            Ok(replayed(&answer_of(*remembered)))
        }
        Err(error) => failed(error, None),
    }
}

/// What was answered when it was first asked for.
fn replayed(answer: &str) -> TaskBulkResult {
    let task: Option<fusion_api_types::api::Task> = serde_json::from_str(answer).ok();
    TaskBulkResult {
        id: task.as_ref().map(|task| task.id.clone()),
        task,
        error: None,
    }
}

fn done(task: Task) -> TaskBulkResult {
    TaskBulkResult {
        id: Some(task.id.to_string()),
        task: Some(views::task(task)),
        error: None,
    }
}

fn left(id: Option<TaskId>, task: Option<Task>, why: String) -> TaskBulkResult {
    TaskBulkResult {
        id: id.map(|id| id.to_string()),
        task: task.map(views::task),
        error: Some(why),
    }
}

/// # Errors
/// The store is away or a key was used for another request: that concerns all of them.
fn failed(error: EngineError, task: Option<Task>) -> Result<TaskBulkResult> {
    let concerns_all = matches!(
        error,
        EngineError::Store(StoreError::Unavailable { .. } | StoreError::KeyReused { .. })
    );
    if concerns_all {
        return Err(error.into());
    }
    let id = task.as_ref().map(|task| task.id);
    Ok(left(id, task, error_chain(&error)))
}

/// What is to be done with each.
#[derive(Debug, Clone, Copy)]
enum Action {
    Cancel,
    Retry,
    Prioritise(i32),
}

/// Cancels tasks, asks for them again or changes their priority: those that are named, or the newest
/// that a filter selects. One that can't be does not keep the others.
#[utoipa::path(post, path = "/tasks/bulk", tag = "tasks", operation_id = "act_bulk", request_body = BulkTasks,
    responses((status = 200, body = TaskBulkAnswer)))]
async fn act(State(app): State<App>, asked: Asked, query: Query, input: Input) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["action", "ids", "filter", "priority"]);
    let action = action(&mut fields);
    let ids = fields.ids::<TaskId>("ids");
    if ids.as_ref().is_some_and(|ids| ids.len() > MOST) {
        fields.add("ids", format!("has more than {MOST} entries"));
    }
    let filter = filter(&mut fields);
    if ids.is_some() == fields.has("filter") {
        fields.add("ids", "either ids or a filter must be given");
    }
    fields.finish()?;
    let ids = match (ids, filter) {
        (Some(ids), _) => ids,
        (None, filter) => selected(&app, &filter.unwrap_or_default()).await?,
    };
    let mut results = Vec::with_capacity(ids.len());
    if let Some(action) = action {
        for (number, id) in ids.into_iter().enumerate() {
            let asked = asked.part(number);
            results.push(one_changed(&app, &asked, &input, (id, action)).await?);
        }
    }
    json(StatusCode::OK, &TaskBulkAnswer { results })
}

fn action(fields: &mut Fields<'_>) -> Option<Action> {
    let priority = priority(fields);
    let action = fields.needed("action", |text| match text {
        "cancel" => Ok(Action::Cancel),
        "retry" => Ok(Action::Retry),
        "prioritise" => Ok(Action::Prioritise(priority.unwrap_or_default())),
        _ => Err("must be one of: cancel, retry, prioritise".to_owned()),
    });
    let wants = matches!(action, Some(Action::Prioritise(_)));
    if wants != fields.has("priority") {
        fields.add("priority", "must be given with `prioritise`, and only then");
    }
    action
}

/// The same names as in the query of a list.
fn filter(fields: &mut Fields<'_>) -> Option<TaskFilter> {
    let names = ["state", "agent_id", "workflow_id", "run_id", "project_id"];
    let mut within = fields.within("filter", &names)?;
    let states: Vec<String> = within.ids("state").unwrap_or_default();
    let mut filter = TaskFilter {
        agent: within.read("agent_id", parsed),
        workflow: within.read("workflow_id", parsed),
        run: within.read("run_id", parsed),
        pool: within.read("project_id", parsed).map(Some),
        ..TaskFilter::default()
    };
    for text in states {
        match word(
            &text,
            TaskState::from_text,
            TaskState::ALL,
            TaskState::as_str,
        ) {
            Ok(state) => filter.states.push(state),
            Err(message) => within.add("state", message),
        }
    }
    fields.absorb(within);
    Some(filter)
}

async fn selected(app: &App, filter: &TaskFilter) -> Result<Vec<TaskId>> {
    let most = u32::try_from(MOST).unwrap_or(u32::MAX);
    let tasks: Vec<Task> = app.reader().list(filter, Page::first(most)).await?;
    Ok(tasks.into_iter().map(|task| task.id).collect())
}

/// # Errors
/// The store is away: what was done before is done, and asking again does no harm.
async fn one_changed(
    app: &App,
    asked: &Asked,
    input: &Input,
    (id, action): (TaskId, Action),
) -> Result<TaskBulkResult> {
    if let Some(answer) = asked.remembered(app, &input.bytes).await? {
        return Ok(replayed(&answer));
    }
    let found: Option<Task> = app.reader().find(id).await?;
    let Some(before) = found else {
        return Ok(left(Some(id), None, format!("there is no task {id}")));
    };
    let engine = app.coordinator();
    let changed = match action {
        Action::Cancel => engine.cancel_task(id, None).await,
        Action::Prioritise(priority) => engine.prioritise_task(id, priority).await,
        Action::Retry => {
            let now = app.moment().now;
            let ask = |task: &Task| asked.ask(now, &input.bytes, || views::task(task.clone()));
            let again = RetryTask {
                by: &asked.actor().name,
                token: Some(asked.actor().token),
                description: None,
            };
            engine.retry_task(id, again, ask).await
        }
    };
    let task = match changed {
        Ok(task) => task,
        Err(error) => return failed(error, Some(before)),
    };
    let word = match action {
        // Told with the new task.
        Action::Retry => None,
        Action::Cancel => Some("cancelled"),
        Action::Prioritise(_) => Some("updated"),
    };
    if let Some(word) = word.filter(|_| task.version != before.version) {
        tell(app, asked, word, id).await;
    }
    Ok(TaskBulkResult {
        id: Some(id.to_string()),
        task: Some(views::task(task)),
        error: None,
    })
}
