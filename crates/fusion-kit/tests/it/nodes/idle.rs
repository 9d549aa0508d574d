//! What servers without work ask the database for: told by the database itself.

use std::time::Instant;

use fusion_testkit::postgres_binaries;
use serde::Deserialize;

use super::cluster::Cluster;
use crate::support::{breathe, program};

/// The looks of a node at the others during which statements are counted: one each second.
const LOOKS: u64 = 20;

/// A statement and how often it was carried out.
#[derive(Debug, Deserialize)]
struct Counted {
    query: String,
    calls: u64,
}

/// A cluster whose database counts statements.
async fn counting() -> Cluster {
    let mut cluster = Cluster::start().await;
    let preload = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
    sql(&cluster, preload).await;
    cluster.restart_database();
    sql(&cluster, "CREATE EXTENSION pg_stat_statements").await;
    cluster
}

async fn sql(cluster: &Cluster, statement: &str) -> String {
    let psql = postgres_binaries().unwrap().join("psql");
    let mut psql = program(psql);
    psql.args(["-XAtq", "-c", statement, &cluster.database_url()]);
    let done = psql.output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// What was carried out since the last reset, apart from what this test asks.
async fn counted(cluster: &Cluster) -> Vec<Counted> {
    let all = "SELECT coalesce(json_agg(json_build_object('query', query, 'calls', calls)), '[]')
               FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    serde_json::from_str(&sql(cluster, all).await).unwrap()
}

fn calls(counted: &[Counted], of: &str) -> u64 {
    let those = counted.iter().filter(|it| it.query.contains(of));
    those.map(|it| it.calls).sum()
}

/// The statements of so many idle nodes while each takes its looks.
async fn of_idle(cluster: &Cluster, nodes: u64) -> Vec<Counted> {
    let began = Instant::now();
    let mut is_settled = false;
    loop {
        let so_far = counted(cluster).await;
        let looks = calls(&so_far, "has_lost_tasks");
        if looks >= nodes * LOOKS {
            if is_settled {
                return so_far;
            }
            // What belongs to the start is over.
            sql(cluster, "SELECT pg_stat_statements_reset()").await;
            is_settled = true;
        }
        breathe(began, "the looks of idle nodes").await;
    }
}

/// What an idle node asks for, told by a part of each statement, and once in how many seconds; the same as
/// in docs/nodes.md.
const DOCUMENTED: [(&str, u64); 2] = [
    // The look at the others, which tells also what sweeps would find.
    ("has_lost_tasks", 1),
    // The heartbeat.
    ("kept_tasks", 3),
];

async fn idle_nodes_ask_for_nothing_beyond_their_heartbeats(cluster: Cluster, names: &[&str]) {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(cluster.node(name).await);
    }
    let count = u64::try_from(nodes.len()).unwrap();
    let counted = of_idle(&cluster, count).await;
    let seconds = calls(&counted, "has_lost_tasks") / count;
    let all: u64 = counted.iter().map(|it| it.calls).sum();
    println!("{all} statements in {seconds} s of {count} idle nodes");
    let mut found = [0_u64; DOCUMENTED.len()];
    for it in &counted {
        let known = DOCUMENTED
            .iter()
            .position(|(part, _)| it.query.contains(part));
        let Some(known) = known else {
            panic!("nobody documented: {} times {}", it.calls, it.query);
        };
        found[known] += it.calls;
    }
    for (found, (part, every)) in found.into_iter().zip(DOCUMENTED) {
        // What began in the first second ends in the last one.
        let most = count * (seconds / every + 1);
        assert!(
            found <= most,
            "{part}: {found} times in {seconds} s, and {most} are documented"
        );
    }
    assert!(all <= count * (seconds + seconds / 3 + 2), "{counted:#?}");
}

#[tokio::test]
async fn an_idle_server_asks_for_nothing_beyond_its_heartbeat() {
    idle_nodes_ask_for_nothing_beyond_their_heartbeats(counting().await, &["one"]).await;
}

#[tokio::test]
async fn two_idle_servers_ask_for_nothing_beyond_their_heartbeats() {
    idle_nodes_ask_for_nothing_beyond_their_heartbeats(counting().await, &["one", "two"]).await;
}

#[tokio::test]
async fn without_redis_idle_servers_ask_for_nothing_beyond_their_heartbeats() {
    let mut cluster = counting().await;
    cluster.set("REDIS_URL", "");
    idle_nodes_ask_for_nothing_beyond_their_heartbeats(cluster, &["one", "two"]).await;
}

/// The heartbeats of a server that owns its file during which its reads are counted.
const BEATS: usize = 7;

/// When each read began, in seconds, by the locks that `strace` saw it take.
fn reads(trace: &str) -> Vec<f64> {
    let locks = trace.lines().filter(|line| line.contains("F_RDLCK"));
    // A line begins with the process, then the time.
    let times = locks.filter_map(|line| line.split_whitespace().nth(1)?.parse().ok());
    times.collect()
}

/// Whether the last of these times are so far apart as the heartbeats are.
fn is_settled(reads: &[f64]) -> bool {
    let last = reads.last_chunk::<BEATS>();
    last.is_some_and(|last| last.windows(2).all(|two| two[1] - two[0] > 2.5))
}

#[tokio::test]
async fn an_idle_server_with_a_file_reads_once_in_each_heartbeat() {
    let cluster = Cluster::alone();
    let server = cluster.node("one").await;
    let traced = cluster.project().path().join("trace");
    let mut strace = program("strace");
    strace.args(["-f", "-ttt", "-e", "trace=fcntl", "-o"]);
    let strace = strace.arg(&traced).args(["-p", &server.pid().to_string()]);
    let Ok(mut strace) = strace.kill_on_drop(true).spawn() else {
        eprintln!("skipped: there is no strace here");
        return;
    };
    let began = Instant::now();
    loop {
        let trace = std::fs::read_to_string(&traced).unwrap_or_default();
        let reads = reads(&trace);
        if is_settled(&reads) {
            let writes = trace.lines().filter(|line| line.contains("F_WRLCK"));
            println!(
                "{} reads; writes: {:#?}",
                reads.len(),
                writes.collect::<Vec<_>>()
            );
            break;
        }
        if let Some(ended) = strace.try_wait().unwrap() {
            eprintln!("skipped: strace may not trace here: {ended:?}");
            return;
        }
        breathe(began, "reads of an idle server that are a heartbeat apart").await;
    }
    strace.kill().await.unwrap();
    server.stop(rustix::process::Signal::TERM).await;
}
