//! What agents have in their workspaces: for looking, through the path guard, without what may hold keys.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fusion_api_types::{WorkspaceDiff, WorkspaceFile, WorkspacePage, WorkspaceTree};
use fusion_core::AgentId;
use fusion_persistence::{Repository, WorkspaceFilter};

use super::path::{Id, MAX_PATH};
use crate::download;
use crate::page;
use crate::parameters::Paging;
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{Parameters, Query};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::workspace_views as views;

/// Entries of a tree when nobody says, and at most.
const ENTRIES: (u32, u32) = (1_000, 10_000);

/// Bytes of a file when nobody says, and at most.
const BYTES: (u32, u32) = (1024 * 1024, 10 * 1024 * 1024);

/// The workspace itself.
const TOP: &str = ".";

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list))
        .routes(routes!(tree))
        .routes(routes!(file))
        .routes(routes!(diff))
        .routes(routes!(archive))
        .and(super::workspaces_work::router())
}

/// The workspaces of agents, the newest first; also those of agents that have ended.
#[utoipa::path(get, path = "/workspaces", tag = "workspaces", params(Paging),
    responses((status = 200, body = WorkspacePage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["limit", "cursor"]);
    let page = query.page();
    query.finish()?;
    let found = page::rows(&app, &WorkspaceFilter::default(), page, |row| row.id).await?;
    let mut workspaces = Vec::with_capacity(found.rows.len());
    for row in &found.rows {
        let agent = app.reader().get(row.agent_id).await?;
        workspaces.push(views::line(&agent, row));
    }
    json(
        StatusCode::OK,
        &WorkspacePage {
            workspaces,
            total: found.total,
            next_cursor: found.next_cursor,
        },
    )
}

/// What is below a folder of an agent's workspace, without what may hold keys. Links are named, not followed.
#[utoipa::path(get, path = "/agents/{id}/workspace", tag = "workspaces", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("path" = Option<String>, Query, description = "The folder, from the top of the workspace; all of it without."),
    ("limit" = Option<u32>, Query, description = "At most so many entries: 1 to 10,000, 1,000 without it."),
), responses((status = 200, body = WorkspaceTree)))]
async fn tree(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["path", "limit"]);
    let (path, limit) = (place(&mut query), most(&mut query, ENTRIES));
    query.finish()?;
    let look = app.coordinator().look_into(id).await?;
    let path = path.as_deref().unwrap_or(TOP);
    json(StatusCode::OK, &views::tree(&look, path, limit).await?)
}

/// The text of a file of an agent's workspace. What is no text can be had from `archive`.
#[utoipa::path(get, path = "/agents/{id}/workspace/file", tag = "workspaces", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("path" = String, Query, description = "The file, from the top of the workspace."),
    ("limit" = Option<u32>, Query, description = "At most so many bytes: 1 to 10,485,760, 1,048,576 without it."),
), responses((status = 200, body = WorkspaceFile)))]
async fn file(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["path", "limit"]);
    let (path, limit) = (place(&mut query), most(&mut query, BYTES));
    if path.is_none() {
        query.add("path", "is missing");
    }
    query.finish()?;
    let look = app.coordinator().look_into(id).await?;
    let path = path.unwrap_or_default();
    json(StatusCode::OK, &views::file(&look, &path, limit).await?)
}

/// What an agent made of its worktree, as it was when its newest step ended.
#[utoipa::path(get, path = "/agents/{id}/workspace/diff", tag = "workspaces",
    params(("id" = String, Path, description = "UUID of the agent.")),
    responses(
        (status = 200, body = WorkspaceDiff),
        (status = 409, description = "The agent has no worktree.", body = fusion_api_types::api::ProblemBody,
         content_type = "application/problem+json"),
    ))]
async fn diff(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    query.none()?;
    let look = app.coordinator().look_into(id).await?;
    match views::diff(&look).await? {
        Some(diff) => json(StatusCode::OK, &diff),
        None => Err(Refusal::conflict(views::no_worktree(&look.agent().name))),
    }
}

/// A folder or a file of an agent's workspace as a tar file, at most 1 GiB, without what may hold keys.
#[utoipa::path(get, path = "/agents/{id}/workspace/archive", tag = "workspaces", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("path" = Option<String>, Query, description = "What to pack, from the top of the workspace; all of it without."),
), responses(
    (status = 200, description = "A tar file; one that is cut off is not whole.", body = Vec<u8>,
     content_type = "application/x-tar"),
    (status = 409, description = "The path is one that is not shown.", body = fusion_api_types::api::ProblemBody,
     content_type = "application/problem+json"),
))]
async fn archive(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["path"]);
    let path = place(&mut query);
    query.finish()?;
    let look = app.coordinator().look_into(id).await?;
    let pack = look.pack(path.unwrap_or_else(|| TOP.to_owned())).await?;
    let body = download::body(download::place(&app)?, move |to| pack.write(to).map(|_| ()));
    let name = format!("attachment; filename=\"{id}.tar\"");
    let name =
        HeaderValue::from_str(&name).map_err(|error| Refusal::internal(&error.to_string()))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-tar"),
        ),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body).into_response())
}

/// The path that is asked for; which ones there are is said by the path guard.
fn place(query: &mut Parameters<'_>) -> Option<String> {
    query.one("path", |text| match text.len() {
        0 => Err("is empty".to_owned()),
        length if length > MAX_PATH => Err(format!("has more than {MAX_PATH} bytes")),
        _ => Ok(text.to_owned()),
    })
}

fn most(query: &mut Parameters<'_>, (usual, most): (u32, u32)) -> u32 {
    let limit = query.one("limit", |text| match text.parse() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        Ok(_) | Err(_) => Err(format!("must be a number from 1 to {most}")),
    });
    limit.unwrap_or(usual)
}
