//! Whole logs for other programs, as they are read.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api;
use fusion_persistence::EventFilter;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::events::of_log;
use crate::download;
use crate::event_pages::place;
use crate::parameters::{OfEvents, OfLog};
use crate::problem::{Refusal, Result};
use crate::query::{MAX_LIMIT, Query};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

/// How each event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jsonl,
    Csv,
}

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(events))
}

/// The event log from a place to where it ends now, in its order: a JSON object on each line, or CSV.
#[utoipa::path(get, path = "/events/export", tag = "events", operation_id = "export", params(
    ("format" = Option<String>, Query, description = "`jsonl`, as without it, or `csv`."),
    OfEvents, OfLog,
    ("after" = Option<u64>, Query, description = "Begin after this `seq`; at the oldest event without it."),
), responses(
    (status = 200, description = "The events; an answer that is cut off is not whole.", content(
        (String = "application/jsonl"), (String = "text/csv; charset=utf-8; header=present"))),
    (status = 410, description = "The events after the place have been deleted by age.",
     body = api::ProblemBody, content_type = "application/problem+json"),
))]
async fn events(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&[
        "format",
        "event_type",
        "agent_id",
        "severity",
        "run_id",
        "since",
        "until",
        "q",
        "after",
    ]);
    let format = query.one("format", |text| match text {
        "jsonl" => Ok(Format::Jsonl),
        "csv" => Ok(Format::Csv),
        _ => Err("must be one of: jsonl, csv".to_owned()),
    });
    let filter = of_log(&mut query);
    let after = query.one("after", place);
    query.finish()?;
    let bounds = app.reader().event_bounds().await?;
    let mut reading = Reading {
        _place: download::place(&app)?,
        format: format.unwrap_or(Format::Jsonl),
        filter,
        after: after.unwrap_or_else(|| bounds.oldest.saturating_sub(1)),
        last: bounds.last,
        is_first: true,
        app,
    };
    // What is wrong with it is said as long as it can be.
    let first = reading.piece().await?;
    let content = match reading.format {
        Format::Jsonl => HeaderValue::from_static("application/jsonl"),
        Format::Csv => HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    };
    let body = stream::unfold((reading, first), |(mut reading, piece)| async {
        let piece = piece?;
        let next = match reading.piece().await {
            Ok(next) => next,
            Err(refusal) => return Some((Err(cut_off(refusal)), (reading, None))),
        };
        Some((Ok(piece), (reading, next)))
    });
    Ok(([(header::CONTENT_TYPE, content)], Body::from_stream(body)).into_response())
}

fn cut_off(refusal: Refusal) -> std::io::Error {
    std::io::Error::other(refusal.detail())
}

/// How far an export is.
struct Reading {
    app: App,
    format: Format,
    filter: EventFilter,
    after: u64,
    /// Where the log ended when it was asked for.
    last: u64,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

impl Reading {
    /// The next piece; `None` after the last.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let mut text = String::new();
        if std::mem::take(&mut self.is_first) && self.format == Format::Csv {
            text.push_str(api::Event::CSV_HEAD);
        }
        if self.after < self.last {
            let reader = self.app.reader();
            let found = reader
                .events_after(&self.filter, self.after, MAX_LIMIT)
                .await?;
            self.after = found.last().map_or(self.last, |last| last.seq);
            for event in found.into_iter().filter(|event| event.seq <= self.last) {
                let event = views::event(event);
                match self.format {
                    Format::Csv => text.push_str(&event.csv()),
                    Format::Jsonl => {
                        let line = serde_json::to_string(&event);
                        text += &line.map_err(|error| Refusal::internal(&error.to_string()))?;
                        text.push('\n');
                    }
                }
            }
        }
        Ok((!text.is_empty()).then(|| Bytes::from(text)))
    }
}
