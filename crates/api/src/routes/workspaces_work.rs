//! What people decide about the work in workspaces: taken in, removed.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::ProblemBody;
use fusion_api_types::{
    CollectWorkspaces, CommitWorkspace, DiscardWorkspace, WorkspaceCommit, WorkspaceRemoved,
    WorkspacesCollected,
};
use fusion_coordination::Discarding;
use fusion_core::{Agent, AgentId, WorkspaceId};
use fusion_persistence::Repository;

use super::path::Id;
use crate::idempotency::Asked;
use crate::input::{Fields, Input};
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::workspace_views as views;

/// What is told of workspaces.
const KIND: &str = "workspace";

/// How long ago an agent must have ended when nobody says.
const A_WEEK: u64 = 7 * 24 * 60 * 60;

/// The longest message of a commit, in bytes.
const MAX_MESSAGE: usize = 10_000;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(commit))
        .routes(routes!(discard))
        .routes(routes!(collect))
}

/// Takes what lies uncommitted in the worktree of a resting agent into its newest branch. Asking again
/// takes in what came since.
#[utoipa::path(post, path = "/agents/{id}/workspace/commit", tag = "workspaces",
    request_body = CommitWorkspace, params(("id" = String, Path, description = "UUID of the agent.")),
    responses(
        (status = 200, body = WorkspaceCommit),
        (status = 409, description = "A step of it is at work, or it has no worktree.", body = ProblemBody,
         content_type = "application/problem+json"),
    ))]
async fn commit(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["message"]);
    let message = fields.text("message", MAX_MESSAGE).unwrap_or_default();
    let message = message.to_owned();
    if message.is_empty() {
        fields.add("message", "is required");
    }
    fields.finish()?;
    let agent: Agent = app.reader().get(id).await?;
    let working = app.clone();
    let work = async move {
        let engine = working.coordinator();
        let done = engine.commit_worktree(id, &message).await?;
        if let Some(done) = &done {
            tell(&working, &asked, "committed", done.workspace).await;
        }
        Ok(done)
    };
    match app.to_the_end(work).await? {
        Some(done) => json(StatusCode::OK, &views::committed(&agent, done)),
        None => Err(Refusal::conflict(views::no_worktree(&agent.name))),
    }
}

/// Removes the workspace of an agent that has ended; what is in its worktree is taken in first. Doing it again
/// changes nothing.
#[utoipa::path(post, path = "/agents/{id}/workspace/discard", tag = "workspaces",
    request_body = DiscardWorkspace, params(("id" = String, Path, description = "UUID of the agent.")),
    responses(
        (status = 200, body = WorkspaceRemoved),
        (status = 409, description = "The agent has not ended, or the workspace holds what is nowhere else.",
         body = ProblemBody, content_type = "application/problem+json"),
    ))]
async fn discard(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["only_copies", "dry_run"]);
    let how = how(&mut fields);
    fields.finish()?;
    let working = app.clone();
    let work = async move {
        let done = working.coordinator().discard_workspace(id, how).await?;
        if !how.dry_run {
            tell(&working, &asked, "discarded", done.workspace.id).await;
        }
        Ok(done)
    };
    json(StatusCode::OK, &views::removed(app.to_the_end(work).await?))
}

/// Removes the workspaces of all agents that ended so long ago, but those that hold what is nowhere else.
#[utoipa::path(post, path = "/workspaces/gc", tag = "workspaces", request_body = CollectWorkspaces,
    responses((status = 200, body = WorkspacesCollected)))]
async fn collect(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["older_than_seconds", "only_copies", "dry_run"]);
    let older_than = fields.number("older_than_seconds").unwrap_or(A_WEEK);
    let how = how(&mut fields);
    fields.finish()?;
    let older_than = Duration::from_secs(older_than);
    let working = app.clone();
    let work = async move {
        let engine = working.coordinator();
        let done = engine.collect_workspaces(older_than, how).await?;
        if !how.dry_run {
            for gone in &done.0 {
                tell(&working, &asked, "discarded", gone.workspace.id).await;
            }
        }
        Ok(done)
    };
    let done = app.to_the_end(work).await?;
    json(StatusCode::OK, &views::collected(how.dry_run, done))
}

fn how(fields: &mut Fields<'_>) -> Discarding {
    Discarding {
        only_copies: fields.flag("only_copies").unwrap_or_default(),
        dry_run: fields.flag("dry_run").unwrap_or_default(),
    }
}

/// The engine made the change in commits of its own: who asked is told after it.
async fn tell(app: &App, asked: &Asked, done: &str, id: WorkspaceId) {
    let engine = app.coordinator();
    let told = engine.tell_change(asked.actor(), done, KIND, id.uuid());
    if let Err(error) = told.await {
        tracing::error!(%error, done, %id, "who changed a workspace could not be told");
    }
}
