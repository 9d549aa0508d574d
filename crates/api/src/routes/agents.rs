//! Agents: who there is, what they did and used.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::AgentDetail;
use fusion_api_types::api::{self, AgentLogs, AgentMetrics, AgentPage};
use fusion_core::{AgentId, AgentState};
use fusion_persistence::{AgentFilter, MetricsFilter, Page, Repository, TaskFilter};

use super::path::Id;
use crate::agent_views;
use crate::input::{parsed, time};
use crate::metrics_views;
use crate::page;
use crate::parameters::Paging;
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{MAX_LIMIT, Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

/// How long a step of time may be, in seconds; as on the command line.
const LENGTHS: RangeInclusive<u64> = 1..=36_500 * 24 * 60 * 60;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(detail))
        .routes(routes!(logs))
        .routes(routes!(metrics))
}

/// The agents, the newest first.
#[utoipa::path(get, path = "/agents", tag = "agents", params(
    ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states."),
    ("name" = Option<String>, Query, description = "Only those of this name."),
    ("project_id" = Option<String>, Query, description = "Only those of this project."),
    ("run_id" = Option<String>, Query, description = "Only those of this run."),
    Paging,
), responses((status = 200, body = AgentPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["state", "name", "project_id", "run_id", "limit", "cursor"]);
    let filter = AgentFilter {
        states: query.many("state", |text| {
            word(
                text,
                AgentState::from_text,
                AgentState::ALL,
                AgentState::as_str,
            )
        }),
        name: query.one("name", parsed),
        project: query.one("project_id", parsed),
        run: query.one("run_id", parsed),
        ..AgentFilter::default()
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// One agent.
#[utoipa::path(get, path = "/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "UUID of the agent.")),
    responses((status = 200, body = api::Agent)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.none()?;
    page::one(&app, &headers, id, |row| (row.version, views::agent(row))).await
}

/// All about an agent: what it works with and on, its inbox, what it used, its workspace.
#[utoipa::path(get, path = "/agents/{id}/detail", tag = "agents",
    params(("id" = String, Path, description = "UUID of the agent.")),
    responses((status = 200, body = AgentDetail)))]
async fn detail(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    json(
        StatusCode::OK,
        &agent_views::detail(app.reader(), row).await?,
    )
}

/// What an agent did: the journals of its newest tasks, oldest first.
#[utoipa::path(get, path = "/agents/{id}/logs", tag = "agents", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("limit" = Option<u32>, Query, description = "At most so many, the newest: 1 to 500, 100 without it."),
), responses((status = 200, body = AgentLogs)))]
async fn logs(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["limit"]);
    let limit = query.limit();
    query.finish()?;
    app.reader().get(id).await?;
    let filter = TaskFilter {
        agent: Some(id),
        ..TaskFilter::default()
    };
    let most = limit as usize;
    let mut entries = Vec::new();
    for task in app.reader().list(&filter, Page::first(MAX_LIMIT)).await? {
        let journal = app.reader().journal(task.id).await?;
        entries.extend(journal.into_iter().map(|entry| (task.name.clone(), entry)));
        if entries.len() >= most {
            break;
        }
    }
    entries.sort_by_key(|(_, entry)| (entry.started_at, entry.seq, entry.id));
    json(StatusCode::OK, &views::newest_logs(entries, most))
}

/// What an agent used, the newest sample first.
#[utoipa::path(get, path = "/agents/{id}/metrics", tag = "agents", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("since" = Option<String>, Query, description = "Only samples of this time (RFC 3339) or later."),
    ("step" = Option<u64>, Query, description = "Steps of so many seconds, 1 to 3,153,600,000, in place of \
        samples: each begins at a whole multiple of it since 1970. Made of the newest 100,000 samples."),
    ("limit" = Option<u32>, Query, description = "At most so many: 1 to 500, 100 without it."),
), responses((status = 200, body = AgentMetrics)))]
async fn metrics(State(app): State<App>, Id(id): Id<AgentId>, query: Query) -> Result<Response> {
    let mut query = query.of(&["since", "step", "limit"]);
    let filter = MetricsFilter {
        agent: Some(id),
        since: query.one("since", time),
        until: None,
    };
    let step = query.one("step", step);
    let limit = query.limit();
    query.finish()?;
    app.reader().get(id).await?;
    let metrics = metrics_views::metrics(app.reader(), &filter, step, limit).await?;
    json(StatusCode::OK, &metrics)
}

fn step(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().filter(|it| LENGTHS.contains(it));
    let seconds = seconds.ok_or_else(|| {
        let (least, most) = (LENGTHS.start(), LENGTHS.end());
        format!("must be a number of seconds from {least} to {most}")
    });
    seconds.map(Duration::from_secs)
}
