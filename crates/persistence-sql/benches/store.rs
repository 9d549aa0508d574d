//! The figures of the store in docs/benchmarks.md: `cargo bench -p fusion-persistence-sql --bench store`.
//!
//! Each figure stands beside a yardstick measured in the same run, because machines differ and
//! are noisy: the same statements, prepared, on the bare driver. Nothing is asserted. PostgreSQL is
//! started for it when its server is installed (see CONTRIBUTING.md), else left out.
//! `-- --short` leaves out the long queue and the long log.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a broken benchmark should stop with a trace"
)]

#[path = "store/fill.rs"]
mod fill;
#[path = "store/load.rs"]
mod load;
#[path = "store/raw.rs"]
mod raw;

use std::time::Duration;

use fusion_persistence::{EventFilter, EventReader};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use fusion_testkit::{Postgres, postgres_binaries};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use load::{Load, median, p99, times};

/// Commits of one caller that are timed, in rounds: a bare round stands beside each of ours.
const SINGLE: usize = 100;
const ROUNDS: usize = 30;

/// Commits of many callers together.
const MANY: usize = 20_000;

/// Callers at once.
const CALLERS: usize = 64;

/// Tasks that are claimed and completed.
const TASKS: usize = 4_000;

/// Claims that are timed in front of a long queue.
const CLAIMS: usize = 300;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "{:<58} {:>12} {:>12} {:>7}",
        "figure", "ours", "yardstick", "ratio"
    );
    on_sqlite().await;
    match postgres_binaries() {
        Ok(binaries) => on_postgres(&Postgres::start(&binaries).unwrap()).await,
        Err(error) => println!("PostgreSQL is left out: {error:#}"),
    }
}

/// Whether long queues and logs are left out: `-- --short`.
fn is_short() -> bool {
    std::env::args().any(|argument| argument == "--short")
}

async fn on_sqlite() {
    println!("SQLite, synchronous=FULL");
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bench.db");
    let location = Location::File(path.clone(), Durability::Full);
    let tracker = TaskTracker::new();
    let store = SqlStore::open(&location, &tracker).await.unwrap();
    let raw_path = dir.path().join("raw.db");
    let raw_location = Location::File(raw_path.clone(), Durability::Full);
    let made = TaskTracker::new();
    close(SqlStore::open(&raw_location, &made).await.unwrap(), &made).await;
    let mut bare = raw::Sqlite::open(&raw_path);

    let load = Load::new(1);
    let (mut one, mut bare_one) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.extend(load.single_commits(&store, SINGLE).await);
        bare_one.extend(bare.single_commits(SINGLE));
    }
    row_time("one caller's commit, p50", median(&one), median(&bare_one));
    let many = load.commits_at_once(&store, MANY, CALLERS).await;
    let bare_rate = 1.0 / mean(&bare_one);
    row_rate(
        "commits/s of 64 callers / bare, one by one",
        many,
        bare_rate,
    );
    row_rate(
        "commits/s of 64 callers / bare, in groups of 64",
        many,
        bare.grouped_commits(MANY, CALLERS),
    );
    queue(&load, &store, bare_rate).await;
    close(store, &tracker).await;
    if is_short() {
        return;
    }
    fill::sqlite(&path);
    let store = SqlStore::open(&location, &TaskTracker::new())
        .await
        .unwrap();
    long(&load, &store).await;
}

async fn on_postgres(server: &Postgres) {
    println!("PostgreSQL");
    let url = server.url();
    let location = Location::from_url(&url, Durability::Full).unwrap();
    let store = SqlStore::open(&location, &TaskTracker::new())
        .await
        .unwrap();
    let mut bare = raw::Server::connect(&url).await;
    let load = Load::new(2);
    let (mut one, mut bare_one) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.extend(load.single_commits(&store, SINGLE).await);
        bare_one.extend(bare.single_commits(SINGLE).await);
    }
    row_time("one caller's commit, p50", median(&one), median(&bare_one));
    let many = load.commits_at_once(&store, MANY, CALLERS).await;
    let bare_rate = 1.0 / mean(&bare_one);
    row_rate(
        "commits/s of 64 callers / bare, one by one",
        many,
        bare_rate,
    );
    queue(&load, &store, bare_rate).await;
    if is_short() {
        return;
    }
    fill::postgres(&bare).await;
    long(&load, &store).await;
}

