//! What a server promises to those beside it, each by what can be seen from outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fusion_core::EventType;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::chaos::sized;
use super::cluster::{Cluster, Tasks};
use crate::api::client::Serving;
use crate::support::wait_for;

/// The age from which a server is judged by the signs of life that it shows.
const SETTLED: TimeDelta = TimeDelta::seconds(6);

const ONE_STEP: &str = "  - { id: s0, agent: a, prompt: x }\n";

#[expect(
    clippy::disallowed_methods,
    reason = "events are told with the real time"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The first command writes until it is ended; the second once. The link is cut all the time.
#[tokio::test]
async fn a_server_that_is_cut_off_ends_its_commands_before_others_go_on() {
    let cluster = Cluster::start().await;
    let Some(net) = cluster.net(0).await else {
        return;
    };
    let ticks = cluster.project().path().join("ticks");
    fs::write(&ticks, "").unwrap();
    fs::set_permissions(&ticks, Permissions::from_mode(0o666)).unwrap();
    let told = |whose: &str| {
        let text = fs::read_to_string(&ticks).unwrap();
        let of = |line: &str| line.strip_prefix(whose)?.trim().parse::<u64>().ok();
        text.lines().filter_map(of).collect::<Vec<u64>>()
    };
    let tick = |whose: &str| format!("echo {whose} $(date +%s%N) >> {}", ticks.display());
    let call = |command: &str| {
        let arguments = json!({ "command": command });
        json!({ "tool_calls": [{ "name": "run_command", "arguments": arguments }] })
    };
    let turns = json!([
        call(&format!("while :; do {}; sleep 0.2; done", tick("first"))),
        call(&tick("second")),
        { "text": "done" },
    ]);
    let keeper = cluster.node_with("keeper", &["--roles", "api"]).await;
    let _one = cluster.node_in(&net, "one").await;
    let answers = format!("  s0: {turns}\n");
    let flow = cluster.store(&keeper, ONE_STEP, &answers).await;
    let runs = cluster.begin(&keeper, &flow, 1).await;
    wait_for("the first command", || {
        (!told("first").is_empty()).then_some(())
    })
    .await;
    let _two = cluster.node("two").await;
    net.cut().await;
    cluster.until_completed(&keeper, &runs).await;
    let (first, second) = (told("first"), told("second"));
    assert_eq!(second.len(), 1, "{second:?}");
    let last = first.iter().max().unwrap();
    let before = Duration::from_nanos(second[0].saturating_sub(*last));
    println!("it ended {before:?} before others went on");
    assert!(*last < second[0], "{last} and {second:?}");
    net.heal().await;
    let is_back = |nodes: &Value| {
        let mut nodes = nodes["nodes"].as_array().unwrap().iter();
        nodes.any(|node| node["name"] == "one" && node["state"] == "up")
    };
    cluster
        .until(&keeper, "/api/v1/nodes", "it is back", is_back)
        .await;
    assert_eq!(told("first"), first, "it does no more of what it lost");
}

/// Steps without commands follow each other without end, and then the signal comes.
#[tokio::test]
async fn a_server_that_is_told_to_stop_takes_nothing_more() {
    let cluster = Cluster::alone();
    let one = cluster.node("one").await;
    let tasks = Tasks {
        per_run: 40,
        commands: 0,
        seconds: String::new(),
    };
    let flow = cluster.flow(&one, &tasks).await;
    let runs = cluster.begin(&one, &flow, 20).await;
    let some = |told: &Value| told["events"].as_array().unwrap().len() >= 20;
    let path = "/api/v1/events?event_type=task.assigned&limit=20";
    cluster.until(&one, path, "steps are begun", some).await;
    let told = now();
    one.stop(Signal::TERM).await.expect(0);
    let taken = cluster.events(EventType::TaskAssigned).await;
    assert!(
        taken.len() < runs.len() * tasks.per_run,
        "all was done before the signal: this proves nothing"
    );
    let newest = taken.iter().map(|event| event.timestamp).max().unwrap();
    let late = (newest - told).to_std().unwrap_or_default();
    println!("{} taken, the last {late:?} after the signal", taken.len());
    let limit = sized(Duration::from_secs(2), Duration::from_millis(50));
    assert!(late <= limit, "{late:?} after the signal");
}

