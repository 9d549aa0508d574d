//! The pool: which queues it has, what its tasks wait for, and what will never be ready.

use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{AgentId, CapabilitySet, Pool, PoolQueue, ProjectId, Task, TaskId};
use fusion_persistence::{PoolReader, Repository, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
};

use super::{edge, table};
use crate::claim::READY;
use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::failure;
use crate::session::Session;
use crate::store::SqlStore;
use crate::table::Stored;

/// Tasks of the pool that somebody may take, as the index `pool_open` holds them.
pub(crate) const OPEN: &str = "pool IS NOT NULL AND agent_id IS NULL";

/// Tasks of the pool that were given to somebody, as the index `pool_given` holds them.
pub(crate) const GIVEN: &str = "pool IS NOT NULL AND agent_id IS NOT NULL";

/// As the index `pool_waiting` holds them.
const WAITING: &str = "state = 'queued' AND not_before IS NOT NULL AND pool IS NOT NULL";

/// As the index `pool_blocked` holds them.
const BLOCKED: &str =
    "tasks.state = 'queued' AND tasks.unmet_dependencies > 0 AND tasks.pool IS NOT NULL";

/// Tasks of the pool that are there to be handed out, or wait for others.
pub(crate) fn waiting(dialect: Dialect) -> Vec<String> {
    let now = dialect.now_ms();
    let conditions = [
        format!("{READY} AND {OPEN}"),
        format!("{READY} AND {GIVEN}"),
        BLOCKED.to_owned(),
        format!("{WAITING} AND not_before <= {now}"),
    ];
    let rows = conditions.map(|condition| format!("SELECT 1 FROM tasks WHERE {condition}"));
    rows.to_vec()
}

/// How a project's share is named: by its id, or empty for none.
pub(crate) fn name_of(project: Option<ProjectId>) -> String {
    project.map(|id| id.to_string()).unwrap_or_default()
}

fn project_of(name: &str) -> Result<Option<ProjectId>> {
    if name.is_empty() {
        return Ok(None);
    }
    let id = name.parse().map_err(|_| corrupt("task pool"))?;
    Ok(Some(id))
}

/// The place in the pool in a row.
pub(super) fn of_row(name: Option<String>, is_demanded: bool) -> Result<Option<Pool>> {
    let Some(name) = name else {
        return Ok(None);
    };
    Ok(Some(Pool {
        project: project_of(&name)?,
        is_demanded,
    }))
}

/// Counts what a new task waits for. On PostgreSQL those tasks are locked first: who ends one now
/// either was committed before and is seen, or sees the new edges.
pub(crate) async fn count_dependencies(
    session: &mut impl Session,
    task: TaskId,
) -> failure::Result<()> {
    const ACTION: &str = "count what a task waits for";
    let backend = session.backend();
    let values: [Value; 1] = [task.uuid().into()];
    if backend == DbBackend::Postgres {
        let lock = "SELECT count(*) FROM (SELECT id FROM tasks
                      WHERE id IN (SELECT depends_on FROM task_dependencies WHERE task_id = $1)
                      ORDER BY id FOR SHARE) AS needed";
        let lock = Statement::from_sql_and_values(backend, lock, values.clone());
        session.number(ACTION, lock).await?;
    }
    let count = "UPDATE tasks SET unmet_dependencies =
                   (SELECT count(*) FROM task_dependencies JOIN tasks needed ON needed.id = depends_on
                    WHERE task_id = $1 AND needed.state <> 'completed')
                 WHERE id = $1";
    let count = Statement::from_sql_and_values(backend, count, values);
    session.execute(ACTION, count).await.map(|_| ())
}

/// Lets the tasks of the pool be claimed whose time has come.
pub(crate) async fn wake(session: &mut impl Session) -> failure::Result<()> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE tasks SET not_before = NULL, wait_reason = NULL, lease_owner = NULL,
           lease_until = NULL, version = version + 1
         WHERE {WAITING} AND not_before <= {}",
        Dialect::from(backend).now_ms()
    );
    let wake = Statement::from_string(backend, sql);
    session.execute("wake tasks", wake).await.map(|_| ())
}

#[derive(FromQueryResult)]
struct QueueRow {
    pool: String,
    capability_key: String,
}

#[derive(FromQueryResult)]
struct EdgeRow {
    task_id: Uuid,
    depends_on: Uuid,
}

