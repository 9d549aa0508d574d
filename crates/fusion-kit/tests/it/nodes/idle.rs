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
const DOCUMENTED: [(&str, u64); 18] = [
    // The look at the others, and at the own sign of life.
    ("has_lost_tasks", 1),
    ("pid = pg_backend_pid()", 1),
    // The heartbeat, in one transaction.
    ("BEGIN", 3),
    ("UPDATE nodes SET last_seen", 3),
    ("UPDATE run_leases SET lease_until", 3),
    ("UPDATE tasks SET lease_until", 3),
    ("UPDATE writers", 3),
    ("COMMIT", 3),
    // What ran out meanwhile: approvals, messages, and messages of agents that have ended.
    ("FROM \"approvals\"", 3),
    ("SELECT waiting.message_id", 3),
    // What a lost hint may have told: mail, agents, and the pool.
    ("SELECT DISTINCT waiting.agent_id", 5),
    ("FROM \"agents\"", 5),
    ("\"task_dependencies\".\"depends_on\"", 5),
    ("min(not_before)", 5),
    ("SELECT DISTINCT pool", 5),
    // Schedules, whose next time is known.
    ("FROM \"schedules\"", 60),
    // A connection that is made anew.
    ("SET ", 60),
    ("SELECT 1", 60),
];

/// Statements that share a part: two sweeps each.
const TWICE: [&str; 2] = ["SELECT waiting.message_id", "FROM \"agents\""];

async fn idle_nodes_ask_for_no_more_than_is_documented(names: &[&str]) {
    let cluster = counting().await;
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
        let times = if TWICE.contains(&part) { 2 } else { 1 };
        let most = count * times * (seconds / every + 2);
        assert!(
            found <= most,
            "{part}: {found} times in {seconds} s, and {most} are documented"
        );
    }
}

#[tokio::test]
async fn an_idle_server_asks_for_no_more_than_is_documented() {
    idle_nodes_ask_for_no_more_than_is_documented(&["one"]).await;
}

#[tokio::test]
async fn two_idle_servers_ask_for_no_more_than_is_documented() {
    idle_nodes_ask_for_no_more_than_is_documented(&["one", "two"]).await;
}
