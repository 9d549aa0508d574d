//! What model calls cost.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::CostReport;
use fusion_core::CostBy;
use fusion_persistence::CostQuery;

use crate::cost_views;
use crate::input::time;
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(costs))
}

/// What model calls cost, the greatest cost first.
#[utoipa::path(get, path = "/metrics/costs", tag = "agents", params(
    ("by" = Option<String>, Query, description = "What a row stands for: `agent`, `model`, `task`, `workflow`, `project` or `day`; `agent` without it."),
    ("since" = Option<String>, Query, description = "Only calls that ended at this time (RFC 3339) or later."),
    ("until" = Option<String>, Query, description = "Only calls that ended before this time (RFC 3339)."),
    ("limit" = Option<u32>, Query, description = "At most so many rows: 1 to 500, 100 without it."),
), responses((status = 200, body = CostReport)))]
async fn costs(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["by", "since", "until", "limit"]);
    let by = query.one("by", |text| {
        word(text, CostBy::from_text, CostBy::ALL, CostBy::as_str)
    });
    let asked = CostQuery {
        by: by.unwrap_or(CostBy::Agent),
        since: query.one("since", time),
        until: query.one("until", time),
        limit: query.limit(),
    };
    query.finish()?;
    let report = cost_views::costs(app.reader(), &asked).await?;
    json(StatusCode::OK, &report)
}
