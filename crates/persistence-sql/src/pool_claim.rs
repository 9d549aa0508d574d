//! Claims from the pool: a statement that looks up one row of each queue, and, where there is nothing, a
//! look at what waits for others.

use fusion_core::{AgentId, EventType, NewEvent, Task};
use fusion_persistence::{Claimed, PoolAnswer, PoolClaim};
use sea_orm::{DbBackend, Statement, Value};
use serde_json::json;

use crate::claim::{IdleAgents, READY, millis};
use crate::dialect::Dialect;
use crate::failure::Result;
use crate::session::Session;
use crate::table::{self, Stored};
use crate::tasks;
use crate::tasks::pool::{GIVEN, OPEN, name_of};

const ACTION: &str = "take a task of the pool";

/// A held task, as the index of an agent's tasks finds it.
const HELD: &str = "SELECT held.fence FROM tasks held
    WHERE held.agent_id = $1 AND held.state IN ('assigned', 'running')";

/// Leases the task whose turn it is, or steals one; gives the event that tells it too.
pub(crate) async fn take(
    session: &mut impl Session,
    claim: &PoolClaim,
    known: &mut IdleAgents,
) -> Result<(PoolAnswer, Option<NewEvent>)> {
    let Some(agent) = known.take(session, claim.agent).await? else {
        return Ok((PoolAnswer::Unfit, None));
    };
    let backend = session.backend();
    let mut from = None;
    let mut row = one(session, lease_first(backend, claim)?).await?;
    if row.is_none() {
        let held = Statement::from_sql_and_values(
            backend,
            format!("{HELD} LIMIT 1"),
            [claim.agent.uuid().into()],
        );
        if session.number(ACTION, held).await?.is_some() {
            return Ok((PoolAnswer::Unfit, None));
        }
        if let Some(found) = one(session, of_another(backend, claim)?).await? {
            let task = Task::from_row(found)?;
            from = task.agent_id;
            row = one(session, lease_stolen(backend, claim, &task)?).await?;
        }
    }
    let Some(row) = row else {
        return Ok((PoolAnswer::Nothing, None));
    };
    let task = Task::from_row(row)?;
    let event = told(claim, &task, from);
    let claimed = Box::new(Claimed { task, agent });
    Ok((PoolAnswer::Task(claimed), Some(event)))
}

async fn one(
    session: &mut impl Session,
    statement: Statement,
) -> Result<Option<tasks::table::Model>> {
    let mut rows = session
        .rows::<tasks::table::Entity>(ACTION, statement)
        .await?;
    Ok(rows.pop())
}

/// The event of a claim, or of a theft from `from`.
fn told(claim: &PoolClaim, task: &Task, from: Option<AgentId>) -> NewEvent {
    let mut event = claim.event.clone();
    event.run_id = Some(task.run_id);
    event.data = json!({ "task_id": task.id, "step": task.name, "fence": task.fence });
    event.message = format!("{} {}", task.name, event.message);
    let mut state = "assigned";
    if let (Some(from), Some(data)) = (from, event.data.as_object_mut()) {
        state = "stolen";
        event.event_type = EventType::TaskStolen;
        data.insert("from".to_owned(), json!(from));
        data.insert("by".to_owned(), json!(claim.agent));
    }
    event.message_queue_topic = Some(format!("task.{state}.{}", task.id));
    event
}

fn leased(backend: DbBackend, chosen: &str) -> String {
    format!(
        "WITH chosen AS MATERIALIZED ({chosen})
         UPDATE tasks SET state = 'assigned', agent_id = $1, fence = fence + 1, version = version + 1,
           lease_owner = $2, lease_until = {now} + $3
         FROM chosen WHERE id = chosen.chosen_id RETURNING {columns}",
        now = Dialect::from(backend).now_ms(),
        columns = table::columns::<tasks::table::Entity>().join(", "),
    )
}

fn lease_first(backend: DbBackend, claim: &PoolClaim) -> Result<Statement> {
    let dialect = Dialect::from(backend);
    let chosen = format!(
        "SELECT id AS chosen_id FROM (
           SELECT * FROM (SELECT id, CASE WHEN attempts > 0 THEN 1 ELSE 0 END AS begun, pool_rank
             FROM tasks {given} WHERE {READY} AND {GIVEN} AND agent_id = $1
             ORDER BY CASE WHEN attempts > 0 THEN 1 ELSE 0 END DESC, pool_rank DESC, id
             LIMIT 1 {locked}) AS own
           UNION ALL
           SELECT * FROM (SELECT head.id, 0 AS begun, head.pool_rank FROM {heads}
             ORDER BY {at_work}, head.pool_rank DESC, head.id LIMIT 1) AS open) AS firsts
         WHERE NOT EXISTS ({HELD})
         ORDER BY begun DESC, pool_rank DESC, id LIMIT 1",
        locked = dialect.skip_locked(),
        given = dialect.by_index("pool_given"),
        heads = heads(dialect),
        // With one queue there is nothing to weigh.
        at_work = if claim.queues.len() > 1 {
            at_work(dialect)
        } else {
            "head.pool".to_owned()
        },
    );
    let [agent, owner, lease] = common(claim)?;
    let values = [agent, owner, lease, queues(claim)?];
    Ok(table::clean(Statement::from_sql_and_values(
        backend,
        leased(backend, &chosen),
        values,
    )))
}

