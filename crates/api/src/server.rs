//! Listening: connections with limits, and an end that leaves nobody without an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::state::{App, Options, Parts};
use crate::{gate, routes};

/// All headers of a request together, in bytes.
const MAX_HEADERS: usize = 16 * 1024;

/// Headers of a request at most.
const MAX_HEADER_COUNT: usize = 64;

/// How long a client may take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Connections at once.
const MAX_CONNECTIONS: usize = 4_096;

/// How long requests that are at work may go on once the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// The wait after the system had no room for a connection.
const BREATH: Duration = Duration::from_millis(50);

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken, or not one of this machine.
    pub async fn at(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until `stopping` is cancelled. Then no connection is taken any more, sockets are told, and
/// requests that are at work have a few seconds to end.
pub async fn serve(
    listening: Listening,
    parts: Parts,
    options: Options,
    stopping: CancellationToken,
) {
    let app = App::new(parts, options, stopping.clone());
    let router = router(&app);
    let connections = TaskTracker::new();
    let hub = connections.spawn({
        let app = app.clone();
        async move { app.hub.follow(&app.stopping).await }
    });
    connections.spawn({
        let app = app.clone();
        async move { app.parts.deltas.flow(&app.stopping).await }
    });
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some((stream, permit)) = accept(&listening.listener, &room, &stopping).await {
        let connection = connection(stream, router.clone(), stopping.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listening);
    end(&connections, "connections").await;
    end(&app.works, "work").await;
    hub.abort();
}

/// Waits for the end of what was spawned, which has some seconds.
async fn end(spawned: &TaskTracker, what: &str) {
    spawned.close();
    if tokio::time::timeout(DRAIN, spawned.wait()).await.is_err() {
        tracing::warn!(what, left = spawned.len(), "what was under way was cut");
    }
}

/// The next connection; `None` once the server stops.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    stopping: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    loop {
        let next = async {
            let permit = Arc::clone(room).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return None,
            accepted = next => accepted?,
        };
        match accepted {
            (Ok((stream, _)), permit) => {
                // Small answers should not wait for more to send.
                stream.set_nodelay(true).ok();
                return Some((stream, permit));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stopping: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADERS)
        .max_headers(MAX_HEADER_COUNT)
        .keep_alive(true);
    let service = TowerToHyperService::new(router);
    let connection = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// All routes with their layers.
pub(crate) fn router(app: &App) -> Router {
    let gate = from_fn_with_state(app.clone(), gate::pass);
    let router = routes::router(app.clone()).layer(gate);
    match app.options.origins.layer() {
        Some(cors) => router.layer(cors),
        None => router,
    }
}
