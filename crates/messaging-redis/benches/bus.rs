//! The figures of the bus over Redis in docs/benchmarks.md: `cargo bench -p fusion-messaging-redis --bench bus`.
//!
//! Each figure stands beside a yardstick measured in the same run, because machines differ and are
//! noisy: `redis-benchmark` on the same server, with messages of the same size, which one connection
//! listens for in both cases. Nothing is asserted. The server is started for it; it and everybody
//! else share the cores.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken benchmark should stop with a trace; it starts redis-benchmark, and its readers end with it"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_messaging::{Bus, QueueLimits, Subject};
use fusion_messaging_redis::{RedisBus, Settings};
use fusion_testkit::{Redis, redis_binaries};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Messages that are timed together.
const MANY: usize = 300_000;

/// Messages whose way is timed, one a millisecond.
const SINGLE: u32 = 5_000;

/// Bytes of payload, and those that the bus puts before it.
const PAYLOAD: usize = 64;
const HEAD: usize = 25;

/// Rounds, of which the middle one counts.
const ROUNDS: usize = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = Redis::start(&redis_binaries().unwrap()).unwrap();
    let bus = open(&server, 1);
    assert_eq!(bus.fault().await, None);
    println!(
        "{:<58} {:>12} {:>12} {:>7}",
        "figure", "ours", "yardstick", "ratio"
    );
    let (mut ours, mut single, mut fifty, mut piped) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        ours.push(published(&bus).await);
        single.push(benchmarked(&server, 1, 1));
        fifty.push(benchmarked(&server, 50, 1));
        piped.push(benchmarked(&server, 1, 1_000));
    }
    let ours = middle(ours);
    for (name, yardstick) in [
        ("redis-benchmark, 1 connection", middle(single)),
        ("redis-benchmark, 50 connections", middle(fifty)),
        (
            "redis-benchmark, 1 connection, 1,000 in one go",
            middle(piped),
        ),
    ] {
        println!(
            "{:<58} {ours:>10.0}/s {yardstick:>10.0}/s {:>7.2}",
            format!("PUBLISH/s / {name}"),
            ours / yardstick
        );
    }
    // Others than the one before, which still hears the last of its own messages.
    let (speaker, listener) = (open(&server, 2), open(&server, 3));
    let (mut ours, mut bare) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        ours.extend(latency(&speaker, &listener).await);
        bare.extend(bare_latency(&server).await);
    }
    for (name, permille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
        let (ours, bare) = (at(&ours, permille), at(&bare, permille));
        println!(
            "{:<58} {:>9.3} ms {:>9.3} ms {:>7.2}",
            format!("publish to handler of another bus / bare sockets, {name}"),
            ours.as_secs_f64() * 1_000.0,
            bare.as_secs_f64() * 1_000.0,
            ours.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

fn open(server: &Redis, origin: u128) -> RedisBus {
    let settings = Settings {
        // All that is timed together waits here.
        outbox: QueueLimits {
            messages: MANY,
            bytes: MANY * PAYLOAD,
        },
        ..Settings::default()
    };
    let address = server.url().parse().unwrap();
    RedisBus::open(
        address,
        settings,
        Uuid::from_u128(origin),
        &TaskTracker::new(),
    )
}

/// Messages a second, from the first call to the server's last answer.
async fn published(bus: &RedisBus) -> f64 {
    let subject: Subject = "bench.tick".parse().unwrap();
    let payload: Arc<[u8]> = Arc::from([b'x'; PAYLOAD]);
    let start = Instant::now();
    for _ in 0..MANY {
        bus.publish(&subject, Arc::clone(&payload));
    }
    loop {
        let waiting = Instant::now();
        bus.flush().await;
        // It gives up after a second.
        if waiting.elapsed() < Duration::from_millis(900) {
            break;
        }
    }
    f64::from(u32::try_from(MANY).unwrap()) / start.elapsed().as_secs_f64()
}

/// What `redis-benchmark` reaches.
fn benchmarked(server: &Redis, connections: usize, together: usize) -> f64 {
    let output = Command::new(redis_binaries().unwrap().join("redis-benchmark"))
        .args(["-h", "127.0.0.1", "-a", server.password(), "--csv"])
        .args(["-p", &server.port().to_string(), "-n", &MANY.to_string()])
        .args(["-c", &connections.to_string(), "-P", &together.to_string()])
        .args(["PUBLISH", "fusion:bench.tick", &"x".repeat(PAYLOAD + HEAD)])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().last().unwrap();
    let fields: Vec<&str> = row.rsplit("\",\"").collect();
    // The name, then the rate, then six times.
    fields[6].parse().unwrap()
}

async fn latency(speaker: &RedisBus, listener: &RedisBus) -> Vec<Duration> {
    let mut reader = listener.subscribe(&"bench.*".parse().unwrap()).await;
    let subject: Subject = "bench.way".parse().unwrap();
    let start = Instant::now();
    let handler = tokio::spawn(async move {
        let mut times = Vec::new();
        for _ in 0..SINGLE {
            let message = reader.recv().await.unwrap();
            let sent = u64::from_be_bytes(message.payload[..8].try_into().unwrap());
            times.push(start.elapsed() - Duration::from_nanos(sent));
        }
        times
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..SINGLE {
        ticks.tick().await;
        let sent = u64::try_from(start.elapsed().as_nanos()).unwrap();
        let mut payload = sent.to_be_bytes().to_vec();
        payload.resize(PAYLOAD, 0);
        speaker.publish(&subject, payload.into());
    }
    handler.await.unwrap()
}

/// The same way over two connections that nothing but this uses: what the machine and the server take.
async fn bare_latency(server: &Redis) -> Vec<Duration> {
    let mut speaker = Bare::connect(server).await;
    let mut listener = Bare::connect(server).await;
    listener.send("SUBSCRIBE bench.bare\r\n").await;
    // A push of three parts: its head, then two texts of two lines, then a number.
    for _ in 0..6 {
        listener.line().await;
    }
    let start = Instant::now();
    let handler = tokio::spawn(async move {
        let mut times = Vec::new();
        for _ in 0..SINGLE {
            for _ in 0..6 {
                listener.line().await;
            }
            let sent = listener.line().await;
            let sent: u64 = sent.trim_end_matches('x').parse().unwrap();
            times.push(start.elapsed() - Duration::from_nanos(sent));
        }
        times
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..SINGLE {
        ticks.tick().await;
        let sent = start.elapsed().as_nanos().to_string();
        let payload = format!("{sent:x<width$}", width = PAYLOAD + HEAD);
        speaker
            .send(&format!("PUBLISH bench.bare {payload}\r\n"))
            .await;
        speaker.line().await;
    }
    handler.await.unwrap()
}

/// A connection that speaks just as much of the protocol as is needed here
/// (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
struct Bare(BufStream<TcpStream>);

impl Bare {
    async fn connect(server: &Redis) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bare = Self(BufStream::new(stream));
        bare.send(&format!("AUTH {}\r\n", server.password())).await;
        assert_eq!(bare.line().await, "+OK");
        bare
    }

    async fn send(&mut self, command: &str) {
        self.0.write_all(command.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn at(times: &[Duration], permille: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * permille / 1_000).min(sorted.len() - 1)]
}
