//! Servers under a storm: what is done to them at random, and how it is judged.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::chaos::setting;
use super::cluster::{Cluster, Tasks};
use super::net::Net;
use crate::api::client::Serving;
use crate::support::wait_for;

/// A lease in seconds, and how long a stop or a cut lasts: well past it.
pub(super) const LEASE: &str = "3";
const STOP: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) runs: usize,
    pub(super) per_run: usize,
    pub(super) kills: usize,
    pub(super) stops: usize,
    /// Every other one lets questions through, and no answers.
    pub(super) cuts: usize,
    pub(super) restarts: usize,
}

/// Portions in which runs are begun, so that there is work until the end.
const PORTIONS: usize = 5;

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
    Cut,
    Mute,
    Restart,
}

/// The blows of a storm in the order of the dice.
fn blows(size: Size, dice: &mut Dice) -> Vec<Blow> {
    let mut left: Vec<Blow> = [
        (Blow::Kill, size.kills),
        (Blow::Stop, size.stops),
        (Blow::Cut, size.cuts.div_ceil(2)),
        (Blow::Mute, size.cuts / 2),
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

/// A server, and its network where it has one of its own.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) serving: Serving,
    pub(super) net: Option<Net>,
}

impl Node {
    pub(super) async fn start(cluster: &Cluster, name: &'static str, net: Option<Net>) -> Self {
        let serving = match &net {
            Some(net) => cluster.node_in(net, name).await,
            None => cluster.node(name).await,
        };
        Self { name, serving, net }
    }
}

/// Servers under a storm.
pub(super) struct Storm {
    pub(super) cluster: Cluster,
    /// Answers requests, and nothing is done to it; `None` where one server is alone.
    keeper: Option<Serving>,
    pub(super) nodes: Vec<Node>,
    dice: Dice,
}

impl Storm {
    /// Three servers and one that only answers.
    pub(super) async fn over_nodes() -> Self {
        let mut cluster = Cluster::start().await;
        cluster.set("FUSION_LEASE_SECONDS", LEASE);
        Self::over(cluster).await
    }

    pub(super) async fn over(mut cluster: Cluster) -> Self {
        // Healthy steps are under way on nodes that die, again and again.
        cluster.set("FUSION_MOST_LOSSES", "1000000");
        let mut nodes = Vec::new();
        for (number, name) in (0..).zip(["one", "two", "three"]) {
            let net = cluster.net(number).await;
            nodes.push(Node::start(&cluster, name, net).await);
        }
        let keeper = cluster.node_with("keeper", &["--roles", "api"]).await;
        Self {
            cluster,
            keeper: Some(keeper),
            nodes,
            dice: Dice::new(),
        }
    }

    /// One server on a file.
    pub(super) async fn alone() -> Self {
        let mut cluster = Cluster::alone();
        cluster.set("FUSION_MOST_LOSSES", "1000000");
        let node = Node::start(&cluster, "one", None).await;
        Self {
            cluster,
            keeper: None,
            nodes: vec![node],
            dice: Dice::new(),
        }
    }

    pub(super) fn asked(&self) -> &Serving {
        match &self.keeper {
            Some(keeper) => keeper,
            None => &self.nodes[0].serving,
        }
    }

    async fn strike(&mut self, blow: Blow) {
        let mut node = self.nodes.swap_remove(self.dice.below(self.nodes.len()));
        match (blow, &node.net) {
            (Blow::Kill, _) => {
                node.serving.stop(Signal::KILL).await;
                node = Node::start(&self.cluster, node.name, node.net).await;
            }
            (Blow::Stop, _) => {
                node.serving.signal(Signal::STOP);
                tokio::time::sleep(STOP).await;
                node.serving.signal(Signal::CONT);
            }
            (Blow::Cut, Some(net)) => {
                net.cut().await;
                tokio::time::sleep(STOP).await;
                net.heal().await;
            }
            (Blow::Mute, Some(net)) => {
                net.mute();
                tokio::time::sleep(STOP).await;
                net.heal().await;
            }
            (Blow::Cut | Blow::Mute, None) => {}
            (Blow::Restart, _) => self.cluster.restart_database(),
        }
        self.nodes.push(node);
    }

    /// The faults that are found after the storm, once all runs had time to end.
    pub(super) async fn blow(mut self, size: Size) -> Verdict {
        let tasks = Tasks {
            per_run: size.per_run,
            commands: 1,
            seconds: "0.3".to_owned(),
        };
        let flow = self.cluster.flow(self.asked(), &tasks).await;
        let (mut runs, began) = (Vec::new(), Instant::now());
        let blows = blows(size, &mut self.dice);
        for blows in blows.chunks(blows.len().div_ceil(PORTIONS)) {
            let portion = size.runs.div_ceil(PORTIONS);
            let before = self.cluster.ledger().beginnings();
            runs.extend(self.cluster.begin(self.asked(), &flow, portion).await);
            wait_for("some work", || {
                (self.cluster.ledger().beginnings() > before).then_some(())
            })
            .await;
            for blow in blows {
                self.strike(*blow).await;
                let pause = u64::try_from(self.dice.below(400)).unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        let verdict = self.judge(&runs, size.per_run).await;
        println!("{size:?} took {:?}: {verdict:#?}", began.elapsed());
        verdict
    }

    pub(super) async fn judge(&self, runs: &[String], per_run: usize) -> Verdict {
        let mut faults = Vec::new();
        for run in runs {
            let ended = self.cluster.end_of(self.asked(), run).await;
            faults.extend(fault_of(run, ended, per_run));
        }
        let twice = self.cluster.completed_twice().await;
        faults.extend(twice.iter().map(|task| format!("completed twice: {task}")));
        let ledger = self.cluster.ledger();
        let repeated = ledger.repeated().into_iter();
        faults.extend(repeated.map(|whose| format!("done twice: {whose}")));
        let names = self.nodes.iter().map(|node| node.name);
        Verdict {
            faults,
            refused: names.map(|name| self.cluster.refused(name)).sum(),
            commands: ledger.begun(),
        }
    }
}

/// What is wrong with a run that had time to end.
fn fault_of(run: &str, ended: Option<Value>, per_run: usize) -> Option<String> {
    let Some(ended) = ended else {
        return Some(format!("run {run} is lost"));
    };
    if ended["state"] != "completed" {
        return Some(format!("run {run} ended: {ended}"));
    }
    let steps = ended["steps"].as_array().unwrap().iter();
    let done = steps.filter(|step| step["state"] == "completed").count();
    (done != per_run).then(|| format!("{done} steps of run {run}"))
}

#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) faults: Vec<String>,
    /// Writes that came from zombies.
    pub(super) refused: usize,
    /// Commands that began.
    pub(super) commands: usize,
}
