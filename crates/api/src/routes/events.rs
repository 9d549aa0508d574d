//! The event log, in pages.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::DateTime;
use fusion_api_types::api::EventPage;
use fusion_core::{Event, Severity, Timestamp};
use fusion_messaging::Pattern;
use fusion_persistence::{EventFilter, EventPlace};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::input::{parsed, time};
use crate::parameters::{OfEvents, OfLog, Paging};
use crate::precondition::json;
use crate::problem::Result;
use crate::query::{Parameters, Query, word};
use crate::state::App;
use crate::views;

/// The largest place in a log.
const LAST_PLACE: u64 = i64::MAX as u64;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After this one, in the order of the log.
    After(u64),
    /// Before this one, the newest first.
    Before(EventPlace),
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
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
    let (events, next_cursor) = page(&app, &filter, from, limit).await?;
    let events = events.into_iter().map(views::event).collect();
    json(
        StatusCode::OK,
        &EventPage {
            events,
            next_cursor,
        },
    )
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
fn severities(text: &str) -> std::result::Result<Vec<Severity>, String> {
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

/// A place in the log.
pub(crate) fn place(text: &str) -> std::result::Result<u64, String> {
    let number = text
        .parse::<u64>()
        .ok()
        .filter(|number| *number <= LAST_PLACE);
    number.ok_or_else(|| "must be the seq of an event, or 0".to_owned())
}

async fn page(
    app: &App,
    filter: &EventFilter,
    from: Option<Place>,
    limit: u32,
) -> Result<(Vec<Event>, Option<String>)> {
    let (most, limit) = (limit as usize, limit.saturating_add(1));
    let mut events = match from {
        Some(Place::After(place)) => app.reader().events_after(filter, place, limit).await?,
        Some(Place::Before(place)) => {
            app.reader()
                .events_before(filter, Some(place), limit)
                .await?
        }
        None => app.reader().events_before(filter, None, limit).await?,
    };
    let has_more = events.len() > most;
    events.truncate(most);
    let next = events.last().filter(|_| has_more).map(|last| match from {
        Some(Place::After(_)) => Place::After(last.seq),
        Some(Place::Before(_)) | None => Place::Before(EventPlace {
            timestamp: last.event.timestamp,
            seq: last.seq,
        }),
    });
    Ok((events, next.map(to_cursor)))
}

fn to_cursor(place: Place) -> String {
    match place {
        Place::After(seq) => format!("a{seq}"),
        Place::Before(place) => format!("b{}.{}", place.timestamp.timestamp_micros(), place.seq),
    }
}

fn from_cursor(text: &str) -> std::result::Result<Place, String> {
    let read = || {
        if let Some(seq) = text.strip_prefix('a') {
            return Some(Place::After(place(seq).ok()?));
        }
        let (micros, seq) = text.strip_prefix('b')?.split_once('.')?;
        let timestamp: Timestamp = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some(Place::Before(EventPlace {
            timestamp,
            seq: place(seq).ok()?,
        }))
    };
    read().ok_or_else(|| "is not a cursor that a page gave".to_owned())
}

#[cfg(test)]
mod tests {
    use fusion_core::Severity::{Critical, Error, Warning};
    use fusion_persistence::EventPlace;

    use super::{Place, from_cursor, severities, to_cursor};

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let places = [
            Place::After(0),
            Place::After(u64::try_from(i64::MAX).unwrap()),
            Place::Before(EventPlace {
                timestamp: "2026-11-23T16:21:19.000001Z".parse().unwrap(),
                seq: 7,
            }),
        ];
        assert_eq!(
            places.map(|place| from_cursor(&to_cursor(place))),
            places.map(Ok)
        );
        for wrong in [
            "",
            "a",
            "a-1",
            "a9223372036854775808",
            "b1",
            "b1.",
            "b99999999999999999999.1",
            "c1",
        ] {
            assert!(from_cursor(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_severity_with_a_plus_is_the_least() {
        assert_eq!(severities("warning+"), Ok(vec![Warning, Error, Critical]));
        assert_eq!(severities("warning"), Ok(vec![Warning]));
        assert!(severities("loud").is_err());
    }
}
