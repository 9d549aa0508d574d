//! Long answers that are made while they are sent: in pieces, a few at once, and never faster than the
//! client takes them.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::stream;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::timeout;

use crate::problem::{Refusal, Result};
use crate::state::App;

/// Downloads at once: each has a thread of its own.
pub(crate) const AT_ONCE: usize = 8;

/// Bytes of a piece.
const PIECE: usize = 64 * 1024;

/// Pieces that wait for the client.
const AHEAD: usize = 4;

/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A place for a long answer, until it is dropped.
pub(crate) fn place(app: &App) -> Result<OwnedSemaphorePermit> {
    let place = Arc::clone(&app.downloads).try_acquire_owned();
    place.map_err(|_| {
        let busy = "as many downloads as may be are under way";
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "limited", busy);
        refusal.retry_after(Duration::from_secs(1))
    })
}

/// A body of what `write` writes, which keeps the place until it is over, on a thread that may block. A fault on the way cuts the answer off, so
/// that nobody takes it for whole.
pub(crate) fn body(
    place: OwnedSemaphorePermit,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Body {
    let (to, from) = mpsc::channel(AHEAD);
    let handle = Handle::current();
    drop(tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            piece: Vec::with_capacity(PIECE),
            to,
            handle,
        };
        let written = write(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = written {
            tracing::debug!(%error, "a download was cut off");
            pieces.give(Err(error)).ok();
        }
        drop(place);
    }));
    Body::from_stream(stream::unfold(from, async |mut from| {
        let piece = from.recv().await?;
        Some((piece, from))
    }))
}

/// What is written, on its way to the client.
struct Pieces {
    piece: Vec<u8>,
    to: Sender<io::Result<Bytes>>,
    handle: Handle,
}

impl Pieces {
    fn give(&mut self, piece: io::Result<Bytes>) -> io::Result<()> {
        let sent = self.handle.block_on(timeout(PATIENCE, self.to.send(piece)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.piece.len());
        let (now, _) = bytes.split_at(room.min(bytes.len()));
        self.piece.extend_from_slice(now);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.give(Ok(Bytes::from(piece)))
    }
}
