//! A million ready tasks with a hundred thousand failed and as many waiting ones in front, and a
//! million events.

use std::path::Path;

use fusion_core::{AgentId, RunId, Timestamp};
use rusqlite::Connection;
use uuid::Uuid;

use crate::raw::Server;

/// The run of the million tasks.
pub(crate) const RUN: RunId = RunId::from_uuid(Uuid::from_u128(0xbe7c));

/// The agent of one event in a hundred.
pub(crate) const AGENT: AgentId = AgentId::from_uuid(Uuid::from_u128(0xa6e7));

/// When a tenth of the events had happened.
pub(crate) fn early() -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + 100_000, 0).unwrap()
}

const TASKS: &str = "INSERT INTO tasks (id, name, description, priority, required_capabilities, capability_key, state,
    queued_at, dependencies, unmet_dependencies, input_artifacts, communication_channels, run_id,
    fence, not_before, attempts, turns, input_tokens, output_tokens, cost_picos, version)
  SELECT {id}, 't' || n, 'do it', CASE WHEN n <= 200000 THEN 9 ELSE n % 5 END, '[\"x\"]', 'x',
    CASE WHEN n <= 100000 THEN 'failed' ELSE 'queued' END, {time}, '[]', 0, '{}', '[]', {run},
    0, CASE WHEN n BETWEEN 100001 AND 200000 THEN 4000000000000 END, 0, 0, 0, 0, 0, 1
  FROM {numbers}";

const EVENTS: &str = "INSERT INTO events (seq, id, timestamp, event_type, severity, source_agent_id, source_component, run_id, data, message)
  SELECT {base} + n, {id}, {time}, CASE n % 3 WHEN 0 THEN 'task.started' WHEN 1 THEN 'task.completed' ELSE 'tool.finished' END,
    CASE WHEN n % 10000 = 0 THEN 'critical' ELSE 'info' END, CASE WHEN n % 100 = 0 THEN {agent} END, 'coordination', {run}, '{}',
    'write_file finished in step number' || (n % 1000) || ' of unique' || n || 'x'
  FROM {numbers}";

pub(crate) fn sqlite(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let base: i64 = connection
        .query_row(
            "SELECT last_seq FROM event_streams WHERE name = 'main'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let numbers = |count: u32| {
        format!(
            "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) SELECT n FROM c)"
        )
    };
    let time = "strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + n, 'unixepoch') || '.000001+00:00'";
    let hex = |id: Uuid| format!("x'{}'", id.simple());
    let fill = |sql: &str, count: u32| {
        sql.replace("{id}", "randomblob(16)")
            .replace("{time}", time)
            .replace("{run}", &hex(RUN.uuid()))
            .replace("{agent}", &hex(AGENT.uuid()))
            .replace("{base}", &base.to_string())
            .replace("{numbers}", &numbers(count))
    };
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; BEGIN; {}; {};
             UPDATE event_streams SET last_seq = last_seq + 1000000 WHERE name = 'main';
             INSERT INTO event_words (rowid, message) SELECT seq, message FROM events
               WHERE seq > (SELECT last_seq FROM event_streams WHERE name = 'index');
             {};
             UPDATE event_streams SET last_seq = {base} + 1000000 WHERE name = 'index';
             {}; COMMIT",
            fill(TASKS, 1_200_000),
            fill(EVENTS, 1_000_000),
            indexed(|id| format!("lower(hex({id}))")),
            run(&hex(RUN.uuid())),
        ))
        .unwrap();
}

/// The run of the tasks, as any that is there.
fn run(id: &str) -> String {
    format!(
        "INSERT INTO runs (id, workflow_id, workflow_name, state, standalone, inputs, total_tasks, open_tasks,
           turns, input_tokens, output_tokens, cost_picos, created_at, started_at, version)
         SELECT {id}, workflow_id, workflow_name, 'running', standalone, inputs, 1200000, 1100000,
           0, 0, 0, 0, created_at, started_at, 1 FROM runs LIMIT 1"
    )
}

/// Indexes the new events as the program does.
fn indexed(id: impl Fn(&str) -> String) -> String {
    const NEW: &str =
        "FROM events WHERE seq > (SELECT last_seq FROM event_streams WHERE name = 'index')";
    format!(
        "INSERT INTO event_keys (key, seq) SELECT 'type ' || event_type, seq {NEW};
         INSERT INTO event_keys (key, seq) SELECT 'severity ' || severity, seq {NEW} AND severity <> 'info';
         INSERT INTO event_keys (key, seq) SELECT 'agent ' || {}, seq {NEW} AND source_agent_id IS NOT NULL;
         INSERT INTO event_keys (key, seq) SELECT 'run ' || {}, seq {NEW} AND run_id IS NOT NULL;
         INSERT INTO event_pieces (last_seq, first_seq, oldest, newest)
           SELECT max(seq), min(seq), min(timestamp), max(timestamp) {NEW} GROUP BY seq / 500",
        id("source_agent_id"),
        id("run_id"),
    )
}

pub(crate) async fn postgres(server: &Server) {
    let text = |id: Uuid| format!("'{id}'::uuid");
    let fill = |sql: &str, count: u32| {
        sql.replace("{id}", "gen_random_uuid()")
            .replace("{time}", "to_timestamp(1700000000 + n + 0.000001)")
            .replace("{run}", &text(RUN.uuid()))
            .replace("{agent}", &text(AGENT.uuid()))
            .replace(
                "{base}",
                "(SELECT last_seq FROM event_streams WHERE name = 'main')",
            )
            .replace("{numbers}", &format!("generate_series(1, {count}) AS n"))
    };
    server.run(&run(&text(RUN.uuid()))).await;
    server.run(&fill(TASKS, 1_200_000)).await;
    server.run(&fill(EVENTS, 1_000_000)).await;
    server
        .run("UPDATE event_streams SET last_seq = last_seq + 1000000 WHERE name = 'main'")
        .await;
    server
        .run(
            "INSERT INTO event_words (seq, words)
             SELECT seq, array_to_tsvector(array_remove(regexp_split_to_array(lower(message), '[^[:alnum:]]+'), ''))
             FROM events WHERE seq > (SELECT last_seq FROM event_streams WHERE name = 'index')",
        )
        .await;
    server
        .run(&indexed(|id| format!("replace({id}::text, '-', '')")))
        .await;
    server
        .run(
            "UPDATE event_streams SET last_seq = (SELECT last_seq FROM event_streams WHERE name = 'main')
             WHERE name = 'index'",
        )
        .await;
    server.run("VACUUM ANALYZE").await;
}