#[tokio::test]
async fn a_worker_listens_nowhere_and_does_what_others_take_in() {
    let cluster = Cluster::start().await;
    let keeper = cluster.node_with("keeper", &["--roles", "api"]).await;
    let tasks = Tasks {
        per_run: 2,
        commands: 1,
        seconds: "0.1".to_owned(),
    };
    let flow = cluster.flow(&keeper, &tasks).await;
    let runs = cluster.begin(&keeper, &flow, 2).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let line = format!(
        "serve --json --roles worker --data-dir one --port {}",
        address.port()
    );
    let mut worker = cluster.project().fusion_kit(line.split(' ')).start();
    let mut told = String::new();
    let mut stdout = BufReader::new(worker.stdout());
    stdout.read_line(&mut told).await.unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["url"], "");
    TcpStream::connect(address).await.unwrap_err();
    cluster.until_completed(&keeper, &runs).await;
    assert_eq!(cluster.ledger().begun(), runs.len() * tasks.per_run);
    worker.signal(Signal::TERM);
    worker.finish().await.expect(0);
}

/// One that began lately is not judged: how long that takes is another figure.
async fn until_settled(cluster: &Cluster, keeper: &Serving, name: &str) {
    let is_settled = |nodes: &Value| {
        let mut nodes = nodes["nodes"].as_array().unwrap().iter();
        let node = nodes.find(|node| node["name"] == *name);
        let began = node.map(|node| node["started_at"].as_str().unwrap().parse());
        let began: Option<DateTime<Utc>> = began.map(Result::unwrap);
        began.is_some_and(|began| now() - began > SETTLED)
    };
    cluster
        .until(keeper, "/api/v1/nodes", "it is settled", is_settled)
        .await;
}

/// Starts runs until a node drives one: who is not heard of yet gets none of the first.
async fn begin_until_driven(
    cluster: &Cluster,
    keeper: &Serving,
    flow: &str,
    name: &str,
) -> Vec<String> {
    let drives = |nodes: &Value| {
        let mut nodes = nodes["nodes"].as_array().unwrap().iter();
        nodes.any(|node| node["name"] == *name && node["runs"] != 0)
    };
    let mut runs = Vec::new();
    while !drives(&keeper.get("/api/v1/nodes").await.expect(200).json()) {
        runs.extend(cluster.begin(keeper, flow, 2).await);
        assert!(runs.len() < 90, "{name} drives nothing");
    }
    runs
}

/// How long the tasks of servers that got a signal waited until others began them again, the longest
/// last.
async fn waits_after(signal: Signal, samples: usize) -> Vec<Duration> {
    let cluster = Cluster::start().await;
    let keeper = cluster.node("keeper").await;
    let tasks = Tasks {
        per_run: 1,
        commands: 1,
        seconds: "8".to_owned(),
    };
    let flow = cluster.flow(&keeper, &tasks).await;
    let mut waits = Vec::new();
    for round in 0..samples {
        let name = format!("victim{round}");
        let victim = cluster.node(&name).await;
        let before = cluster.ledger().beginnings();
        until_settled(&cluster, &keeper, &name).await;
        let runs = begin_until_driven(&cluster, &keeper, &flow, &name).await;
        wait_for("all commands", || {
            (cluster.ledger().beginnings() == before + runs.len()).then_some(())
        })
        .await;
        let at = now();
        victim.signal(signal);
        cluster.until_completed(&keeper, &runs).await;
        // Each run has one task, so what is begun now was begun before.
        let again = cluster.events(EventType::TaskAssigned).await.into_iter();
        let again = again.filter(|event| event.timestamp > at);
        let again = again.map(|event| (event.timestamp - at).to_std().unwrap());
        let again: Vec<Duration> = again.collect();
        assert!(!again.is_empty(), "nothing was taken over");
        waits.extend(again);
        victim.stop(Signal::KILL).await;
    }
    waits.sort_unstable();
    println!("after {signal:?} they waited {waits:?}");
    waits
}

/// A figure, and a bound that no machine misses; in full size the bound of the project.
#[tokio::test]
#[ignore = "takes a figure: `cargo xtask chaos`"]
async fn the_work_of_a_killed_server_goes_on_within_moments() {
    let waits = waits_after(Signal::KILL, sized(3, 30)).await;
    let limit = sized(Duration::from_secs(10), Duration::from_secs(2));
    assert!(waits.last().unwrap() <= &limit, "{waits:?}");
}

#[tokio::test]
#[ignore = "takes a figure: `cargo xtask chaos`"]
async fn the_work_of_a_silent_server_goes_on_once_its_leases_have_run_out() {
    let waits = waits_after(Signal::STOP, sized(2, 30)).await;
    let limit = sized(Duration::from_secs(40), Duration::from_secs(15));
    assert!(waits.last().unwrap() <= &limit, "{waits:?}");
}