/// How many tasks of a project are at work.
fn at_work(dialect: Dialect) -> String {
    format!(
        "(SELECT count(*) FROM tasks AS busy {index}
          WHERE busy.state IN ('assigned', 'running') AND busy.pool IS NOT NULL AND busy.pool = head.pool)",
        index = dialect.by_index("pool_at_work"),
    )
}

/// The first task of each queue in the JSON list `$4`.
fn heads(dialect: Dialect) -> String {
    let first = format!(
        "SELECT id, pool, pool_rank FROM tasks {index} WHERE {READY} AND {OPEN}
           AND pool = queues.value ->> 0 AND capability_key = queues.value ->> 1
         ORDER BY pool_rank DESC, id LIMIT 1 {locked}",
        index = dialect.by_index("pool_open"),
        locked = dialect.skip_locked()
    );
    match dialect {
        Dialect::Sqlite => format!(
            "json_each($4) AS queues JOIN tasks AS head ON head.id = (SELECT id FROM ({first}))"
        ),
        Dialect::Postgres => format!(
            "json_array_elements($4::json) AS queues(value) CROSS JOIN LATERAL ({first}) AS head"
        ),
    }
}

/// The best task that waits for the agent with the most of them, which is not idle.
fn of_another(backend: DbBackend, claim: &PoolClaim) -> Result<Statement> {
    let dialect = Dialect::from(backend);
    let (each, lock) = match dialect {
        Dialect::Sqlite => ("json_each($2) AS queues", ""),
        Dialect::Postgres => (
            "json_array_elements($2::json) AS queues(value)",
            "FOR UPDATE OF theirs SKIP LOCKED",
        ),
    };
    let columns: Vec<String> = table::columns::<tasks::table::Entity>()
        .iter()
        .map(|column| format!("theirs.{column}"))
        .collect();
    let sql = format!(
        "SELECT {columns} FROM tasks AS theirs {given}
           JOIN (SELECT agent_id, count(*) AS load FROM tasks {given} WHERE {READY} AND {GIVEN}
                 GROUP BY agent_id) AS loads ON loads.agent_id = theirs.agent_id
           JOIN agents ON agents.id = theirs.agent_id
         WHERE theirs.state = 'queued' AND theirs.unmet_dependencies = 0
           AND theirs.not_before IS NULL AND theirs.pool IS NOT NULL AND theirs.agent_id IS NOT NULL
           AND theirs.agent_id <> $1 AND theirs.attempts = 0 AND NOT theirs.demanded
           AND agents.state <> 'idle'
           AND theirs.capability_key IN (SELECT queues.value ->> 1 FROM {each})
         ORDER BY loads.load DESC, theirs.pool_rank DESC, theirs.id LIMIT 1 {lock}",
        columns = columns.join(", "),
        given = dialect.by_index("pool_given"),
    );
    let values = [claim.agent.uuid().into(), queues(claim)?];
    Ok(table::clean(Statement::from_sql_and_values(
        backend, sql, values,
    )))
}

fn lease_stolen(backend: DbBackend, claim: &PoolClaim, task: &Task) -> Result<Statement> {
    let chosen = "SELECT id AS chosen_id FROM tasks WHERE id = $4 AND state = 'queued'";
    let [agent, owner, lease] = common(claim)?;
    let values: [Value; 4] = [agent, owner, lease, task.id.uuid().into()];
    let sql = leased(backend, chosen);
    Ok(Statement::from_sql_and_values(backend, sql, values))
}

fn common(claim: &PoolClaim) -> Result<[Value; 3]> {
    Ok([
        claim.agent.uuid().into(),
        claim.lease.owner.uuid().into(),
        millis(claim.lease.duration)?.into(),
    ])
}

/// The queues as pairs of a share and a set of capabilities.
fn queues(claim: &PoolClaim) -> Result<Value> {
    let pairs: Vec<[String; 2]> = claim
        .queues
        .iter()
        .map(|queue| {
            let key = queue.capabilities.key();
            [name_of(queue.project), table::cleaned(&key).into_owned()]
        })
        .collect();
    Ok(crate::json::to_text("queues", &pairs)?.into())
}

#[cfg(test)]
mod tests;
