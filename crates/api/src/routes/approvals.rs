//! Questions to a person.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::InboxView;
use fusion_api_types::api::{self, ApprovalPage, ApproveRequest, RejectRequest};
use fusion_coordination::{Answer, MAX_WORDS};
use fusion_core::{ApprovalId, ApprovalState};
use fusion_persistence::{ApprovalFilter, Repository};

use super::path::Id;
use crate::idempotency::Asked;
use crate::inbox;
use crate::input::{Fields, Input, parsed};
use crate::page;
use crate::parameters::Paging;
use crate::precondition::{json, resource};
use crate::problem::Result;
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(inbox))
}

/// The questions, the newest first.
#[utoipa::path(get, path = "/approvals", tag = "approvals", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("task_id" = Option<String>, Query, description = "Only those of this task."),
    ("run_id" = Option<String>, Query, description = "Only those of this run."),
    Paging,
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
    page::answer(&app, &filter, page).await
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

/// Says yes: the step begins. The first answer to a question stands.
#[utoipa::path(post, path = "/approvals/{id}/approve", tag = "approvals", request_body = ApproveRequest,
    params(("id" = String, Path, description = "UUID of the approval.")),
    responses((status = 200, body = api::Approval)))]
async fn approve(
    State(app): State<App>,
    Id(id): Id<ApprovalId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["comment", "subject_hash"]);
    let answer = Answer {
        approves: true,
        comment: words(&mut fields, "comment"),
        seen: words(&mut fields, "subject_hash"),
    };
    fields.finish()?;
    answered(&app, id, &answer, &asked).await
}

/// Says no: the step fails with the reason. The first answer to a question stands.
#[utoipa::path(post, path = "/approvals/{id}/reject", tag = "approvals", request_body = RejectRequest,
    params(("id" = String, Path, description = "UUID of the approval.")),
    responses((status = 200, body = api::Approval)))]
async fn reject(
    State(app): State<App>,
    Id(id): Id<ApprovalId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["reason", "subject_hash"]);
    if !fields.has("reason") {
        fields.add("reason", "is required");
    }
    let answer = Answer {
        approves: false,
        comment: words(&mut fields, "reason"),
        seen: words(&mut fields, "subject_hash"),
    };
    fields.finish()?;
    answered(&app, id, &answer, &asked).await
}

fn words(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    fields.text(name, MAX_WORDS).map(str::to_owned)
}

async fn answered(app: &App, id: ApprovalId, answer: &Answer, asked: &Asked) -> Result<Response> {
    let by = &asked.actor().name;
    let done = app
        .coordinator()
        .answer_approval(id, answer, by, asked.plain());
    json(StatusCode::OK, &views::approval(done.await?))
}

/// What waits for a person: questions, held runs, runs that a budget stopped, agents that show no
/// progress. The oldest first.
#[utoipa::path(get, path = "/inbox", tag = "approvals", responses((status = 200, body = InboxView)))]
async fn inbox(State(app): State<App>, query: Query) -> Result<Response> {
    query.none()?;
    json(StatusCode::OK, &inbox::read(app.reader()).await?)
}
