//! Who used most in a time.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::TopReport;
use fusion_core::{TopBy, TopPer};
use fusion_persistence::TopQuery;

use crate::input::time;
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::top_views;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(top))
}

/// Who used most in a time, who used most first.
#[utoipa::path(get, path = "/metrics/top", tag = "agents", params(
    ("by" = Option<String>, Query, description = "What puts the rows in order: `cpu`, `memory`, `disk`, `tokens` or `cost`. Without it `cpu` for agents, `tokens` for models and projects, of which the first three are not known."),
    ("per" = Option<String>, Query, description = "What a row stands for: `agent`, `model` or `project`; `agent` without it."),
    ("since" = Option<String>, Query, description = "Only samples of this time (RFC 3339) and calls that ended at it, or later."),
    ("until" = Option<String>, Query, description = "Only samples and ends of calls before this time (RFC 3339)."),
    ("limit" = Option<u32>, Query, description = "At most so many rows: 1 to 500, 100 without it."),
), responses((status = 200, body = TopReport)))]
async fn top(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["by", "per", "since", "until", "limit"]);
    let by = query.one("by", |text| {
        word(text, TopBy::from_text, TopBy::ALL, TopBy::as_str)
    });
    let per = query.one("per", |text| {
        word(text, TopPer::from_text, TopPer::ALL, TopPer::as_str)
    });
    let per = per.unwrap_or(TopPer::Agent);
    let asked = TopQuery {
        by: by.unwrap_or_else(|| per.usual()),
        per,
        since: query.one("since", time),
        until: query.one("until", time),
        limit: query.limit(),
    };
    if let Some(fault) = top_views::fault(&asked) {
        query.add("by", fault);
    }
    query.finish()?;
    let report = top_views::top(app.reader(), &asked).await?;
    json(StatusCode::OK, &report)
}
