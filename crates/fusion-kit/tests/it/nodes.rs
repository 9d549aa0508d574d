//! Several servers of the binary on one PostgreSQL and one Redis: work is shared, and what one leaves
//! goes on elsewhere.

#[cfg(test)]
mod budgets;
#[cfg(test)]
mod chaos;
pub(crate) mod cluster;
#[cfg(test)]
mod idle;
mod ledger;
mod net;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod storm;

use std::time::{Duration, Instant};

use fusion_core::{IdSource, Moment, Run, RunId};
use fusion_persistence::{Batch, Repository, Store};
use fusion_persistence_sql::SqlStore;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::api::client::Serving;
use crate::support::wait_for;
use cluster::{Cluster, Tasks};

/// Steps that take so long.
fn lasting(seconds: &str) -> Tasks {
    Tasks {
        per_run: 1,
        commands: 1,
        seconds: seconds.to_owned(),
    }
}

/// How many runs each node drives.
fn driven(nodes: &Value) -> Vec<u64> {
    let nodes = nodes["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["runs"].as_u64().unwrap()).collect()
}

/// Starts runs until each of two nodes drives some: one that is not heard of yet gets none of the first.
async fn begin_on_both(cluster: &Cluster, node: &Serving, flow: &str) -> Vec<String> {
    let mut runs = Vec::new();
    loop {
        runs.extend(cluster.begin(node, flow, 3).await);
        let nodes = node.get("/api/v1/nodes").await.expect(200).json();
        let driven = driven(&nodes);
        if driven.len() == 2 && driven.iter().all(|runs| *runs > 0) {
            return runs;
        }
        assert!(runs.len() < 90, "one drives nothing: {nodes:#}");
    }
}

/// The states of the nodes by their names.
fn states(nodes: &Value) -> Value {
    let nodes = nodes["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| {
            (
                node["name"].as_str().unwrap().to_owned(),
                node["state"].clone(),
            )
        })
        .collect::<serde_json::Map<String, Value>>()
        .into()
}

#[tokio::test]
async fn two_servers_share_runs_and_one_that_is_killed_leaves_nothing_undone() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let flow = cluster.flow(&one, &lasting("8")).await;
    let runs = begin_on_both(&cluster, &one, &flow).await;
    one.stop(Signal::KILL).await;
    let killed = Instant::now();
    cluster.until_completed(&two, &runs).await;
    println!("all done {:?} after the kill", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(60), "{killed:?}");
    assert_eq!(cluster.ledger().repeated(), Vec::<&str>::new());
    let nodes = two.get("/api/v1/nodes").await.expect(200).json();
    assert_eq!(states(&nodes), json!({ "one": "down", "two": "up" }));
}

/// For what needs no id.
#[derive(Debug)]
struct NoIds;

impl IdSource for NoIds {
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }
}

/// Says that a run is to end, and tells nobody: as a process that died right after its commit.
async fn say_cancel_only(store: &SqlStore, run: &str) {
    let run: Run = store.get(run.parse::<RunId>().unwrap()).await.unwrap();
    let moment = Moment {
        now: run.created_at,
        ids: &NoIds,
    };
    let (_, said) = run.order_cancel("ada", moment).unwrap();
    store.commit(Batch::free(said)).await.unwrap();
}

#[tokio::test]
async fn a_run_that_was_told_to_end_is_ended_by_another_server_when_its_driver_is_killed_then() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let flow = cluster.flow(&one, &lasting("60")).await;
    let runs = begin_on_both(&cluster, &one, &flow).await;
    let (location, tasks) = (cluster.location(), TaskTracker::new());
    let store = SqlStore::open(&location, &tasks).await.unwrap();
    // It hears of none of them.
    one.signal(Signal::STOP);
    for run in &runs {
        say_cancel_only(&store, run).await;
    }
    one.stop(Signal::KILL).await;
    for run in &runs {
        let path = format!("/api/v1/runs/{run}");
        let ended = cluster.until(&two, &path, "a run has ended", |run| {
            run["state"] == "cancelled"
        });
        let ended = ended.await;
        assert_eq!(ended["steps"][0]["state"], "cancelled", "{ended:#}");
    }
    assert_eq!(cluster.ledger().repeated(), Vec::<&str>::new());
}

