//! The stream over WebSocket (RFC 6455).

use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{Frame, Ticket};
use futures::SinkExt;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::hub::Line;
use super::reader::{Follower, Next};
use crate::auth::{Entrant, TICKET};
use crate::parameters::{OfEvents, OfStream};
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;

/// The largest message that a client may send: it has nothing to say.
const MAX_INCOMING: usize = 4 * 1024;

/// How often the client is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// How long a client may take nothing of what is sent to it. Then it is cut off, and goes on from
/// its place when it comes back.
const STUCK: Duration = Duration::from_secs(10);

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(socket)).routes(routes!(ticket))
}

/// A right to open one socket, for a browser: it can send no header with it.
#[utoipa::path(post, path = "/ws/tickets", tag = "events",
    responses((status = 201, body = Ticket)))]
async fn ticket(
    State(app): State<App>,
    Extension(entrant): Extension<Entrant>,
    query: Query,
) -> Result<Response> {
    query.none()?;
    let ticket = Ticket {
        ticket: app.door.ticket(entrant)?,
        expires_in: TICKET.num_seconds().unsigned_abs(),
    };
    json(StatusCode::CREATED, &ticket)
}

/// Live events over WebSocket: each text message is a frame.
#[utoipa::path(get, path = "/ws/events", tag = "events", params(
    OfEvents, OfStream,
    ("ticket" = Option<String>, Query, description = "Instead of the header `Authorization`."),
), responses(
    (status = 101, description = "The stream begins.", body = Frame),
    (status = 410, description = "The events after the place have been deleted by age."),
))]
async fn socket(
    State(app): State<App>,
    query: Query,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let (follower, hello) = Follower::new(&app, query.of(super::PARAMETERS), None).await?;
    let upgrade = upgrade.map_err(|rejection| {
        Refusal::fault("", format!("this path is for WebSocket: {rejection}"))
    })?;
    let upgrade = upgrade
        .max_message_size(MAX_INCOMING)
        .max_frame_size(MAX_INCOMING);
    Ok(upgrade.on_upgrade(move |socket| talk(socket, follower, hello)))
}

async fn talk(mut socket: WebSocket, mut follower: Follower, hello: Frame) {
    if send(&mut socket, &hello).await.is_break() {
        return;
    }
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let flow = tokio::select! {
            next = follower.next() => tell(&mut socket, next).await,
            // What a client says is read, so that its pongs and its farewell are noticed.
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_))) => part(&mut socket).await,
                Some(Err(_)) | None => ControlFlow::Break(()),
                Some(Ok(_)) => ControlFlow::Continue(()),
            },
            _ = pings.tick() => put(&mut socket, Message::Ping(Vec::new().into())).await,
        };
        if flow.is_break() {
            return;
        }
    }
}

/// Sends the answer to a farewell (RFC 6455, 5.5.1), which is ready by then.
async fn part(socket: &mut WebSocket) -> ControlFlow<()> {
    taken(socket.flush()).await?;
    ControlFlow::Break(())
}

async fn tell(socket: &mut WebSocket, next: Next) -> ControlFlow<()> {
    match next {
        Next::Frames(lines) => put_all(socket, lines).await,
        Next::Last(frame) => {
            send(socket, &frame).await?;
            let code = match frame {
                Frame::Shutdown { .. } => close_code::AWAY,
                Frame::Lagged { .. }
                | Frame::Hello { .. }
                | Frame::Event { .. }
                | Frame::Delta { .. }
                | Frame::Bookmark { .. } => close_code::AGAIN,
            };
            let farewell = CloseFrame {
                code,
                reason: "".into(),
            };
            put(socket, Message::Close(Some(farewell))).await?;
            ControlFlow::Break(())
        }
    }
}

async fn send(socket: &mut WebSocket, frame: &Frame) -> ControlFlow<()> {
    put_all(socket, vec![Line::of(frame)]).await
}

/// Sends frames together: one write for all that fit.
async fn put_all(socket: &mut WebSocket, lines: Vec<Line>) -> ControlFlow<()> {
    for line in lines {
        taken(socket.feed(Message::Text(line.text))).await?;
    }
    taken(socket.flush()).await
}

/// Whether a client takes what is sent to it.
async fn taken(
    sending: impl Future<Output = std::result::Result<(), axum::Error>> + Send,
) -> ControlFlow<()> {
    match timeout(STUCK, sending).await {
        Ok(Ok(())) => ControlFlow::Continue(()),
        Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
    }
}

async fn put(socket: &mut WebSocket, message: Message) -> ControlFlow<()> {
    taken(socket.send(message)).await
}
