//! The storm of messages: two processes send and read for a hundred agents over one PostgreSQL, and are
//! killed at random; a checker reads the store and the ledger of what was acknowledged to senders.
//!
//! `FUSION_STORM=full` makes it as big as the issue asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fusion_core::{DeliveryStatus, Event, EventType, Message};
use fusion_persistence::{MessageFilter, MessageReader, Repository};
use fusion_persistence_sql::SqlStore;
use tempfile::TempDir;
use tokio::time::interval;

use crate::faults::world;
use crate::postgres::{empty_database, open};

const AGENTS: usize = 100;

const PROCESSES: usize = 2;

/// Without a message that is read for so long, the work hangs.
const STUCK: Duration = Duration::from_secs(60);

/// Between two looks at how far the work is.
const TICK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
struct Size {
    /// Of each agent.
    messages: usize,
    kills: usize,
}

const SMALL: Size = Size {
    messages: 20,
    kills: 20,
};

const FULL: Size = Size {
    messages: 1_000,
    kills: 20,
};

/// Without kills: what it shows is what two readers of one inbox do.
const CONTROL: Size = Size {
    messages: 10,
    kills: 0,
};

#[expect(clippy::disallowed_methods, reason = "who runs the storm says how big")]
fn size() -> Size {
    match std::env::var("FUSION_STORM").as_deref() {
        Ok("full") => FULL,
        _ => SMALL,
    }
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Storm {
    url: String,
    dir: TempDir,
    size: Size,
    guarded: bool,
    starts: u64,
    workers: Vec<Worker>,
}

impl Storm {
    async fn new(size: Size, guarded: bool) -> (Self, SqlStore) {
        let url = empty_database().await;
        let store = open(&url).await;
        world::launch(&store, AGENTS, vec![world::step("s", &[])]).await;
        let dir = TempDir::new().unwrap();
        let mut storm = Self {
            url,
            dir,
            size,
            guarded,
            starts: 0,
            workers: Vec::new(),
        };
        std::fs::write(storm.ledger(), "").unwrap();
        storm.workers = (0..PROCESSES).map(|number| storm.start(number)).collect();
        (storm, store)
    }

    fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    #[expect(clippy::disallowed_methods, reason = "a process that is to be killed")]
    fn start(&mut self, number: usize) -> Worker {
        self.starts += 1;
        let arguments = [number as u64, PROCESSES as u64, self.starts];
        let child = Command::new(env!("CARGO_BIN_EXE_fusion-storm-worker"))
            .arg("letters")
            .args([&self.url, self.ledger().to_str().unwrap()])
            .args(arguments.map(|argument| argument.to_string()))
            .args([self.size.messages.to_string(), self.guarded.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Worker(child)
    }

    /// Blows until every message is read; kills are spread over the messages.
    async fn blow(mut self, store: &SqlStore) -> Vec<(u64, u64)> {
        let begun = Instant::now();
        let wanted = AGENTS * self.size.messages;
        let (mut read, mut moved, mut kills) = (0, begun, 0);
        let mut ticks = interval(TICK);
        while read < wanted {
            ticks.tick().await;
            for worker in &mut self.workers {
                assert_eq!(worker.0.try_wait().unwrap(), None, "a worker gave up");
            }
            let now = delivered(store).await;
            if now > read {
                (read, moved) = (now, Instant::now());
            }
            assert!(moved.elapsed() < STUCK, "stuck at {read} messages");
            let due = wanted * 9 / 10 * (kills + 1) / (self.size.kills + 1);
            if kills < self.size.kills && read >= due {
                // The microseconds since the start are no worse than a die.
                let number = begun.elapsed().subsec_micros() as usize % PROCESSES;
                self.workers[number].0.kill().unwrap();
                self.workers[number].0.wait().unwrap();
                self.workers[number] = self.start(number);
                kills += 1;
            }
        }
        println!("{:?} took {:?}, {kills} kills", self.size, begun.elapsed());
        let ledger = ledger(&self.ledger());
        for worker in &mut self.workers {
            drop(worker.0.stdin.take());
            assert!(worker.0.wait().unwrap().success());
        }
        ledger
    }
}

async fn delivered(store: &SqlStore) -> usize {
    let filter = MessageFilter {
        statuses: vec![DeliveryStatus::Delivered],
        ..MessageFilter::default()
    };
    usize::try_from(store.count(&filter).await.unwrap()).unwrap()
}

/// What was acknowledged: sender and number.
fn ledger(path: &Path) -> Vec<(u64, u64)> {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let (sender, number) = line.split_once(' ').unwrap();
        (sender.parse().unwrap(), number.parse().unwrap())
    };
    text.lines().map(line).collect()
}

async fn log(store: &SqlStore) -> Vec<Message> {
    let all = MessageFilter::default();
    let mut log: Vec<Message> = Vec::new();
    loop {
        let after = log.last().map_or(0, |message| message.seq);
        let more = store.messages_after(&all, after, 1_000).await.unwrap();
        if more.is_empty() {
            return log;
        }
        log.extend(more);
    }
}

/// Sender and number of a message.
fn name(message: &Message) -> (u64, u64) {
    let number = |field: &str| message.payload[field].as_u64().unwrap();
    (number("sender"), number("number"))
}

/// Everything that must not be.
async fn faults(store: &SqlStore, size: Size, acknowledged: &[(u64, u64)]) -> Vec<String> {
    let mut faults = Vec::new();
    let messages = log(store).await;
    let mut sent: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (message, place) in messages.iter().zip(1..) {
        let (sender, number) = name(message);
        sent.entry(sender).or_default().push(number);
        if message.seq != place {
            faults.push(format!("message {} is at place {place}", message.seq));
        }
        if message.delivery_status != DeliveryStatus::Delivered {
            faults.push(format!("message {place} is {}", message.delivery_status));
        }
    }
    for (sender, numbers) in &sent {
        if !numbers.iter().copied().eq(0..size.messages as u64) {
            faults.push(format!("sender {sender} has the messages {numbers:?}"));
        }
    }
    for (sender, number) in acknowledged {
        if !sent.get(sender).is_some_and(|sent| sent.contains(number)) {
            faults.push(format!("message {number} of {sender} is lost"));
        }
    }
    check_deliveries(store, &messages, &mut faults).await;
    faults
}

/// Each delivery was told once, and each agent read the messages in the order of the log, hence those
/// of one sender on one topic in the order in which it sent them.
async fn check_deliveries(store: &SqlStore, messages: &[Message], faults: &mut Vec<String>) {
    let by_id: BTreeMap<String, &Message> = messages
        .iter()
        .map(|message| (message.id.to_string(), message))
        .collect();
    let mut read: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut of_topic: BTreeMap<(String, u64, &str), u64> = BTreeMap::new();
    let mut told = 0;
    for event in world::events(store).await.unwrap() {
        let Some((agent, message)) = delivery(&event) else {
            continue;
        };
        told += 1;
        let message = by_id[&message];
        read.entry(agent.clone()).or_default().push(message.seq);
        let (sender, number) = name(message);
        let last = of_topic.insert((agent.clone(), sender, &message.topic), number);
        if last.is_some_and(|last| last >= number) {
            faults.push(format!(
                "{agent} read {number} of {sender} on {} after {last:?}",
                message.topic
            ));
        }
    }
    for (agent, seqs) in &read {
        if !seqs.is_sorted_by(|a, b| a < b) {
            faults.push(format!("{agent} read in the order {seqs:?}"));
        }
    }
    let mut wanted = 0;
    for message in messages {
        wanted += store.deliveries(message.id).await.unwrap().len();
    }
    if told != wanted {
        faults.push(format!("{told} of {wanted} deliveries were told"));
    }
}

/// The agent and the message of an event that tells a delivery.
fn delivery(event: &Event) -> Option<(String, String)> {
    let text = |field: &str| event.event.data[field].as_str().unwrap().to_owned();
    (event.event.event_type == EventType::MessageDelivered)
        .then(|| (text("agent_id"), text("message_id")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_loses_no_message_and_delivers_none_twice() {
    let (storm, store) = Storm::new(size(), true).await;
    let acknowledged = storm.blow(&store).await;
    let faults = faults(&store, size(), &acknowledged).await;
    assert_eq!(faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_guard_the_same_storm_delivers_messages_twice() {
    let (storm, store) = Storm::new(CONTROL, false).await;
    let acknowledged = storm.blow(&store).await;
    let faults = faults(&store, CONTROL, &acknowledged).await;
    assert!(!faults.is_empty(), "the guard is off, and nothing is wrong");
}