#[tokio::test]
async fn two_servers_share_runs_and_those_below_them_and_a_death_leaves_nothing_undone() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    cluster.flow(&one, &lasting("4")).await;
    let outer = "version: 1\nname: outer\nsteps: [{ id: call, workflow: flow }]\n";
    let made = one
        .post("/api/v1/workflows", &json!({ "source": outer }))
        .await;
    let outer = made.expect(201).json()["id"].as_str().unwrap().to_owned();
    let runs = begin_on_both(&cluster, &one, &outer).await;
    one.stop(Signal::KILL).await;
    cluster.until_completed(&two, &runs).await;
    let listed = two.get("/api/v1/runs?workflow=flow&limit=500").await;
    let below = listed.expect(200).json();
    let below = below["runs"].as_array().unwrap();
    assert_eq!(below.len(), runs.len());
    assert!(
        below.iter().all(|run| run["state"] == "completed"),
        "{below:#?}"
    );
    assert_eq!(cluster.ledger().repeated(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_stopped_server_loses_its_runs_and_is_refused_when_it_comes_back() {
    let mut cluster = Cluster::start().await;
    cluster.set("FUSION_LEASE_SECONDS", "3");
    // It does not look at its own clock when it comes back: whether what it writes is refused is up to
    // the store alone.
    cluster.set("FAILPOINTS", "coordination::fence_off=return");
    let one = cluster.node("one").await;
    cluster.set("FAILPOINTS", "");
    let two = cluster.node("two").await;
    let flow = cluster.flow(&one, &lasting("10")).await;
    let runs = begin_on_both(&cluster, &one, &flow).await;
    // Who was about to claim finds its run gone, which is no refusal.
    wait_for("all commands", || {
        (cluster.ledger().beginnings() == runs.len()).then_some(())
    })
    .await;
    one.signal(Signal::STOP);
    // What it had in hand is done elsewhere while it can't do anything.
    cluster.until_completed(&two, &runs).await;
    one.signal(Signal::CONT);
    cluster
        .until(&one, "/api/v1/nodes", "it is back", |nodes| {
            states(nodes) == json!({ "one": "up", "two": "up" })
        })
        .await;
    wait_for("the refusal of what it did late", || {
        (cluster.refused("one") > 0).then_some(())
    })
    .await;
    assert_eq!(cluster.ledger().repeated(), Vec::<&str>::new());
    let more = cluster.begin(&one, &flow, 2).await;
    cluster.until_completed(&two, &more).await;
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_what_it_is_at_and_hands_the_rest_over() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let tasks = Tasks {
        per_run: 3,
        ..lasting("1")
    };
    let flow = cluster.flow(&one, &tasks).await;
    let runs = begin_on_both(&cluster, &one, &flow).await;
    one.stop(Signal::TERM).await.expect(0);
    let nodes = two.get("/api/v1/nodes").await.expect(200).json();
    assert_eq!(states(&nodes), json!({ "one": "down", "two": "up" }));
    let ledger = cluster.ledger();
    cluster.until_completed(&two, &runs).await;
    assert_eq!(cluster.ledger().repeated(), Vec::<&str>::new());
    assert_eq!(
        ledger.cut_off_of(&cluster.ledger()),
        Vec::<&str>::new(),
        "each command that had begun came to its end"
    );
}

#[tokio::test]
async fn a_drained_server_gives_its_runs_back_and_takes_no_more() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let tasks = Tasks {
        per_run: 3,
        ..lasting("1")
    };
    let flow = cluster.flow(&one, &tasks).await;
    let mut runs = cluster.begin(&one, &flow, 4).await;
    let drained = cluster
        .project()
        .run(["node", "drain", "one", "--json", "--data-dir", "two"]);
    assert_eq!(drained.await.expect(0).json()["name"], "one");
    runs.extend(cluster.begin(&one, &flow, 2).await);
    let has_none = |nodes: &Value| {
        let nodes = nodes["nodes"].as_array().unwrap();
        let one = nodes.iter().find(|node| node["name"] == "one").unwrap();
        one["state"] == "draining" && one["runs"] == 0
    };
    cluster
        .until(&one, "/api/v1/nodes", "it has given all back", has_none)
        .await;
    cluster.until_completed(&two, &runs).await;
    assert_eq!(cluster.ledger().repeated(), Vec::<&str>::new());
    let get = ["node", "get", "one", "--json", "--data-dir", "two"];
    let got = cluster.project().run(get).await.expect(0).json();
    assert_eq!(got["state"], "draining");
    let listed = cluster
        .project()
        .run(["node", "list", "--data-dir", "two"])
        .await;
    let listed = listed.expect(0).stdout;
    assert!(
        listed.contains("draining") && listed.contains("two"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_step_that_kills_its_servers_is_quarantined_and_the_others_go_on() {
    let mut cluster = Cluster::start().await;
    cluster.set("FUSION_MOST_LOSSES", "2");
    let keeper = cluster.node_with("keeper", &["--roles", "api"]).await;
    let victims = [cluster.node("one").await, cluster.node("two").await];
    // Who takes over hears of a command that was cut off, and the model calls for the next.
    let tasks = Tasks {
        commands: 3,
        ..lasting("600")
    };
    let flow = cluster.flow(&keeper, &tasks).await;
    let run = cluster.begin(&keeper, &flow, 1).await.remove(0);
    let path = format!("/api/v1/runs/{run}");
    let mut left: Vec<_> = victims.into_iter().collect();
    for killed in 0..left.len() {
        let is_driver = |node: &Value| {
            let lives = left.iter().any(|it| node["name"] == it.name());
            lives && node["runs"] == 1
        };
        let at_work = |nodes: &Value| nodes["nodes"].as_array().unwrap().iter().any(is_driver);
        let nodes = cluster
            .until(&keeper, "/api/v1/nodes", "one drives it", at_work)
            .await;
        wait_for("the command of the one that drives it", || {
            (cluster.ledger().beginnings() > killed).then_some(())
        })
        .await;
        let nodes = nodes["nodes"].as_array().unwrap();
        let driver = nodes.iter().find(|node| is_driver(node)).unwrap();
        let place = left.iter().position(|it| driver["name"] == it.name());
        left.swap_remove(place.unwrap()).stop(Signal::KILL).await;
    }
    let _third = cluster.node("three").await;
    let ended = cluster
        .until(&keeper, &path, "it has ended", |run| {
            run["state"] == "failed"
        })
        .await;
    let why = ended["steps"][0]["error"].to_string();
    assert!(why.contains("quarantined: 2 processes"), "{ended:#}");
    assert!(
        why.contains("its last entry was") && why.contains("until"),
        "{why}"
    );
}

/// A run and its last step end in one commit, and are read one after the other.
#[tokio::test]
async fn a_run_that_is_shown_as_ended_is_shown_with_ended_steps() {
    let cluster = Cluster::start().await;
    let one = cluster.node("one").await;
    let step = "  - { id: s, agent: a, prompt: x }\n";
    let flow = cluster.store(&one, step, "  s: [{ text: done }]\n").await;
    for _ in 0..30 {
        let runs = cluster.begin(&one, &flow, 1).await;
        let path = format!("/api/v1/runs/{}", runs[0]);
        let look = || async {
            loop {
                let shown = one.get(&path).await.expect(200).json();
                if shown["state"] == "completed" {
                    return shown["steps"][0]["state"].clone();
                }
            }
        };
        let seen = futures::join!(look(), look(), look(), look());
        let ended = || json!("completed");
        assert_eq!(seen, (ended(), ended(), ended(), ended()));
    }
}
