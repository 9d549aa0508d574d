//! What a server that fails costs: time, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fusion_messaging::{Bus, Subscription};
use fusion_messaging_redis::RedisBus;
use fusion_testkit::Redis;

use crate::support::{
    LIMIT, Pair, bus, heard, listen, say, server, subject, until_away, until_back,
};

/// No call may wait for the server. The machine may be busy, so this is far more than a call takes.
const LONGEST_CALL: Duration = Duration::from_secs(1);

/// Memory that a server in trouble may cost.
const MEMORY: u64 = 16 * 1_024 * 1_024;

/// Publishes all the time, a rising number each, and keeps the time of the longest call.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(u64, Duration)>,
}

impl Load {
    fn on(bus: Arc<RedisBus>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (subject, mut number, mut longest) = (subject("load.tick"), 0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let payload = format!("{number}").into_bytes().into();
                let begun = Instant::now();
                bus.publish(&subject, payload);
                longest = longest.max(begun.elapsed());
                number += 1;
                std::thread::park_timeout(Duration::from_millis(1));
            }
            (number, longest)
        });
        Self { stop, thread }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (count, longest) = self.thread.join().unwrap();
        assert!(longest < LONGEST_CALL, "a call took {longest:?}");
        count
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1_024
}

/// Has the server fail under load and come back; readers must hear again by themselves.
async fn survives(fail: impl FnOnce(&mut Redis), restore: impl FnOnce(&mut Redis)) {
    let mut server = server();
    let (speaker, listener) = (Arc::new(bus(&server, 1)), bus(&server, 2));
    let mut near = listen(&*speaker, "load.*").await;
    let mut far = listen(&listener, "load.*").await;
    let load = Load::on(Arc::clone(&speaker));

    assert_eq!(heard(&mut far).await, ("0".to_owned(), 0));
    fail(&mut server);
    until_away(&speaker).await;
    until_away(&listener).await;
    // Who is in the same process hears on, one after the other.
    for expected in 0..500 {
        assert_eq!(heard(&mut near).await, (expected.to_string(), 0));
    }
    restore(&mut server);
    until_back(&speaker).await;
    until_back(&listener).await;

    let last = goes_on_behind_a_gap(&mut far).await;
    let said = load.end();
    assert!(last < said);
    assert_eq!(server.ask("KEYS *").unwrap(), "*0");
}

/// What the other process heard before comes in order; then a gap is marked, and then it goes on, in
/// order and each once. Gives the last number.
async fn goes_on_behind_a_gap(far: &mut Subscription) -> u64 {
    let (mut last, mut since) = (0, 0);
    while since < 200 {
        let (text, lost) = heard(far).await;
        let number = text.parse().unwrap();
        assert!(number > last, "{number} after {last}");
        assert!(
            lost > 0 || number == last + 1,
            "{number} after {last} with no mark"
        );
        last = number;
        since += u64::from(since > 0 || lost > 0);
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_empty_is_used_again() {
    survives(
        |server| server.kill().unwrap(),
        |server| server.start_again().unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_every_connection_is_used_again() {
    // It lets nobody in for a while, as one that is overloaded.
    survives(
        |server| {
            server.ask("CONFIG SET requirepass changed").unwrap();
            server.ask_as("changed", "CLIENT KILL TYPE pubsub").unwrap();
        },
        |server| {
            let command = format!("CONFIG SET requirepass {}", server.password());
            server.ask_as("changed", &command).unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_server_costs_no_publisher_time_and_bounded_memory() {
    let pair = Pair::new(Default::default());
    let mut far = listen(&pair, "load.*").await;
    // The listener goes on listening.
    let Pair {
        speaker,
        listener: _listener,
        mut server,
    } = pair;
    let mut near = listen(&speaker, "load.*").await;
    server.pause().unwrap();
    let before = resident_bytes();
    let (tick, mut longest) = (subject("load.tick"), Duration::ZERO);
    for number in 0..100_000_u32 {
        let payload: Arc<[u8]> = format!("{number:01000}").into_bytes().into();
        let begun = Instant::now();
        speaker.publish(&tick, payload);
        longest = longest.max(begun.elapsed());
        let (text, lost) = heard(&mut near).await;
        assert_eq!((text.parse(), lost), (Ok(number), 0));
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("longest call {longest:?}, memory + {} KiB", grown / 1_024);
    assert!(longest < LONGEST_CALL, "a call took {longest:?}");
    assert!(grown <= MEMORY, "{} KiB more", grown / 1_024);

    server.resume().unwrap();
    say(&speaker, "load.tick", "100000");
    let mut accounted = 0;
    let mut last = 0;
    while last < 100_000 {
        let (text, lost) = heard(&mut far).await;
        let number: u32 = text.parse().unwrap();
        assert!(number > last || accounted == 0, "{number} after {last}");
        accounted += lost + 1;
        last = number;
    }
    assert!(
        accounted < 100_000,
        "the oldest are lost and the gap is marked"
    );
}

/// Keeps the rules while the server refuses everything that stores.
async fn delivers_while(command: &str, refusal: &str) {
    let pair = Pair::new(Default::default());
    let mut reader = listen(&pair, "*").await;
    pair.server.ask(command).unwrap();
    let refused = pair.server.ask("SET key value").unwrap_err();
    assert!(format!("{refused:#}").contains(refusal), "{refused:#}");
    for number in 0..100 {
        say(&pair, "task.done", &number.to_string());
        assert_eq!(heard(&mut reader).await, (number.to_string(), 0));
    }
}

#[tokio::test]
async fn a_server_without_memory_carries_messages_all_the_same() {
    delivers_while("CONFIG SET maxmemory 1", "OOM").await;
}

#[tokio::test]
async fn a_read_only_server_carries_messages_all_the_same() {
    delivers_while("REPLICAOF 127.0.0.1 1", "READONLY").await;
}

#[tokio::test]
async fn a_bus_that_begins_without_a_server_joins_when_it_comes() {
    let mut server = server();
    server.kill().unwrap();
    let (first, second) = (bus(&server, 1), bus(&server, 2));
    let begun = Instant::now();
    let mut near = listen(&first, "*").await;
    let mut far = listen(&second, "*").await;
    assert!(
        begun.elapsed() < LIMIT / 2,
        "it does not wait for the server"
    );
    say(&first, "task.done", "alone");
    assert_eq!(heard(&mut near).await, ("alone".to_owned(), 0));

    server.start_again().unwrap();
    until_back(&second).await;
    until_back(&first).await;
    say(&first, "task.done", "together");
    let mut text = String::new();
    let mut is_first = true;
    while text != "together" {
        let (next, lost) = heard(&mut far).await;
        assert!(lost > 0 || !is_first, "what may have been missed is marked");
        (text, is_first) = (next, false);
    }
}
