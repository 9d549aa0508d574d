//! Messages between agents while Redis fails under load: the real binary works on a run, this process
//! sends to its agents through the same PostgreSQL and the same Redis, and they send on to others of
//! the run. What a fault costs stands beside the same without one.
//!
//! `FUSION_STORM=full` makes each fault last a minute.

mod sender;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fusion_core::{Delivery, DeliveryStatus, Message, RunId};
use fusion_persistence::{MessageFilter, MessageReader, Repository};
use fusion_persistence_sql::SqlStore;
use fusion_testkit::{Postgres, Redis, SlowWay, postgres_binaries, redis_binaries};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::{Project, Running, breathe};
use crate::talk::shown;
use sender::{OUTSIDE, Sender};

/// Pairs of agents: one hears from this process and sends on to the other.
const PAIRS: usize = 8;

/// How often each pair is sent a message.
const EVERY: Duration = Duration::from_millis(500);

/// How long a message may take to be read, for 99 of 100.
const DELIVERY: Duration = Duration::from_millis(1_500);

/// What a fault may cost in memory.
const MEMORY_KIB: u64 = 16 * 1_024;

/// No call may wait for Redis. The machine may be busy, so this is far more than a call takes.
const LONGEST_CALL: Duration = Duration::from_secs(1);

/// Nothing new for so many looks: nothing is under way.
const QUIET_LOOKS: u32 = 20;

/// How long a fault lasts, and the time after it.
#[derive(Debug, Clone, Copy)]
struct Size {
    fault: Duration,
    after: Duration,
    /// Answers of each agent: more than it gets messages, and no more than a workflow file allows.
    turns: usize,
}

const SMALL: Size = Size {
    fault: Duration::from_secs(3),
    after: Duration::from_secs(1),
    turns: 40,
};

const FULL: Size = Size {
    fault: Duration::from_secs(60),
    after: Duration::from_secs(5),
    turns: 200,
};

#[expect(clippy::disallowed_methods, reason = "who runs the storm says how big")]
fn is_full() -> bool {
    std::env::var("FUSION_STORM").as_deref() == Ok("full")
}

/// What happens to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Killed, later back and empty; mute and back; killed once more and back at once.
    Stopped,
    /// Each answer takes five seconds.
    Slow,
    OutOfMemory,
    ReadOnly,
}

impl Fault {
    async fn happen(self, redis: &mut Redis, way: &SlowWay, size: Size) {
        match self {
            Self::None => sleep(size.fault).await,
            Self::Stopped => {
                redis.kill().unwrap();
                sleep(size.fault).await;
                redis.start_again().unwrap();
                sleep(size.after).await;
                redis.pause().unwrap();
                sleep(size.after).await;
                redis.resume().unwrap();
                redis.kill().unwrap();
                redis.start_again().unwrap();
            }
            Self::Slow => {
                way.delay(Duration::from_secs(5));
                sleep(size.fault).await;
                way.delay(Duration::ZERO);
            }
            Self::OutOfMemory => {
                redis.ask("CONFIG SET maxmemory 1").unwrap();
                redis.ask("SET a b").unwrap_err();
                sleep(size.fault).await;
                redis.ask("CONFIG SET maxmemory 0").unwrap();
            }
            Self::ReadOnly => {
                redis.ask("REPLICAOF 127.0.0.1 1").unwrap();
                redis.ask("SET a b").unwrap_err();
                sleep(size.fault).await;
                redis.ask("REPLICAOF NO ONE").unwrap();
            }
        }
        sleep(size.after).await;
    }
}

/// A workflow of pairs, and what its pretend models say.
fn project(postgres: &Postgres, redis_url: &str, turns: usize) -> Project {
    let mut workflow = format!(
        "version: 1\nname: storm\nagents:\n  {OUTSIDE}: {{ provider: scripted, model: script.yaml }}\n"
    );
    let mut steps = "steps:\n".to_owned();
    let mut script = "version: 1\nsteps:\n".to_owned();
    let wait = "{ name: wait_for_message, arguments: { timeout_seconds: 600 } }";
    for pair in 0..PAIRS {
        let on =
            format!("{{ name: send_message, arguments: {{ to: second{pair}, text: hello }} }}, ");
        for (name, send) in [
            (format!("first{pair}"), on.as_str()),
            (format!("second{pair}"), ""),
        ] {
            writeln!(workflow, "  {name}: {{ provider: scripted, model: script.yaml, tools: [messages], max_turns: 200 }}").unwrap();
            writeln!(
                steps,
                "  - {{ id: {name}, agent: {name}, prompt: x, timeout: 1h }}"
            )
            .unwrap();
            writeln!(script, "  {name}:\n    - tool_calls: [{wait}]").unwrap();
            for _ in 1..turns {
                writeln!(script, "    - tool_calls: [{send}{wait}]").unwrap();
            }
        }
    }
    workflow.push_str(&steps);
    let mut project = Project::with(&workflow, &script);
    project.set("DATABASE_URL", postgres.url());
    project.set("REDIS_URL", redis_url);
    let key = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    project
}

