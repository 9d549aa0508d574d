//! The event log, in pages.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{self, EventPage};
use fusion_core::Severity;
use fusion_messaging::Pattern;
use fusion_persistence::{Error as StoreError, EventFilter};

use super::path::Id;
use crate::event_pages::{EventName, Place, find, from_cursor, page, place};
use crate::input::{parsed, time};
use crate::parameters::{OfEvents, OfLog, Paging};
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{Parameters, Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(list)).routes(routes!(get))
}

/// The event log: the newest events first, or with `after` in the order of the log.
#[utoipa::path(get, path = "/events", tag = "events", params(
    OfEvents, OfLog,
    ("after" = Option<u64>, Query, description = "Begin after this `seq`, in the order of the log."),
    Paging,
), responses(
    (status = 200, body = EventPage),
    (status = 410, description = "The events after the place have been deleted by age."),
))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&[
        "event_type",
        "agent_id",
        "severity",
        "run_id",
        "since",
        "until",
        "q",
        "after",
        "limit",
        "cursor",
    ]);
    let filter = of_log(&mut query);
    let after = query.one("after", place).map(Place::After);
    let cursor = query.one("cursor", from_cursor);
    if after.is_some() && cursor.is_some() {
        query.add("after", "can't be given together with cursor");
    }
    let limit = query.limit();
    query.finish()?;
    let from = cursor.or(after);
    json(
        StatusCode::OK,
        &page(app.reader(), &filter, from, limit).await?,
    )
}

/// One event.
#[utoipa::path(get, path = "/events/{id}", tag = "events",
    params(("id" = String, Path, description = "UUID of the event, or its `seq`.")),
    responses((status = 200, body = api::Event)))]
async fn get(State(app): State<App>, Id(name): Id<EventName>, query: Query) -> Result<Response> {
    query.none()?;
    let found = find(app.reader(), name).await?;
    let event = found.ok_or_else(|| StoreError::NotFound {
        entity: "event",
        id: name.to_string(),
    })?;
    json(StatusCode::OK, &event)
}

/// What the log is filtered by, in pages and as a whole.
pub(super) fn of_log(query: &mut Parameters<'_>) -> EventFilter {
    EventFilter {
        since: query.one("since", time),
        until: query.one("until", time),
        text: query.one("q", parsed),
        ..filter(query)
    }
}

/// What both the pages and the live stream are filtered by.
pub(crate) fn filter(query: &mut Parameters<'_>) -> EventFilter {
    EventFilter {
        types: query.many("event_type", |text| {
            let pattern = text.parse::<Pattern>();
            pattern
                .map(|_| text.to_owned())
                .map_err(|error| error.to_string())
        }),
        agents: query.many("agent_id", parsed),
        severities: query
            .many("severity", severities)
            .into_iter()
            .flatten()
            .collect(),
        run: query.one("run_id", parsed),
        ..EventFilter::default()
    }
}

/// A severity, or with `+` also those above it.
pub(super) fn severities(text: &str) -> std::result::Result<Vec<Severity>, String> {
    let (name, with_more) = match text.strip_suffix('+') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let least = word(name, Severity::from_text, Severity::ALL, Severity::as_str)?;
    let all = Severity::ALL.iter().copied();
    Ok(all
        .filter(|one| *one == least || (with_more && *one > least))
        .collect())
}

#[cfg(test)]
mod tests {
    use fusion_core::Severity::{Critical, Error, Warning};

    use super::severities;

    #[test]
    fn a_severity_with_a_plus_is_the_least() {
        assert_eq!(severities("warning+"), Ok(vec![Warning, Error, Critical]));
        assert_eq!(severities("warning"), Ok(vec![Warning]));
        assert!(severities("loud").is_err());
    }
}
