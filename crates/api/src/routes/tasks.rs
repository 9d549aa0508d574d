//! Tasks.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{self, TaskPage};
use fusion_core::{TaskId, TaskState};
use fusion_persistence::{Repository, TaskFilter};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::path::Id;
use crate::input::parsed;
use crate::page;
use crate::precondition::{json, resource};
use crate::problem::Result;
use crate::query::{Query, word};
use crate::state::App;
use crate::views;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
}

/// The tasks, the newest first.
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("agent_id" = Option<String>, Query, description = "Only those of this agent."),
    ("workflow_id" = Option<String>, Query, description = "Only those of this version of a workflow."),
    ("run_id" = Option<String>, Query, description = "Only those of this run."),
    ("limit" = Option<u32>, Query, description = "At most so many: 1 to 500, 100 without it."),
    ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
), responses((status = 200, body = TaskPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&[
        "state",
        "agent_id",
        "workflow_id",
        "run_id",
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
    };
    let page = query.page();
    query.finish()?;
    let rows = page::rows(&app, &filter, page, |row| row.id).await?;
    let (tasks, total, next_cursor) = rows.map(views::task);
    json(
        StatusCode::OK,
        &TaskPage {
            tasks,
            total,
            next_cursor,
        },
    )
}

/// One task.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks",
    params(("id" = String, Path, description = "UUID of the task.")),
    responses((status = 200, body = api::Task)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<TaskId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    resource(&headers, row.version, &views::task(row))
}
