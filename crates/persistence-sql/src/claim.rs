//! Claims and leases: the hot statements, in plain SQL. Expiry is counted by the database's clock.

use std::collections::BTreeMap;
use std::time::Duration;

use fusion_core::{Agent, AgentId, AgentState, Change, NewEvent, Row, Task};
use fusion_persistence::{Claim, Claimed, Lease};
use sea_orm::{DbBackend, Statement, Value};

use crate::dialect::Dialect;
use crate::error::corrupt;
use crate::failure::Result;
use crate::session::Session;
use crate::table::Stored;
use crate::text::Text;
use crate::{agents, json, run_leases, table, tasks};

/// Ready tasks, as the indexes `tasks_pooled` and `tasks_own` hold them.
pub(crate) const READY: &str = "state = 'queued' AND unmet_dependencies = 0 AND not_before IS NULL";

/// Leases the first ready task that fits, in one statement; gives the event that tells it too. Each
/// set of capabilities, and the agent's own queue, is looked up in an index by its first row only: a
/// claim costs the same however many tasks are ready.
pub(crate) async fn claim(
    session: &mut impl Session,
    claim: &Claim,
    known: &mut IdleAgents,
) -> Result<Option<(Claimed, NewEvent)>> {
    let Some(agent) = known.take(session, claim.agent).await? else {
        return Ok(None);
    };
    let Some(row) = session
        .rows::<tasks::table::Entity>("claim a task", lease_first(session.backend(), claim)?)
        .await?
        .pop()
    else {
        return Ok(None);
    };
    let task = Task::from_row(row)?;
    let mut event = claim.event.clone();
    event.data = serde_json::json!({ "task_id": task.id, "step": task.name, "fence": task.fence });
    event.message = format!("{} {}", task.name, event.message);
    event.message_queue_topic = Some(format!("task.assigned.{}", task.id));
    Ok(Some((Claimed { task, agent }, event)))
}

/// Agents of a transaction's claims that were looked up together: a statement less for each claim.
#[derive(Debug, Default)]
pub(crate) struct IdleAgents {
    /// `None` for one that is not idle.
    known: BTreeMap<AgentId, Option<Agent>>,
}

impl IdleAgents {
    /// Looks these agents up.
    pub(crate) async fn look_up(session: &mut impl Session, ids: &[AgentId]) -> Result<Self> {
        let mut known: BTreeMap<AgentId, Option<Agent>> =
            ids.iter().map(|id| (*id, None)).collect();
        for agent in idle(session, ids).await? {
            known.insert(agent.id, Some(agent));
        }
        Ok(Self { known })
    }

    /// The agent, when it is idle: as it was looked up, else looked up now. What was taken is not
    /// known any more.
    pub(crate) async fn take(
        &mut self,
        session: &mut impl Session,
        id: AgentId,
    ) -> Result<Option<Agent>> {
        match self.known.remove(&id) {
            Some(agent) => Ok(agent),
            None => Ok(idle(session, &[id]).await?.pop()),
        }
    }

    /// What a batch of the same transaction writes is not known any more.
    pub(crate) fn forget(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Create(Row::Agent(agent)) | Change::Update(Row::Agent(agent)) = change {
                self.known.remove(&agent.id);
            }
        }
    }
}

/// Those of the agents that are idle. Another process may be about to give one a task, or to pause
/// it: their rows are locked, in one order, so that the claims see what was committed meanwhile.
/// SQLite has one writer anyway.
async fn idle(session: &mut impl Session, ids: &[AgentId]) -> Result<Vec<Agent>> {
    let backend = session.backend();
    let lock = match Dialect::from(backend) {
        Dialect::Postgres => " FOR NO KEY UPDATE",
        Dialect::Sqlite => "",
    };
    let idle = Text::new("SELECT ")
        .words(&table::columns::<agents::table::Entity>().join(", "))
        .words(" FROM agents WHERE id IN (")
        .values(ids.iter().map(|id| Value::from(id.uuid())))
        .words(") AND state = ")
        .value(AgentState::Idle.as_str())
        .words(" ORDER BY id")
        .words(lock);
    let rows = session
        .rows::<agents::table::Entity>("claim a task", idle.statement(backend))
        .await?;
    Ok(rows
        .into_iter()
        .map(Agent::from_row)
        .collect::<fusion_persistence::Result<_>>()?)
}

