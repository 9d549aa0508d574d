//! The kill storm: worker processes are killed and stopped at random while they work on the tasks of
//! one run, and a checker reads the store and a ledger that the workers wrote beside it.
//!
//! `FUSION_STORM=full` makes it as big as the issue asks for, `FUSION_STORM_SEED` repeats a storm.

mod check;
mod gale;

use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;

use fusion_core::{RunId, StepSpec};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::faults::world;
use check::{Verdict, check};
use gale::{Gale, Plan};

/// Tasks that can be worked on at once.
const WIDTH: usize = 32;

/// On PostgreSQL: processes, and tasks that each works on at once.
const ON_SERVER: (usize, usize) = (8, 2);

/// On SQLite one process has the file.
const ON_FILE: (usize, usize) = (1, 8);

/// One task of how many is held past its lease there. Kills cut many of these short.
const STALLS: usize = 6;

#[derive(Debug, Clone, Copy)]
struct Size {
    tasks: usize,
    kills: usize,
    stops: usize,
}

const SMALL: Size = Size {
    tasks: 200,
    kills: 20,
    stops: 8,
};

const FULL: Size = Size {
    tasks: 2_000,
    kills: 500,
    stops: 50,
};

/// Without kills: what it shows is what stopped workers do.
const CONTROL: Size = Size {
    tasks: 100,
    kills: 0,
    stops: 8,
};

#[expect(clippy::disallowed_methods, reason = "who runs the storm says how big")]
fn size() -> Size {
    match std::env::var("FUSION_STORM").as_deref() {
        Ok("full") => FULL,
        _ => SMALL,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "who runs the storm may repeat one"
)]
fn seed() -> u64 {
    let given = std::env::var("FUSION_STORM_SEED").ok();
    given.map_or_else(
        || std::hash::RandomState::new().build_hasher().finish(),
        |text| text.parse().unwrap(),
    )
}

/// Layers of tasks: each needs two of the layer before.
fn layered(tasks: usize) -> Vec<StepSpec> {
    let name = |number: usize| format!("t{number:04}");
    let needs = |number: usize| match number.checked_sub(WIDTH) {
        None => Vec::new(),
        Some(first) => vec![name(first), name(first + 1)],
    };
    (0..tasks)
        .map(|number| world::step(&name(number), &needs(number)))
        .collect()
}

/// Tasks that need nothing: what a double completion would release early can't hide it.
fn loose(tasks: usize) -> Vec<StepSpec> {
    (0..tasks)
        .map(|number| world::step(&format!("t{number:04}"), &[]))
        .collect()
}

/// A database with a run in it.
struct Ground {
    url: String,
    run: RunId,
    dir: TempDir,
}

impl Ground {
    async fn on_server(steps: Vec<StepSpec>) -> Self {
        let url = crate::postgres::empty_database().await;
        Self::at(url, TempDir::new().unwrap(), ON_SERVER, steps).await
    }

    async fn on_file(steps: Vec<StepSpec>) -> Self {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite:{}", dir.path().join("fusion.db").display());
        Self::at(url, dir, ON_FILE, steps).await
    }

    async fn at(url: String, dir: TempDir, staff: (usize, usize), steps: Vec<StepSpec>) -> Self {
        let ground = Self {
            run: RunId::from_uuid(uuid::Uuid::nil()),
            url,
            dir,
        };
        std::fs::write(ground.ledger(), "").unwrap();
        let tracker = TaskTracker::new();
        let store = SqlStore::open(&ground.location(), &tracker).await.unwrap();
        // More agents than work for them can be done: each may be asked for by several at once.
        let agents = staff.0 * staff.1 * 3 / 2;
        let run = world::launch(&store, agents, steps).await;
        store.close().await.unwrap();
        tracker.close();
        tracker.wait().await;
        Self { run, ..ground }
    }

    fn location(&self) -> Location {
        Location::from_url(&self.url, Durability::Full).unwrap()
    }

    fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }
}

async fn storm(ground: &Ground, staff: (usize, usize), size: Size, fenced: bool) -> Verdict {
    let store = SqlStore::open_to_read(&ground.location()).await.unwrap();
    let store = store.unwrap();
    let seed = seed();
    println!("seed {seed}: {size:?}, fence {fenced}");
    let plan = Plan {
        url: ground.url.clone(),
        ledger: ground.ledger(),
        run: ground.run,
        tasks: size.tasks,
        processes: staff.0,
        slots: staff.1,
        fenced,
        // The one process of a file holds on to some tasks itself: a stop would stop all there is.
        stalls: if staff.0 > 1 { 0 } else { STALLS },
    };
    let stops = if staff.0 > 1 { size.stops } else { 0 };
    let felt = Gale::new(plan, seed).blow(&store, size.kills, stops).await;
    let verdict = check(&store, ground.run, &ground.ledger()).await;
    println!("{felt:?}\n{verdict:#?}");
    verdict
}

/// A storm in which nothing goes wrong, though zombies tried.
async fn holds(ground: &Ground, staff: (usize, usize)) {
    let verdict = storm(ground, staff, size(), true).await;
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert!(
        verdict.refused > 0,
        "no zombie was refused: this proves nothing"
    );
}

/// The same without the fence: a test that finds nothing wrong then would find nothing ever.
async fn does_harm(ground: &Ground, staff: (usize, usize)) {
    let verdict = storm(ground, staff, CONTROL, false).await;
    assert!(
        !verdict.faults.is_empty(),
        "the fence is off, and nothing is wrong"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_and_stops_on_postgresql_loses_nothing_and_does_nothing_twice() {
    let ground = Ground::on_server(layered(size().tasks)).await;
    holds(&ground, ON_SERVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_and_stalls_on_sqlite_loses_nothing_and_does_nothing_twice() {
    let ground = Ground::on_file(layered(size().tasks)).await;
    holds(&ground, ON_FILE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fence_the_same_storm_does_harm_on_postgresql() {
    let ground = Ground::on_server(loose(CONTROL.tasks)).await;
    does_harm(&ground, ON_SERVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fence_the_same_storm_does_harm_on_sqlite() {
    let ground = Ground::on_file(loose(CONTROL.tasks)).await;
    does_harm(&ground, ON_FILE).await;
}