/// What a queue of tasks does.
async fn queue(load: &Load, store: &SqlStore, bare_rate: f64) {
    let rate = load.claim_and_complete(store, TASKS, CALLERS).await;
    row_rate(
        "claim + complete, tasks/s of 64 agents / bare commits/s",
        rate,
        bare_rate,
    );
    let release = load.release(store, 1_000).await;
    row_goal(
        "releasing 1,000 successors",
        release,
        Duration::from_millis(50),
    );
    let stored = load.store_workflow(store, 10_000, 50_000).await;
    row_goal(
        "storing 10,000 nodes and 50,000 edges",
        stored,
        Duration::from_secs(2),
    );
}

/// What a long queue and a long log cost.
async fn long(load: &Load, store: &SqlStore) {
    let claims = load.claims_from(store, fill::RUN, CLAIMS).await;
    let limit = Duration::from_millis(20);
    row_goal(
        "claim, p99, 1,000,000 ready and 100,000 failed",
        p99(&claims),
        limit,
    );
    let limit = Duration::from_millis(100);
    for (what, filter) in pages() {
        let page = times(100, async || {
            store.events_before(&filter, None, 100).await.unwrap();
        });
        row_goal(
            &format!("{what}, p99, 1,000,000 events"),
            p99(&page.await),
            limit,
        );
    }
    let tail = times(100, async || {
        store
            .events_after(&EventFilter::default(), 500_000, 100)
            .await
            .unwrap();
    });
    row_goal(
        "events after a place, p99, 1,000,000 events",
        p99(&tail.await),
        limit,
    );
}

fn pages() -> Vec<(&'static str, EventFilter)> {
    let all = EventFilter::default;
    let text = |text: &str| EventFilter {
        text: Some(text.to_owned()),
        ..all()
    };
    vec![
        ("event page", all()),
        (
            "event page of task.*",
            EventFilter {
                types: vec!["task.*".to_owned()],
                ..all()
            },
        ),
        (
            "event page of critical ones",
            EventFilter {
                severities: vec![fusion_core::Severity::Critical],
                ..all()
            },
        ),
        (
            "event page of an agent",
            EventFilter {
                agents: vec![fill::AGENT],
                ..all()
            },
        ),
        (
            "event page of old times",
            EventFilter {
                until: Some(fill::early()),
                ..all()
            },
        ),
        ("search of a word in each event", text("finished")),
        ("search of a word in 1 of 1,000 events", text("number500")),
        ("search of a word in 1 event", text("unique77777x")),
        ("search of two words", text("finished numb500")),
        ("search of a word in no event", text("absent")),
    ]
}

async fn close(store: SqlStore, tracker: &TaskTracker) {
    store.close().await.unwrap();
    tracker.close();
    tracker.wait().await;
}

fn row_time(what: &str, ours: Duration, yardstick: Duration) {
    let ratio = ours.as_secs_f64() / yardstick.as_secs_f64();
    println!(
        "{what:<58} {:>9.3} ms {:>9.3} ms {ratio:>7.2}",
        millis(ours),
        millis(yardstick)
    );
}

fn row_rate(what: &str, ours: f64, yardstick: f64) {
    println!(
        "{what:<58} {ours:>10.0}/s {yardstick:>10.0}/s {:>7.2}",
        ours / yardstick
    );
}

fn row_goal(what: &str, ours: Duration, goal: Duration) {
    println!(
        "{what:<58} {:>9.3} ms  goal {:>7.0} ms",
        millis(ours),
        millis(goal)
    );
}

/// The mean, in seconds.
fn mean(times: &[Duration]) -> f64 {
    let sum: Duration = times.iter().sum();
    sum.as_secs_f64() / f64::from(u32::try_from(times.len()).unwrap())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