#[async_trait]
impl PoolReader for SqlStore {
    async fn pool_queues(&self) -> Result<Vec<PoolQueue>> {
        const ACTION: &str = "look at the queues of the pool";
        let sql = format!(
            "SELECT DISTINCT pool, capability_key FROM tasks WHERE {READY} AND {OPEN}
             UNION SELECT DISTINCT pool, capability_key FROM tasks WHERE {READY} AND {GIVEN}
             UNION SELECT DISTINCT pool, capability_key FROM tasks WHERE {BLOCKED}
             UNION SELECT DISTINCT pool, capability_key FROM tasks WHERE {WAITING}"
        );
        let query = Statement::from_string(self.reader().get_database_backend(), sql);
        let rows = QueueRow::find_by_statement(query).all(self.reader()).await;
        let mut queues = Vec::new();
        for row in rows.map_err(trying(ACTION))? {
            queues.push(PoolQueue {
                project: project_of(&row.pool)?,
                capabilities: CapabilitySet::of_key(&row.capability_key),
            });
        }
        Ok(queues)
    }

    async fn pool_given(&self, limit: u32) -> Result<Vec<AgentId>> {
        let ids: Vec<Uuid> = table::Entity::find()
            .select_only()
            .column(table::Column::AgentId)
            .distinct()
            .filter(Expr::cust(format!("{READY} AND {GIVEN}")))
            .limit(u64::from(limit))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(trying("look whom tasks were given to"))?;
        Ok(ids.into_iter().map(AgentId::from_uuid).collect())
    }

    async fn pool_due_in(&self) -> Result<Option<Duration>> {
        const ACTION: &str = "look when a task of the pool is due";
        let query = due_in(self.reader().get_database_backend());
        let [due_in] = self.reader().numbers(ACTION, query).await?;
        Ok(due_in.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
    }

    async fn pool_awaited(&self, limit: u32) -> Result<Vec<TaskId>> {
        let ids: Vec<Uuid> = edge::Entity::find()
            .select_only()
            .column(edge::Column::DependsOn)
            .distinct()
            .filter(Expr::cust(format!(
                "task_id IN (SELECT id FROM tasks WHERE {BLOCKED})
                 AND depends_on IN (SELECT id FROM tasks WHERE state <> 'completed')"
            )))
            .limit(u64::from(limit))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(trying("look what the pool waits for"))?;
        Ok(ids.into_iter().map(TaskId::from_uuid).collect())
    }

    async fn pool_doomed(&self, ended: Option<TaskId>, limit: u32) -> Result<Vec<(Task, Task)>> {
        const ACTION: &str = "look what will never be ready";
        let backend = self.reader().get_database_backend();
        let (of_one, values) = match ended {
            Some(task) => (" AND depends_on = $1", vec![Value::from(task.uuid())]),
            None => ("", Vec::new()),
        };
        let sql = format!(
            "SELECT task_id, min(depends_on{cast}){back} AS depends_on FROM task_dependencies
             WHERE task_id IN (SELECT id FROM tasks WHERE {BLOCKED}) AND depends_on IN
               (SELECT id FROM tasks WHERE state IN ('failed', 'cancelled')){of_one}
             GROUP BY task_id LIMIT {limit}",
            cast = if backend == DbBackend::Postgres {
                "::text"
            } else {
                ""
            },
            back = if backend == DbBackend::Postgres {
                "::uuid"
            } else {
                ""
            },
        );
        let query = Statement::from_sql_and_values(backend, sql, values);
        let edges = EdgeRow::find_by_statement(query).all(self.reader()).await;
        let mut doomed = Vec::new();
        for EdgeRow {
            task_id,
            depends_on,
        } in edges.map_err(trying(ACTION))?
        {
            let task: Task = self.get(TaskId::from_uuid(task_id)).await?;
            let needed: Task = self.get(TaskId::from_uuid(depends_on)).await?;
            doomed.push((task, needed));
        }
        Ok(doomed)
    }

    async fn dependents(&self, task: TaskId, limit: u32) -> Result<Vec<Task>> {
        let ids: Vec<Uuid> = edge::Entity::find()
            .select_only()
            .column(edge::Column::TaskId)
            .filter(edge::Column::DependsOn.eq(task.uuid()))
            .order_by_asc(edge::Column::TaskId)
            .limit(u64::from(limit))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(trying("look what needs a task"))?;
        let query = table::Entity::find()
            .filter(table::Column::Id.is_in(ids))
            .order_by_asc(table::Column::Id);
        let rows = self.reader().list("look what needs a task", query).await?;
        rows.into_iter().map(Task::from_row).collect()
    }
}

/// The milliseconds until the first task of the pool is due that waits for its time.
fn due_in(backend: DbBackend) -> Statement {
    let now = Dialect::from(backend).now_ms();
    let sql = format!("SELECT (SELECT min(not_before) FROM tasks WHERE {WAITING}) - {now}");
    Statement::from_string(backend, sql)
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::due_in;
    use crate::plan::plan_of;

    #[tokio::test]
    async fn a_look_for_the_first_that_is_due_reads_no_task_that_is_ready() {
        let plan = plan_of(due_in(DbBackend::Sqlite), &["tasks"]).await;
        assert_eq!(
            plan,
            ["SEARCH tasks USING INDEX pool_waiting (not_before>?)"]
        );
    }
}
