//! A server whose every answer takes five seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_messaging::Bus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;

use crate::support::{bus, bus_at, heard, listen, say, server, settings, subject, until_back};

const DELAY: Duration = Duration::from_secs(5);

/// Passes everything on to a server at once and its answers later; gives the port to connect to.
async fn slow_way_to(port: u16, tracker: &TaskTracker) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let connections = tracker.clone();
    tracker.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            connections.spawn(pass(from_client, to_server, Duration::ZERO));
            connections.spawn(pass(from_server, to_client, DELAY));
        }
    });
    own
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut waiting) = mpsc::unbounded_channel();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1_024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let due = tokio::time::Instant::now() + delay;
            sender.send((due, buffer[..count].to_vec())).ok();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_five_seconds_to_answer_costs_time_only() {
    let server = server();
    let tracker = TaskTracker::new();
    let port = slow_way_to(server.port(), &tracker).await;
    let url = format!("redis://:{}@127.0.0.1:{port}", server.password());
    let (slow, quick) = (bus_at(&url, settings(), 1), bus(&server, 2));
    let mut far = listen(&quick, "*").await;
    let mut near = listen(&slow, "*").await;
    let tick = subject("load.tick");
    let mut longest = Duration::ZERO;
    for number in 0..100 {
        let payload: Arc<[u8]> = number.to_string().into_bytes().into();
        let begun = Instant::now();
        slow.publish(&tick, payload);
        longest = longest.max(begun.elapsed());
        assert_eq!(heard(&mut near).await, (number.to_string(), 0));
    }
    assert!(longest < Duration::from_secs(1), "a call took {longest:?}");

    until_back(&slow).await;
    for number in 0..100 {
        assert_eq!(heard(&mut far).await, (number.to_string(), 0));
    }
    // It hears late, and everything, with a mark: it was not there for a while.
    say(&quick, "task.done", "late");
    assert_eq!(heard(&mut near).await, ("late".to_owned(), 1));
}
