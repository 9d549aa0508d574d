//! Claims and leases: the hot statements, in plain SQL. Expiry is counted by the database's clock.

use fusion_persistence::{Claim, Claimed, Lease, Result};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};

use crate::error::{corrupt, trying};
use crate::store::unsigned;
use crate::{agents, events, tasks};

/// Milliseconds since 1970 by SQLite's clock.
const NOW_MS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// Leases the first ready task that fits, in one statement.
pub(crate) async fn claim(conn: &impl ConnectionTrait, claim: Claim) -> Result<Option<Claimed>> {
    let fitting: Vec<String> = (0..claim.capability_sets.len())
        .map(|n| format!("${}", n + 5))
        .collect();
    let sql = format!(
        "WITH chosen AS MATERIALIZED (
           SELECT id AS chosen_id FROM tasks
           WHERE state = 'queued' AND unmet_dependencies = 0
             AND EXISTS (SELECT 1 FROM agents WHERE id = $1 AND state = 'idle')
             AND NOT EXISTS (SELECT 1 FROM tasks held
                             WHERE held.agent_id = $1 AND held.state IN ('assigned', 'running'))
             AND (agent_id = $1 OR (agent_id IS NULL AND run_id = $2 AND capability_key IN ({})))
           ORDER BY priority DESC, queued_at, id LIMIT 1)
         UPDATE tasks SET state = 'assigned', agent_id = $1, fence = fence + 1, version = version + 1,
           lease_owner = $3, lease_until = {NOW_MS} + $4
         FROM chosen WHERE id = chosen.chosen_id RETURNING *",
        fitting.join(", ")
    );
    let mut values: Vec<Value> = vec![
        claim.agent.uuid().into(),
        claim.run.uuid().into(),
        claim.lease.owner.uuid().into(),
        millis(claim.lease)?.into(),
    ];
    values.extend(claim.capability_sets.into_iter().map(Value::from));
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, values);
    let Some(row) = conn
        .query_one_raw(statement)
        .await
        .map_err(trying("claim a task"))?
    else {
        return Ok(None);
    };
    let row =
        tasks::table::Model::from_query_result(&row, "").map_err(trying("read a claimed task"))?;
    let task = tasks::from_row(row)?;
    let mut event = claim.event;
    event.data = serde_json::json!({ "task_id": task.id, "step": task.name, "fence": task.fence });
    event.message = format!("{} {}", task.name, event.message);
    event.message_queue_topic = Some(format!("task.assigned.{}", task.id));
    events::append(conn, vec![event]).await?;
    let agent = agents::read(conn, claim.agent).await?;
    Ok(Some(Claimed { task, agent }))
}

/// Prolongs the leases of a node, counted from now.
pub(crate) async fn extend(conn: &impl ConnectionTrait, lease: Lease) -> Result<u64> {
    let sql = format!(
        "UPDATE tasks SET lease_until = {NOW_MS} + $2
         WHERE lease_owner = $1 AND state IN ('assigned', 'running')"
    );
    let values: [Value; 2] = [lease.owner.uuid().into(), millis(lease)?.into()];
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, values);
    let written = conn
        .execute_raw(statement)
        .await
        .map_err(trying("extend leases"))?;
    unsigned(
        i64::try_from(written.rows_affected()).map_err(|_| corrupt("row count"))?,
        "row count",
    )
}

fn millis(lease: Lease) -> Result<i64> {
    i64::try_from(lease.duration.as_millis()).map_err(|_| corrupt("lease"))
}
