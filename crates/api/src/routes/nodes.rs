//! Nodes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{self, ServerNodeList};
use fusion_core::NodeId;

use super::path::Id;
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(drain))
}

/// The processes that share the work, the newest first; those that ended are kept for a while.
#[utoipa::path(get, path = "/nodes", tag = "nodes", responses((status = 200, body = ServerNodeList)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    query.none()?;
    let nodes = app.coordinator().nodes().await?;
    let nodes = nodes.into_iter().map(views::node).collect();
    json(StatusCode::OK, &ServerNodeList { nodes })
}

/// One node.
#[utoipa::path(get, path = "/nodes/{id}", tag = "nodes",
    params(("id" = String, Path, description = "UUID of the node.")),
    responses((status = 200, body = api::ServerNode)))]
async fn get(State(app): State<App>, Id(id): Id<NodeId>, query: Query) -> Result<Response> {
    query.none()?;
    let nodes = app.coordinator().nodes().await?;
    let found = nodes.into_iter().find(|seen| seen.node.id == id);
    let found = found.ok_or_else(|| Refusal::not_found("node", id.to_string()))?;
    json(StatusCode::OK, &views::node(found))
}

/// Lets a node end what it has begun, give the rest back and take nothing new, until it is started
/// again. Draining one that drains already changes nothing.
#[utoipa::path(post, path = "/nodes/{id}/drain", tag = "nodes",
    params(("id" = String, Path, description = "UUID of the node.")),
    responses((status = 200, body = api::ServerNode)))]
async fn drain(State(app): State<App>, Id(id): Id<NodeId>, query: Query) -> Result<Response> {
    query.none()?;
    let seen = app.coordinator().drain_node(id).await?;
    json(StatusCode::OK, &views::node(seen))
}
