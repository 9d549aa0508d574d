//! A way to a server on which answers take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// A port on 127.0.0.1 that passes everything on to a server at once, and what the server answers
/// after a delay. It lasts until it is dropped.
#[derive(Debug)]
pub struct SlowWay {
    port: u16,
    delay: Arc<Delay>,
    _passing: JoinSet<()>,
}

#[derive(Debug)]
struct Delay(AtomicU64);

impl Delay {
    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl SlowWay {
    /// Opens a way to a server on 127.0.0.1 that adds nothing yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no port on 127.0.0.1 can be had")?;
        let port = listener.local_addr()?.port();
        let delay = Arc::new(Delay(AtomicU64::new(0)));
        let mut passing = JoinSet::new();
        passing.spawn(accept(listener, server, Arc::clone(&delay)));
        Ok(Self {
            port,
            delay,
            _passing: passing,
        })
    }

    /// Where to connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// From now on each piece of an answer takes so much longer, in whole milliseconds; pieces stay in
    /// their order.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay.0.store(millis, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, server: u16, delay: Arc<Delay>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // A server that is down: the client finds its connection closed.
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            continue;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let none = Arc::new(Delay(AtomicU64::new(0)));
        connections.spawn(pass(from_client, to_server, none));
        connections.spawn(pass(from_server, to_client, Arc::clone(&delay)));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Arc<Delay>) {
    let (sender, mut waiting) = mpsc::unbounded_channel();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1_024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + delay.get();
            let piece = buffer.get(..count).unwrap_or_default();
            if sender.send((due, piece.to_vec())).is_err() {
                break;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = waiting.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reading, writing);
}
