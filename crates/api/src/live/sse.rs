//! The stream as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::Frame;
use futures::stream;

use super::hub::Line;
use super::reader::{Follower, Next};
use crate::event_pages::place as event_place;
use crate::parameters::{OfEvents, OfStream};
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;

/// What may be asked: all but a ticket.
const PARAMETERS: &[&str] = super::PARAMETERS.split_at(6).0;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(stream))
}

/// Live events as server-sent events: each `data` is a frame. `Last-Event-ID` resumes.
#[utoipa::path(get, path = "/events/stream", tag = "events", params(
    OfEvents, OfStream,
), responses(
    (status = 200, description = "The stream begins.", body = Frame, content_type = "text/event-stream"),
    (status = 410, description = "The events after the place have been deleted by age."),
))]
async fn stream(State(app): State<App>, query: Query, headers: HeaderMap) -> Result<Response> {
    let resume = last_event_id(&headers)?;
    let (follower, hello) = Follower::new(&app, query.of(PARAMETERS), resume).await?;
    let frames = stream::unfold(Stage::Begins(follower, hello), |state| async {
        let (frames, state) = state.next().await?;
        Some((Ok::<_, Infallible>(frames), state))
    });
    let content = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    Ok(([content], Body::from_stream(frames)).into_response())
}

/// Where a stream is. The body asks for more only when the client has taken what there was.
enum Stage {
    Begins(Follower, Frame),
    Goes(Follower),
    Ends,
}

impl Stage {
    async fn next(self) -> Option<(Bytes, Self)> {
        match self {
            Self::Begins(follower, hello) => {
                Some((text(&[Line::of(&hello)]), Self::Goes(follower)))
            }
            Self::Goes(mut follower) => match follower.next().await {
                Next::Frames(frames) => Some((text(&frames), Self::Goes(follower))),
                Next::Last(frame) => Some((text(&[Line::of(&frame)]), Self::Ends)),
            },
            Self::Ends => None,
        }
    }
}

/// Frames as lines; the id is the place that the stream goes on after. What has none leaves it as it is.
fn text(lines: &[Line]) -> Bytes {
    let mut text = String::new();
    for Line { seq, text: data } in lines {
        if let Some(seq) = seq {
            text.push_str(&format!("id: {seq}\n"));
        }
        text.push_str(&format!("data: {data}\n\n"));
    }
    Bytes::from(text)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(id) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let place = id
        .to_str()
        .map_err(|_| "is no text".to_owned())
        .and_then(event_place);
    place
        .map(Some)
        .map_err(|message| Refusal::fault("Last-Event-ID", message))
}
