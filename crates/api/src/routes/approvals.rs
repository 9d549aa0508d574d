//! Questions to a person.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{self, ApprovalPage};
use fusion_core::{ApprovalId, ApprovalState};
use fusion_persistence::{ApprovalFilter, Repository};
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

/// The questions, the newest first.
#[utoipa::path(get, path = "/approvals", tag = "approvals", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("task_id" = Option<String>, Query, description = "Only those of this task."),
    ("run_id" = Option<String>, Query, description = "Only those of this run."),
    ("limit" = Option<u32>, Query, description = "At most so many: 1 to 500, 100 without it."),
    ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
), responses((status = 200, body = ApprovalPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["state", "task_id", "run_id", "limit", "cursor"]);
    let filter = ApprovalFilter {
        states: query.many("state", |text| {
            word(
                text,
                ApprovalState::from_text,
                ApprovalState::ALL,
                ApprovalState::as_str,
            )
        }),
        task: query.one("task_id", parsed),
        run: query.one("run_id", parsed),
    };
    let page = query.page();
    query.finish()?;
    let rows = page::rows(&app, &filter, page, |row| row.id).await?;
    let (approvals, total, next_cursor) = rows.map(views::approval);
    json(
        StatusCode::OK,
        &ApprovalPage {
            approvals,
            total,
            next_cursor,
        },
    )
}

/// One question.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals",
    params(("id" = String, Path, description = "UUID of the approval.")),
    responses((status = 200, body = api::Approval)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<ApprovalId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    resource(&headers, row.version, &views::approval(row))
}
