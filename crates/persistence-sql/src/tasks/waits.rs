//! Tasks that nobody may claim before a time, by the database's clock.
//!
//! A waiting task is in none of the indexes of ready tasks: it costs a claim nothing, however many
//! there are. Somebody who looks after its run wakes it when its time has come.

use std::time::Duration;

use fusion_core::{RunId, TaskId, TaskWait, Timestamp};
use fusion_persistence::{Queue, Result};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use crate::claim::READY;
use crate::dialect::Dialect;
use crate::error::corrupt;
use crate::failure;
use crate::readers::Readers;
use crate::session::Session;
use crate::store::expect_one;
use crate::table::stored_as;

/// Who waits for longer waits for a person: 50 years, in milliseconds.
const FOR_A_PERSON_MS: i64 = 50 * 365 * 24 * 60 * 60 * 1_000;

/// Waiting tasks, as the index `tasks_waiting` holds them.
pub(super) const WAITING: &str = "(state = 'queued' AND not_before IS NOT NULL)";

/// The wait in a row.
pub(super) fn of_row(not_before: Option<i64>, reason: Option<String>) -> Result<Option<TaskWait>> {
    let Some(until) = not_before else {
        return Ok(None);
    };
    let until = Timestamp::from_timestamp_millis(until);
    Ok(Some(TaskWait {
        until: until.ok_or_else(|| corrupt("task not_before"))?,
        reason: reason.unwrap_or_default(),
    }))
}

/// Lets nobody claim a queued task for a while.
pub(crate) async fn postpone(
    session: &mut impl Session,
    task: TaskId,
    wait: Duration,
    reason: &str,
) -> failure::Result<()> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE tasks SET not_before = {} + $2, wait_reason = $3, version = version + 1
         WHERE id = $1 AND state = 'queued'",
        Dialect::from(backend).now_ms()
    );
    let values: [Value; 3] = [task.uuid().into(), millis(wait)?.into(), stored_as(reason)];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    let written = session.execute("postpone a task", statement).await?;
    Ok(expect_one(written, "task", &task)?)
}

/// Lets the tasks of a run be claimed whose time has come, or all that wait.
pub(crate) async fn wake(
    session: &mut impl Session,
    run: RunId,
    early: bool,
) -> failure::Result<()> {
    let backend = session.backend();
    let now = Dialect::from(backend).now_ms();
    let due = if early {
        format!(" AND not_before <= {now} + {FOR_A_PERSON_MS}")
    } else {
        format!(" AND not_before <= {now}")
    };
    let sql = format!(
        "UPDATE tasks SET not_before = NULL, wait_reason = NULL, lease_owner = NULL,
           lease_until = NULL, version = version + 1
         WHERE run_id = $1 AND {WAITING}{due}"
    );
    let statement = Statement::from_sql_and_values(backend, sql, [run.uuid().into()]);
    session.execute("wake tasks", statement).await.map(|_| ())
}

/// Lets a task be claimed, whatever it waits for.
pub(crate) async fn wake_task(session: &mut impl Session, task: TaskId) -> failure::Result<()> {
    let sql = format!(
        "UPDATE tasks SET not_before = NULL, wait_reason = NULL, lease_owner = NULL,
           lease_until = NULL, version = version + 1
         WHERE id = $1 AND {WAITING}"
    );
    let backend = session.backend();
    let statement = Statement::from_sql_and_values(backend, sql, [task.uuid().into()]);
    session.execute("wake a task", statement).await.map(|_| ())
}

/// Keeps in the waiting tasks of a run who looks after them, and until when.
pub(crate) async fn watch(
    session: &mut impl Session,
    run: RunId,
    owner: fusion_core::NodeId,
    lease: Duration,
) -> failure::Result<()> {
    let backend = session.backend();
    let sql = format!(
        "UPDATE tasks SET lease_owner = $2, lease_until = {} + $3 WHERE run_id = $1 AND {WAITING}",
        Dialect::from(backend).now_ms()
    );
    let values: [Value; 3] = [
        run.uuid().into(),
        owner.uuid().into(),
        millis(lease)?.into(),
    ];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    session.execute("watch tasks", statement).await.map(|_| ())
}

/// What waits in the queue of a run.
pub(super) async fn queue_of(readers: &Readers, run: RunId) -> Result<Queue> {
    let query = look(readers.get_database_backend(), run);
    let [ready, due_in] = readers.numbers("look at the queue of a run", query).await?;
    Ok(Queue {
        ready: u32::try_from(ready.unwrap_or_default()).unwrap_or(u32::MAX),
        due_in: due_in.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))),
    })
}

fn look(backend: DbBackend, run: RunId) -> Statement {
    let sql = format!(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM tasks WHERE run_id = $1 AND {READY} LIMIT {counted}) AS ready),
           (SELECT min(not_before) FROM tasks WHERE run_id = $1 AND {WAITING}) - {now}",
        counted = Queue::COUNTED,
        now = Dialect::from(backend).now_ms()
    );
    Statement::from_sql_and_values(backend, sql, [run.uuid().into()])
}

fn millis(wait: Duration) -> Result<i64> {
    i64::try_from(wait.as_millis()).map_err(|_| corrupt("wait"))
}

#[cfg(test)]
mod tests {
    use fusion_core::RunId;
    use sea_orm::DbBackend;
    use uuid::Uuid;

    use super::look;
    use crate::plan::plan_of;

    #[tokio::test]
    async fn a_look_at_the_queue_of_a_run_reads_no_task_of_another() {
        let look = look(DbBackend::Sqlite, RunId::from_uuid(Uuid::nil()));
        assert_eq!(
            plan_of(look, &["tasks"]).await,
            [
                "SEARCH tasks USING INDEX tasks_ready (run_id=?)",
                "SEARCH tasks USING COVERING INDEX tasks_waiting (run_id=? AND not_before>?)",
            ]
        );
    }
}
