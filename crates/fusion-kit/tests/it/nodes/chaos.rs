//! The storms over servers: they are killed, stopped and cut off at random while they work, the database
//! is restarted, and what is judged is a ledger that the agents' commands wrote beside it all.
//!
//! `FUSION_CHAOS=full` makes them as big as the project asks for (`cargo xtask chaos`), and
//! `FUSION_CHAOS_SEED` repeats the choices of a storm.

use rustix::process::Signal;

use super::cluster::{Cluster, Tasks};
use super::storm::{LEASE, Node, Size, Storm};

const SMALL: Size = Size {
    runs: 20,
    per_run: 4,
    kills: 6,
    stops: 2,
    cuts: 2,
    restarts: 1,
};

const FULL: Size = Size {
    runs: 300,
    per_run: 10,
    kills: 600,
    stops: 300,
    cuts: 60,
    restarts: 20,
};

/// Of one machine, which nobody else can take the work of.
const SMALL_ALONE: Size = Size {
    runs: 15,
    per_run: 4,
    kills: 12,
    stops: 0,
    cuts: 0,
    restarts: 0,
};

const FULL_ALONE: Size = Size {
    runs: 200,
    per_run: 10,
    kills: 500,
    stops: 0,
    cuts: 0,
    restarts: 0,
};

#[expect(clippy::disallowed_methods, reason = "who runs the storm says how big")]
pub(super) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The one that is wanted.
pub(super) fn sized<T>(small: T, full: T) -> T {
    match setting("FUSION_CHAOS").as_deref() {
        Some("full") => full,
        _ => small,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_over_three_nodes_loses_nothing_and_does_nothing_twice() {
    let size = sized(SMALL, FULL);
    let verdict = Storm::over_nodes().await.blow(size).await;
    assert_eq!(verdict.faults, Vec::<String>::new());
    // Of a few stops, all may hit a server that has nothing in hand.
    let is_void = size == FULL && verdict.refused == 0;
    assert!(!is_void, "no zombie was refused: this proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_on_one_machine_loses_nothing_and_does_nothing_twice() {
    let storm = Storm::alone().await;
    let size = sized(SMALL_ALONE, FULL_ALONE);
    let verdict = storm.blow(size).await;
    assert_eq!(verdict.faults, Vec::<String>::new());
    // A kill can hit between what a command was to be and its beginning: it is not begun then.
    assert!(verdict.commands > 0, "nothing was done");
}

/// A storm that finds nothing wrong then would find nothing ever.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: `cargo xtask chaos`"]
async fn without_fences_a_storm_over_nodes_does_harm() {
    /// Where writes go by the ids of rows alone, whoever holds them: no fence, no version, no number of a
    /// journal.
    const UNFENCED: &str = "persistence_sql::fence_off=return;coordination::fence_off=return";

    /// Without kills: what it shows is what stopped servers do.
    const CONTROL: Size = Size {
        runs: 15,
        per_run: 10,
        kills: 0,
        stops: 6,
        cuts: 0,
        restarts: 0,
    };

    let mut cluster = Cluster::start().await;
    cluster.set("FUSION_LEASE_SECONDS", LEASE);
    cluster.set("FAILPOINTS", UNFENCED);
    let verdict = Storm::over(cluster).await.blow(CONTROL).await;
    assert!(
        !verdict.faults.is_empty(),
        "the fences are off, and nothing is wrong"
    );
}

/// One server after the other is stopped and started again, while there is work: nothing is lost, done
/// twice, or cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_lose_repeat_and_cut_off_nothing() {
    let restarts = sized(3, 100);
    let mut storm = Storm::over_nodes().await;
    let tasks = Tasks {
        per_run: 4,
        commands: 1,
        seconds: "0.3".to_owned(),
    };
    let flow = storm.cluster.flow(storm.asked(), &tasks).await;
    let mut runs = Vec::new();
    for _ in 0..restarts {
        let more = storm.cluster.begin(storm.asked(), &flow, 4).await;
        runs.extend(more);
        // The first is stopped, and comes back as the last.
        let node = storm.nodes.remove(0);
        node.serving.stop(Signal::TERM).await.expect(0);
        let again = Node::start(&storm.cluster, node.name, node.net).await;
        storm.nodes.push(again);
    }
    let verdict = storm.judge(&runs, tasks.per_run).await;
    println!("{restarts} restarts: {verdict:#?}");
    assert_eq!(verdict.faults, Vec::<String>::new());
    let ledger = storm.cluster.ledger();
    assert_eq!(ledger.cut_off_of(&ledger), Vec::<&str>::new());
    assert_eq!(ledger.begun(), runs.len() * tasks.per_run);
}
