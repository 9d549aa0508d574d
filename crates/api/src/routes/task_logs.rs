//! What was done on a task.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::AgentLogs;
use fusion_core::TaskId;
use fusion_persistence::Repository;

use super::path::Id;
use crate::precondition::json;
use crate::problem::Result;
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(logs))
}

/// What was done on a task: its journal, oldest first.
#[utoipa::path(get, path = "/tasks/{id}/logs", tag = "tasks", params(
    ("id" = String, Path, description = "UUID of the task."),
    ("limit" = Option<u32>, Query, description = "At most so many, the newest: 1 to 500, 100 without it."),
), responses((status = 200, body = AgentLogs)))]
async fn logs(State(app): State<App>, Id(id): Id<TaskId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["limit"]);
    let limit = query.limit();
    query.finish()?;
    let task = app.reader().get(id).await?;
    let journal = app.reader().journal(id).await?.into_iter();
    let entries = journal.map(|entry| (task.name.clone(), entry)).collect();
    json(StatusCode::OK, &views::newest_logs(entries, limit as usize))
}
