//! The storm over nodes: servers are killed and stopped at random while they work, the database is
//! restarted, and what is judged is a ledger that the agents' commands wrote beside it all.
//!
//! `FUSION_CHAOS=full` makes it as big as the project asks for (`cargo xtask chaos`), and
//! `FUSION_CHAOS_SEED` repeats the choices of a storm. That the fence is what holds is shown by the storm of
//! the store (`persistence-sql/tests/it/storm.rs`), which does harm without it.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cluster::{Cluster, Tasks};
use crate::api::client::Serving;

/// A lease in seconds, and how long a stop lasts: well past it.
const LEASE: &str = "3";
const STOP: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    runs: usize,
    per_run: usize,
    kills: usize,
    stops: usize,
    restarts: usize,
}

const SMALL: Size = Size {
    runs: 20,
    per_run: 4,
    kills: 6,
    stops: 3,
    restarts: 1,
};

const FULL: Size = Size {
    runs: 300,
    per_run: 10,
    kills: 600,
    stops: 300,
    restarts: 20,
};

#[expect(clippy::disallowed_methods, reason = "who runs the storm says how big")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn size() -> Size {
    match setting("FUSION_CHAOS").as_deref() {
        Some("full") => FULL,
        _ => SMALL,
    }
}

/// How often a figure is taken.
pub(super) fn samples() -> usize {
    match setting("FUSION_CHAOS").as_deref() {
        Some("full") => 30,
        _ => 3,
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = setting("FUSION_CHAOS_SEED").map_or_else(
            || std::hash::RandomState::new().build_hasher().finish(),
            |text| text.parse().unwrap(),
        );
        println!("seed {seed}");
        Self(seed | 1)
    }

    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }
}

#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill,
    Stop,
    Restart,
}

/// The blows of a storm in the order of the dice.
fn blows(size: Size, dice: &mut Dice) -> Vec<Blow> {
    let mut left: Vec<Blow> = [
        (Blow::Kill, size.kills),
        (Blow::Stop, size.stops),
        (Blow::Restart, size.restarts),
    ]
    .into_iter()
    .flat_map(|(blow, count)| std::iter::repeat_n(blow, count))
    .collect();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        order.push(left.swap_remove(dice.below(left.len())));
    }
    order
}

/// Three servers under a storm.
struct Storm {
    cluster: Cluster,
    nodes: Vec<(String, Serving)>,
    dice: Dice,
}

impl Storm {
    async fn begin() -> Self {
        let mut cluster = Cluster::start().await;
        cluster.set("FUSION_LEASE_SECONDS", LEASE);
        // Healthy steps are under way on nodes that die, again and again.
        cluster.set("FUSION_MOST_LOSSES", "1000000");
        let mut nodes = Vec::new();
        for name in ["one", "two", "three"] {
            nodes.push((name.to_owned(), cluster.node(name).await));
        }
        Self {
            cluster,
            nodes,
            dice: Dice::new(),
        }
    }

    async fn strike(&mut self, blow: Blow) {
        let (name, node) = self.nodes.swap_remove(self.dice.below(self.nodes.len()));
        match blow {
            Blow::Kill => {
                node.stop(Signal::KILL).await;
                let again = self.cluster.node(&name).await;
                self.nodes.push((name, again));
            }
            Blow::Stop => {
                node.signal(Signal::STOP);
                tokio::time::sleep(STOP).await;
                node.signal(Signal::CONT);
                self.nodes.push((name, node));
            }
            Blow::Restart => {
                self.nodes.push((name, node));
                self.cluster.postgres.stop_immediate().unwrap();
                self.cluster.postgres.start_again().unwrap();
            }
        }
    }

    /// The faults that are found after the storm, once all runs had time to end.
    async fn blow(mut self, size: Size) -> Verdict {
        let tasks = Tasks {
            per_run: size.per_run,
            commands: 1,
            seconds: "0.3".to_owned(),
        };
        let flow = self.cluster.flow(&self.nodes[0].1, &tasks).await;
        let runs = self.cluster.begin(&self.nodes[0].1, &flow, size.runs).await;
        let began = Instant::now();
        for blow in blows(size, &mut self.dice) {
            self.strike(blow).await;
            let pause = u64::try_from(self.dice.below(400)).unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let verdict = self.judge(&runs, size.per_run).await;
        println!("{size:?} took {:?}: {verdict:#?}", began.elapsed());
        verdict
    }

    async fn judge(&self, runs: &[String], per_run: usize) -> Verdict {
        let mut verdict = Verdict::default();
        let (_, node) = &self.nodes[0];
        for run in runs {
            match self.cluster.end_of(node, run).await {
                Some(ended) if ended["state"] == "completed" => {
                    let steps = ended["steps"].as_array().unwrap().iter();
                    let done = steps.filter(|step| step["state"] == "completed").count();
                    if done != per_run {
                        verdict.faults.push(format!("{done} steps of run {run}"));
                    }
                }
                Some(ended) => verdict.faults.push(format!("run {run} ended: {ended}")),
                None => verdict.faults.push(format!("run {run} is lost")),
            }
        }
        let twice = self.cluster.completed_twice().await;
        verdict
            .faults
            .extend(twice.iter().map(|task| format!("completed twice: {task}")));
        let ledger = self.cluster.ledger();
        let repeated = ledger.repeated().into_iter();
        verdict
            .faults
            .extend(repeated.map(|whose| format!("done twice: {whose}")));
        verdict.commands = ledger.begun();
        verdict.refused = ["one", "two", "three"]
            .iter()
            .map(|name| self.cluster.refused(name))
            .sum();
        verdict
    }
}

#[derive(Debug, Default)]
struct Verdict {
    faults: Vec<String>,
    /// Writes that came from zombies.
    refused: usize,
    /// Commands that began.
    commands: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_over_three_nodes_loses_nothing_and_does_nothing_twice() {
    let size = size();
    let verdict = Storm::begin().await.blow(size).await;
    assert_eq!(verdict.faults, Vec::<String>::new());
    // Of a few stops, all may hit a server that has nothing in hand.
    let is_void = size == FULL && verdict.refused == 0;
    assert!(!is_void, "no zombie was refused: this proves nothing");
}

/// One server after the other is stopped and started again, while there is work: nothing is lost, done
/// twice, or cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: `cargo xtask chaos`"]
async fn rolling_restarts_lose_repeat_and_cut_off_nothing() {
    let restarts = if matches!(setting("FUSION_CHAOS").as_deref(), Some("full")) {
        100
    } else {
        3
    };
    let mut storm = Storm::begin().await;
    let tasks = Tasks {
        per_run: 4,
        commands: 1,
        seconds: "0.3".to_owned(),
    };
    let flow = storm.cluster.flow(&storm.nodes[0].1, &tasks).await;
    let mut runs = Vec::new();
    for _ in 0..restarts {
        let more = storm.cluster.begin(&storm.nodes[0].1, &flow, 4).await;
        runs.extend(more);
        // The first is stopped, and comes back as the last.
        let (name, node) = storm.nodes.remove(0);
        node.stop(Signal::TERM).await.expect(0);
        let again = storm.cluster.node(&name).await;
        storm.nodes.push((name, again));
    }
    let verdict = storm.judge(&runs, tasks.per_run).await;
    println!("{restarts} restarts: {verdict:#?}");
    assert_eq!(verdict.faults, Vec::<String>::new());
    let ledger = storm.cluster.ledger();
    assert_eq!(ledger.cut_off_of(&ledger), Vec::<&str>::new());
    assert_eq!(ledger.begun(), runs.len() * tasks.per_run);
}
