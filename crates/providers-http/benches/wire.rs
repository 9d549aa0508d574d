//! The figures of the HTTP client in docs/benchmarks.md: `cargo bench -p fusion-providers-http --bench wire`.
//!
//! Each figure stands beside a bare `reqwest` call to the same server in the same run, because
//! machines differ and are noisy. The server is a process of its own. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    reason = "a broken benchmark should stop with a trace"
)]

#[path = "wire/bare.rs"]
mod bare;
#[path = "wire/server.rs"]
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_core::{Clock, Timestamp};
use fusion_providers::{Message, NoDeltas, Provider, TurnPlace, TurnRequest};
use fusion_providers_http::{HttpProvider, Options};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use bare::Bare;
use server::{PIECE, SLOW, STREAM, Server};

/// Calls in each second, every other one bare.
const RATE: u32 = 1_000;

/// How long they go on.
const SECONDS: u32 = 15;

/// Streams at once.
const STREAMS: usize = 1_000;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// Who asks.
#[derive(Clone)]
enum Caller {
    Ours(Arc<HttpProvider>),
    Bare(Arc<Bare>),
}

impl Caller {
    async fn ask(&self, model: &str) {
        match self {
            Self::Bare(bare) => bare.ask(model).await,
            Self::Ours(provider) => {
                let messages = [Message::User {
                    text: "Hello".into(),
                }];
                let request = TurnRequest {
                    model,
                    system: "Be short.",
                    messages: &messages,
                    tools: &[],
                    output_schema: None,
                    max_tokens: None,
                    temperature: None,
                    options: None,
                    may_wait: false,
                    place: TurnPlace {
                        run: "run",
                        task: "task",
                        agent: "bench",
                        step: "bench",
                        turn: 1,
                        key: "key",
                    },
                };
                provider.send_message(&request, &NoDeltas).await.unwrap();
            }
        }
    }
}

fn main() {
    if std::env::args().any(|argument| argument == server::ARGUMENT) {
        return server::serve();
    }
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let server = Server::start();
    let options = Options::openai_compatible(server.base_url(), None);
    let ours = Caller::Ours(Arc::new(
        HttpProvider::new(options, Arc::new(Still)).unwrap(),
    ));
    let bare = Caller::Bare(Arc::new(Bare::new(server.base_url())));
    println!(
        "{:<50} {:>10} {:>10} {:>10}",
        "figure", "ours", "bare", "added"
    );
    for (name, model) in [
        ("an answer in one piece", PIECE),
        ("a stream of 10 deltas", STREAM),
    ] {
        latency(name, model, &ours, &bare).await;
    }
    for (name, caller) in [("ours", &ours), ("bare", &bare)] {
        many_streams(name, caller).await;
    }
}

/// Every other call is one of the yardstick, so that what else the machine does hits both alike.
async fn latency(name: &str, model: &'static str, ours: &Caller, bare: &Caller) {
    at_rate(model, [ours, bare], RATE).await;
    let [mut own, mut yardstick] = at_rate(model, [ours, bare], RATE * SECONDS).await;
    own.sort_unstable();
    yardstick.sort_unstable();
    for (word, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let (own, bare) = (percentile(&own, share), percentile(&yardstick, share));
        println!(
            "{:<50} {:>7.3} ms {:>7.3} ms {:>7.3} ms",
            format!("{name}, {RATE} calls/s, {word}"),
            own * 1e3,
            bare * 1e3,
            (own - bare) * 1e3
        );
    }
}

/// How long each call took, by caller. Each is begun at its time whether the ones before are done or
/// not.
async fn at_rate(model: &'static str, callers: [&Caller; 2], calls: u32) -> [Vec<Duration>; 2] {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = [JoinSet::new(), JoinSet::new()];
    for _ in 0..calls / 2 {
        for (caller, set) in callers.into_iter().zip(&mut running) {
            ticks.tick().await;
            let caller = caller.clone();
            set.spawn(async move {
                let start = Instant::now();
                caller.ask(model).await;
                start.elapsed()
            });
        }
    }
    let [ours, bare] = running;
    [ours.join_all().await, bare.join_all().await]
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let rank = (f64::from(count) * share).floor();
    sorted
        .iter()
        .zip(0_u32..)
        .find(|(_, index)| f64::from(*index) >= rank)
        .map_or(f64::NAN, |(time, _)| time.as_secs_f64())
}

/// All streams at once: how long it takes, and how much memory each takes. Who comes second finds room
/// that the first has left: ours comes first.
async fn many_streams(name: &str, caller: &Caller) {
    caller.ask(SLOW).await;
    let before = resident("VmRSS:");
    std::fs::write(Path::new("/proc/self/clear_refs"), "5").unwrap();
    let start = Instant::now();
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        let caller = caller.clone();
        streams.spawn(async move { caller.ask(SLOW).await });
    }
    streams.join_all().await;
    let kibibytes = (resident("VmHWM:") - before) / 1_000.0;
    println!(
        "{:<50} {:>7.2} s  {:>6.1} KiB each",
        format!("{STREAMS} streams of 100 deltas in 1 s at once: {name}"),
        start.elapsed().as_secs_f64(),
        kibibytes
    );
}

/// A figure of this process's memory, in KiB.
fn resident(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
