//! The figures of the bus of one process in docs/benchmarks.md: `cargo bench -p fusion-messaging --bench bus`.
//!
//! Each figure stands beside a yardstick measured in the same run, because machines differ and are
//! noisy: the same work over tokio's own channels. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken benchmark should stop with a trace; its readers end with it"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fusion_messaging::{Bus, InProcessBus, QueueLimits, Subject, Subscription};
use tokio::sync::{broadcast, mpsc};

/// Readers of every message.
const READERS: usize = 100;

/// Messages in a row: as many as every queue holds, so that nothing is lost.
const BURST: usize = 500;

/// Bursts that are timed.
const BURSTS: usize = 100;

/// Messages whose way is timed, one a millisecond.
const SINGLE: u32 = 5_000;

/// Messages that are timed for the patterns.
const TRIALS: usize = 400_000;

/// What a channel of tokio carries for a message.
type Bare = (Subject, Arc<[u8]>);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "{:<58} {:>12} {:>12} {:>7}",
        "figure", "ours", "yardstick", "ratio"
    );
    let ours = deliveries_of_the_bus().await;
    for (name, yardstick) in [
        ("tokio's broadcast", deliveries_of_broadcast().await),
        ("100 tokio mpsc", deliveries_of_mpsc().await),
    ] {
        println!(
            "{:<58} {ours:>10.0}/s {yardstick:>10.0}/s {:>7.2}",
            format!("deliveries/s to {READERS} readers / {name}"),
            ours / yardstick
        );
    }
    let (ours, bare) = (latency_of_the_bus().await, latency_of_mpsc().await);
    for (name, percent) in [("p50", 50), ("p99", 99)] {
        row_time(
            &format!("publish to handler, {name} / tokio mpsc"),
            at(&ours, percent),
            at(&bare, percent),
        );
    }
    let few = time_of_a_publish(10).await;
    let many = time_of_a_publish(10_000).await;
    row_time("a publish among 10,000 patterns / among 10", many, few);
}

fn message() -> Bare {
    (
        "task.completed.42".parse().unwrap(),
        Arc::from(*b"a usual hint"),
    )
}

async fn deliveries_of_the_bus() -> f64 {
    let bus = InProcessBus::new(QueueLimits::default());
    let heard = Arc::new(AtomicUsize::new(0));
    for _ in 0..READERS {
        let mut reader = bus.subscribe(&"task.*".parse().unwrap()).await;
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            while reader.recv().await.is_some() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let (subject, payload) = message();
    bursts(&heard, || bus.publish(&subject, Arc::clone(&payload))).await
}

async fn deliveries_of_broadcast() -> f64 {
    let (sender, _) = broadcast::channel::<Bare>(2 * BURST);
    let heard = Arc::new(AtomicUsize::new(0));
    for _ in 0..READERS {
        let mut reader = sender.subscribe();
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            while reader.recv().await.is_ok() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let message = message();
    bursts(&heard, || {
        sender.send(message.clone()).unwrap();
    })
    .await
}

async fn deliveries_of_mpsc() -> f64 {
    let heard = Arc::new(AtomicUsize::new(0));
    let mut senders = Vec::new();
    for _ in 0..READERS {
        let (sender, mut reader) = mpsc::channel::<Bare>(2 * BURST);
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            while reader.recv().await.is_some() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        });
        senders.push(sender);
    }
    let message = message();
    bursts(&heard, || {
        for sender in &senders {
            sender.try_send(message.clone()).unwrap();
        }
    })
    .await
}

/// Deliveries a second: each burst is over when every reader has it.
async fn bursts(heard: &AtomicUsize, publish: impl Fn()) -> f64 {
    let start = Instant::now();
    for burst in 1..=BURSTS {
        (0..BURST).for_each(|_| publish());
        while heard.load(Ordering::Relaxed) < burst * BURST * READERS {
            tokio::task::yield_now().await;
        }
    }
    let count = u32::try_from(BURSTS * BURST * READERS).unwrap();
    f64::from(count) / start.elapsed().as_secs_f64()
}

async fn latency_of_the_bus() -> Vec<Duration> {
    let bus = InProcessBus::new(QueueLimits::default());
    let mut reader = bus.subscribe(&"task.*".parse().unwrap()).await;
    let subject = message().0;
    let start = Instant::now();
    let handler = tokio::spawn(async move {
        let mut times = Vec::new();
        while let Some(message) = reader.recv().await {
            let sent = u64::from_be_bytes(message.payload[..8].try_into().unwrap());
            times.push(start.elapsed() - Duration::from_nanos(sent));
        }
        times
    });
    each_millisecond(start, |sent| bus.publish(&subject, sent)).await;
    drop(bus);
    handler.await.unwrap()
}

async fn latency_of_mpsc() -> Vec<Duration> {
    let (sender, mut reader) = mpsc::channel::<Bare>(1_000);
    let subject = message().0;
    let start = Instant::now();
    let handler = tokio::spawn(async move {
        let mut times = Vec::new();
        while let Some((_, payload)) = reader.recv().await {
            let sent = u64::from_be_bytes(payload[..8].try_into().unwrap());
            times.push(start.elapsed() - Duration::from_nanos(sent));
        }
        times
    });
    each_millisecond(start, |sent| {
        sender.try_send((subject.clone(), sent)).unwrap();
    })
    .await;
    drop(sender);
    handler.await.unwrap()
}

/// Publishes the time since the start.
async fn each_millisecond(start: Instant, publish: impl Fn(Arc<[u8]>)) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..SINGLE {
        ticks.tick().await;
        let sent = u64::try_from(start.elapsed().as_nanos()).unwrap();
        publish(Arc::from(sent.to_be_bytes()));
    }
}

/// The mean time of a publish that two of these patterns name, whatever their number. The messages
/// are about the same five agents, so that the others' patterns are all that differs.
async fn time_of_a_publish(patterns: usize) -> Duration {
    let limits = QueueLimits {
        messages: 4,
        bytes: 1_024,
    };
    let bus = InProcessBus::new(limits);
    let mut readers: Vec<Subscription> = Vec::new();
    let mut subjects: Vec<Subject> = Vec::new();
    for agent in 0..patterns / 2 {
        for pattern in [format!("agent.{agent}.*"), format!("*.{agent}.inbox")] {
            readers.push(bus.subscribe(&pattern.parse().unwrap()).await);
        }
        subjects.push(format!("agent.{agent}.inbox").parse().unwrap());
    }
    subjects.truncate(5);
    let payload = message().1;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for trial in 0..TRIALS {
            let subject = &subjects[trial % subjects.len()];
            bus.publish(subject, Arc::clone(&payload));
        }
        best = best.min(start.elapsed());
    }
    drop(readers);
    best / u32::try_from(TRIALS).unwrap()
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn row_time(what: &str, ours: Duration, yardstick: Duration) {
    let micros = |time: Duration| time.as_secs_f64() * 1_000_000.0;
    println!(
        "{what:<58} {:>9.3} us {:>9.3} us {:>7.2}",
        micros(ours),
        micros(yardstick),
        ours.as_secs_f64() / yardstick.as_secs_f64()
    );
}
