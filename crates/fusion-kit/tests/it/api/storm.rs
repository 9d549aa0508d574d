//! The live stream and the event log at size. With `FUSION_STORM=full` as large as is promised, else
//! small enough for every run of the tests.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fusion_core::{Decision, EventId, EventType, IdSource, NewEvent, Severity};
use fusion_persistence::{Batch, Store};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::client::{Serving, Socket};
use crate::own_store::OwnStore;
use crate::support::Project;

/// The large number where the storm is full, else the small one.
fn sized(full: usize, small: usize) -> usize {
    if is_full() { full } else { small }
}

fn is_full() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a developer's own choice")]
    std::env::var("FUSION_STORM").is_ok_and(|storm| storm == "full")
}

#[expect(
    clippy::disallowed_methods,
    reason = "events are told with the real time"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Ids that sort by their number.
#[derive(Debug)]
struct Ids(std::sync::atomic::AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> uuid::Uuid {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        uuid::Uuid::from_u64_pair(0x019a_b3c4_0000_7000, 0x8000_0000_0000_0000 | number)
    }
}

/// Fills the log of a project that no server owns.
async fn fill(project: &Project, events: usize) {
    project.run(["db", "migrate"]).await.expect(0);
    let store = OwnStore::of(project).await;
    let ids = Ids(std::sync::atomic::AtomicU64::new(1));
    let mut left = events;
    while left > 0 {
        let some = left.min(1_000);
        let mut decision = Decision::default();
        for _ in 0..some {
            decision = decision.telling(NewEvent {
                id: EventId::from_uuid(ids.uuid()),
                timestamp: now(),
                event_type: EventType::SystemStarted,
                severity: Severity::Info,
                source_agent_id: None,
                source_component: "storm".to_owned(),
                run_id: None,
                data: json!({}),
                message: "filled in".to_owned(),
                message_queue_topic: None,
            });
        }
        store.commit(Batch::free(decision)).await.unwrap();
        left -= some;
    }
    store.close().await;
}

async fn tell(serving: &Serving, number: usize) {
    let body = json!({ "name": format!("c{number}") });
    let made = serving.post("/api/v1/capabilities", &body).await;
    made.expect(201);
}

#[tokio::test]
async fn a_long_log_is_walked_without_gap_or_duplicate_while_it_grows() {
    let project = Project::new();
    let filled = sized(100_000, 3_000);
    fill(&project, filled).await;
    let serving = Serving::on(&project).await;
    let telling = async {
        for number in 0..sized(500, 50) {
            tell(&serving, number).await;
        }
    };
    let walking = async {
        let mut places: Vec<u64> = Vec::new();
        let mut path = "/api/v1/events?after=0&limit=500".to_owned();
        loop {
            let page = serving.get(&path).await.expect(200).json();
            let events = page["events"].as_array().unwrap().iter();
            places.extend(events.map(|event| event["seq"].as_u64().unwrap()));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/api/v1/events?limit=500&cursor={cursor}"),
                None => return places,
            }
        }
    };
    let ((), places) = tokio::join!(telling, walking);
    assert!(places.len() >= filled, "{}", places.len());
    let last = places.len() as u64;
    assert!(places.into_iter().eq(1..=last), "each place once, in order");
}

#[tokio::test]
async fn a_client_that_is_cut_again_and_again_has_the_whole_log() {
    let project = Project::new();
    let cuts = sized(1_000, 60);
    fill(&project, cuts * 3).await;
    let serving = Serving::on(&project).await;
    let wanted = cuts * 3;
    let mut seen: Vec<u64> = Vec::new();
    let mut made = 0;
    while seen.len() < wanted {
        let place = seen.last().copied().unwrap_or_default();
        let mut socket = serving.socket(&format!("?after={place}")).await;
        // Cut somewhere in the middle of what is being sent.
        let some = (1 + made % 5).min(wanted - seen.len());
        seen.extend(socket.events(some).await);
        made += 1;
    }
    assert!(made >= cuts, "{made}");
    assert!(seen.into_iter().eq(1..=wanted as u64));
}

/// How long each event took from its commit to this reader.
async fn delays(mut socket: Socket, events: usize) -> Vec<Duration> {
    let mut delays = Vec::with_capacity(events);
    while delays.len() < events {
        let frame: Value = socket.frame().await.expect("the stream goes on");
        if frame["type"] == "event" {
            let told = frame["event"]["timestamp"].as_str().unwrap();
            let told: DateTime<Utc> = told.parse().unwrap();
            delays.push((now() - told).to_std().unwrap_or_default());
        }
    }
    delays
}

#[tokio::test]
async fn many_readers_hear_every_event_in_time_whoever_is_stuck() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let (readers, stuck, events) = (sized(900, 40), sized(100, 5), sized(1_000, 60));
    let open = |count: usize| {
        let serving = &serving;
        async move {
            let mut sockets = Vec::new();
            for _ in 0..count {
                sockets.push(serving.socket("").await);
            }
            sockets
        }
    };
    let readers_at_work = TaskTracker::new();
    let silent = open(stuck).await;
    let hearing: Vec<_> = open(readers)
        .await
        .into_iter()
        .map(|socket| readers_at_work.spawn(delays(socket, events)))
        .collect();
    let before = memory_of(&serving);
    let began = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    for number in 0..events {
        beat.tick().await;
        tell(&serving, number).await;
    }
    let heard = join_all(hearing).await;
    let mut all: Vec<Duration> = heard.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(all.len(), readers * events);
    all.sort();
    let p99 = all[all.len() * 99 / 100];
    let grown = memory_of(&serving).saturating_sub(before);
    println!(
        "{readers} readers beside {stuck} stuck ones, {events} events in {:?}: p99 {p99:?}, {grown} KiB more",
        began.elapsed()
    );
    if is_full() {
        assert!(p99 < Duration::from_millis(200), "{p99:?}");
        assert!(grown < 100 * 1024, "{grown} KiB");
    }
    drop(silent);
}

/// Resident memory of a server, KiB.
fn memory_of(serving: &Serving) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