/// What came of one storm.
#[derive(Debug)]
struct Figures {
    messages: usize,
    not_read: usize,
    /// Messages that were put before a model more than once.
    read_twice: usize,
    /// From another process, 99 of 100.
    far: Duration,
    /// Within the process.
    near: Duration,
    /// The most that the process had in memory.
    peak_kib: u64,
    /// The longest that a publish took.
    longest_call: Duration,
}

impl Figures {
    fn print(&self, fault: Fault, undisturbed: &Self) {
        println!(
            "{:<12} {:>8} {:>8} {:>10} {:>8} ms {:>8} ms {:>9} KiB {:>6} us",
            format!("{fault:?}"),
            self.messages,
            self.not_read,
            self.read_twice,
            self.far.as_millis(),
            self.near.as_millis(),
            self.peak_kib.saturating_sub(undisturbed.peak_kib),
            self.longest_call.as_micros(),
        );
    }
}

async fn blow(fault: Fault, postgres: &Postgres, size: Size) -> Figures {
    let mut redis = Redis::start(&redis_binaries().unwrap()).unwrap();
    let way = SlowWay::to(redis.port()).await.unwrap();
    let url = format!("redis://:{}@127.0.0.1:{}", redis.password(), way.port());
    let project = project(postgres, &url, size.turns);
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    let sender = Sender::join(postgres, &url).await;
    let (store, run) = (sender.store(), sender.run());
    let (stop, mut sending) = (sender.stop(), JoinSet::new());
    sending.spawn(sender.send_on());
    fault.happen(&mut redis, &way, size).await;
    stop.cancel();
    let (sent, longest_call) = sending.join_next().await.unwrap().unwrap();
    let log = until_all_is_read(&store, run).await;
    let peak_kib = peak_kib(&running);
    running.signal(Signal::INT);
    running.finish().await.expect(130);

    let shown = shown(&project.shown().await);
    let mut times = BTreeMap::from([(true, Vec::new()), (false, Vec::new())]);
    let mut read = 0;
    for (message, delivery) in &log {
        let is_far = sent.contains(&message.id);
        if delivery.status == DeliveryStatus::Delivered
            && shown.contains_key(&message.id.to_string())
        {
            read += 1;
            let took = (delivery.settled_at.unwrap() - message.timestamp).to_std();
            times.entry(is_far).or_default().push(took.unwrap());
        }
    }
    // Whoever was sent something sent something on.
    assert!(
        times[&false].len() >= PAIRS && sent.len() >= PAIRS,
        "{times:?}"
    );
    Figures {
        messages: log.len(),
        not_read: log.len() - read + sent.len() - times[&true].len(),
        read_twice: shown.values().filter(|times| **times > 1).count(),
        far: of_hundred(99, &times[&true]),
        near: of_hundred(99, &times[&false]),
        peak_kib,
        longest_call,
    }
}

/// The log with the delivery of each message, once nothing is under way any more.
async fn until_all_is_read(store: &SqlStore, run: RunId) -> Vec<(Message, Delivery)> {
    let all = MessageFilter {
        run: Some(run),
        ..MessageFilter::default()
    };
    let pending = MessageFilter {
        statuses: vec![DeliveryStatus::Pending],
        ..all.clone()
    };
    let (began, mut seen, mut quiet) = (Instant::now(), 0, 0);
    while quiet < QUIET_LOOKS {
        let now = store.count(&all).await.unwrap();
        let is_quiet = now == seen && store.count(&pending).await.unwrap() == 0;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        seen = now;
        breathe(began, "all messages to be read").await;
    }
    let mut log = Vec::new();
    for message in store.messages_after(&all, 0, 10_000).await.unwrap() {
        let [delivery] = store
            .deliveries(message.id)
            .await
            .unwrap()
            .try_into()
            .unwrap();
        log.push((message, delivery));
    }
    log
}

fn peak_kib(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn of_hundred(percent: usize, times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_redis_messages_arrive_in_time_once_and_cost_no_memory() {
    let size = if is_full() { FULL } else { SMALL };
    let postgres = Postgres::start(&postgres_binaries().unwrap()).unwrap();
    let undisturbed = blow(Fault::None, &postgres, size).await;
    // A busy machine is slow without a fault too.
    let slack = if is_full() {
        Duration::ZERO
    } else {
        undisturbed.far * 2
    };
    println!(
        "{:<12} {:>8} {:>8} {:>10} {:>11} {:>11} {:>13} {:>9}",
        "fault", "messages", "not read", "read twice", "far p99", "near p99", "more memory", "call"
    );
    undisturbed.print(Fault::None, &undisturbed);
    for fault in [
        Fault::Stopped,
        Fault::Slow,
        Fault::OutOfMemory,
        Fault::ReadOnly,
    ] {
        let figures = blow(fault, &postgres, size).await;
        figures.print(fault, &undisturbed);
        assert_eq!((figures.not_read, figures.read_twice), (0, 0), "{fault:?}");
        let slowest = figures.far.max(figures.near);
        assert!(slowest <= DELIVERY + slack, "{fault:?}: {figures:?}");
        let grown = figures.peak_kib.saturating_sub(undisturbed.peak_kib);
        assert!(grown <= MEMORY_KIB, "{fault:?} costs {grown} KiB");
        assert!(
            figures.longest_call < LONGEST_CALL,
            "{fault:?}: {figures:?}"
        );
    }
}