fn lease_first(backend: DbBackend, claim: &Claim) -> Result<Statement> {
    let dialect = Dialect::from(backend);
    let driven = run_leases::number(claim.driver);
    let sql = format!(
        "WITH chosen AS MATERIALIZED (
           SELECT id AS chosen_id FROM ({own} UNION ALL {pooled}) AS firsts
           WHERE NOT EXISTS (SELECT 1 FROM tasks held
                             WHERE held.agent_id = $1 AND held.state IN ('assigned', 'running'))
             AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = $4 AND runs.halt IS NOT NULL)
           {driven}
           ORDER BY priority DESC, queued_at, id LIMIT 1)
         UPDATE tasks SET state = 'assigned', agent_id = $1, fence = fence + 1, version = version + 1,
           lease_owner = $2, lease_until = {now} + $3
         FROM chosen WHERE id = chosen.chosen_id RETURNING {columns}",
        own = format_args!("SELECT * FROM ({}) AS own", first(dialect, "agent_id = $1 AND run_id = $4")),
        pooled = first_of_each_set(dialect),
        driven = driven.map_or_else(String::new, |_| format!("AND {}", run_leases::is_held(6))),
        now = dialect.now_ms(),
        columns = table::columns::<tasks::table::Entity>().join(", "),
    );
    let sets: Vec<_> = claim
        .capability_sets
        .iter()
        .map(|set| table::cleaned(set))
        .collect();
    let mut values: Vec<Value> = vec![
        claim.agent.uuid().into(),
        claim.lease.owner.uuid().into(),
        millis(claim.lease.duration)?.into(),
        claim.run.uuid().into(),
        json::to_text("capability sets", &sets)?.into(),
    ];
    values.extend(driven.map(Value::from));
    Ok(table::clean(Statement::from_sql_and_values(
        backend, sql, values,
    )))
}

/// The first ready task that is wanted.
fn first(dialect: Dialect, wanted: &str) -> String {
    format!(
        "SELECT id, priority, queued_at FROM tasks WHERE {READY} AND {wanted}
           ORDER BY priority DESC, queued_at, id LIMIT 1 {}",
        dialect.skip_locked()
    )
}

/// The first ready task of the pool for each set of capabilities in the JSON list `$5`.
fn first_of_each_set(dialect: Dialect) -> String {
    let wanted = "agent_id IS NULL AND run_id = $4 AND capability_key = sets.value";
    let first = first(dialect, wanted);
    match dialect {
        Dialect::Sqlite => format!(
            "SELECT pooled.id, pooled.priority, pooled.queued_at FROM json_each($5) AS sets
               JOIN tasks AS pooled ON pooled.id = (SELECT id FROM ({first}))"
        ),
        Dialect::Postgres => format!(
            "SELECT pooled.* FROM json_array_elements_text($5::json) AS sets(value)
               CROSS JOIN LATERAL ({first}) AS pooled"
        ),
    }
}

/// Prolongs the leases of a node on tasks, counted from now.
pub(crate) async fn extend(session: &mut impl Session, lease: Lease) -> Result<u64> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE tasks SET lease_until = {} + $2
         WHERE lease_owner = $1 AND state IN ('assigned', 'running')",
        Dialect::from(backend).now_ms()
    );
    let values: [Value; 2] = [lease.owner.uuid().into(), millis(lease.duration)?.into()];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    session.execute("extend leases", statement).await
}

/// For columns and sums with them.
pub(crate) fn millis(duration: Duration) -> fusion_persistence::Result<i64> {
    i64::try_from(duration.as_millis()).map_err(|_| corrupt("lease"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fusion_core::{EventType, IdSource, Moment, NodeId, RunId, Timestamp};
    use uuid::Uuid;

    use super::{AgentId, Claim, DbBackend, Lease, NewEvent, lease_first};
    use crate::plan::plan_of;

    #[derive(Debug)]
    struct SameId;

    impl IdSource for SameId {
        fn uuid(&self) -> Uuid {
            Uuid::nil()
        }
    }

    fn claim() -> Claim {
        let moment = Moment {
            now: Timestamp::UNIX_EPOCH,
            ids: &SameId,
        };
        let run = RunId::from_uuid(Uuid::nil());
        Claim {
            agent: AgentId::from_uuid(Uuid::nil()),
            run,
            capability_sets: vec!["x".to_owned()],
            lease: Lease {
                owner: NodeId::from_uuid(Uuid::nil()),
                duration: Duration::from_secs(1),
            },
            driver: None,
            event: NewEvent::of_run(moment, EventType::TaskAssigned, run, String::new()),
        }
    }

    /// A claim that reads the rows of the queue one by one gets slower with each task that waits.
    #[tokio::test]
    async fn a_claim_looks_its_task_up_in_the_indexes_of_ready_tasks() {
        let claim = lease_first(DbBackend::Sqlite, &claim()).unwrap();
        let plan = plan_of(claim, &["tasks"]).await;
        let has = |index: &str| plan.iter().any(|step| step.contains(index));
        assert!(
            has("SEARCH tasks USING") && has("tasks_own (agent_id=?)"),
            "{plan:?}"
        );
        assert!(
            has("tasks_pooled (run_id=? AND capability_key=?)"),
            "{plan:?}"
        );
        assert!(!has("SCAN tasks"), "{plan:?}");
    }
}
