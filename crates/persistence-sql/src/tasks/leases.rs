//! Leases on tasks: by what right their rows are written, and how they go back to the queue.

use fusion_core::{Task, TaskState};
use fusion_persistence::{Error, Fence};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Statement, Value,
};

use super::table;
use crate::dialect::Dialect;
use crate::failure;
use crate::losses;
use crate::session::Session;
use crate::store::signed;
use crate::text::Text;

const fn leased() -> [&'static str; 2] {
    [TaskState::Assigned.as_str(), TaskState::Running.as_str()]
}

/// What nobody may change of a task that is leased ([`Task::prioritise`]).
const SAME: [table::Column; 1] = [table::Column::Priority];

/// Writes a task as long as the lease holds.
pub(crate) async fn update_leased(
    session: &mut impl Session,
    task: &Task,
    fence: Fence,
) -> failure::Result<()> {
    let held = |text: Text| {
        text.words(" AND fence = ")
            .value(signed(fence.number))
            .words(" AND state IN (")
            .values(leased().map(Value::from))
            .words(")")
    };
    crate::table::update_if(session, task, &SAME, held).await
}

/// Refuses the batch unless the lease holds.
pub(crate) async fn check_fence(session: &mut impl Session, fence: Fence) -> failure::Result<()> {
    if is_fence_off() {
        return Ok(());
    }
    let backend = session.backend();
    let mut held = table::Entity::find_by_id(fence.task.uuid())
        .select_only()
        .column(table::Column::Fence)
        .filter(table::Column::Fence.eq(signed(fence.number)))
        .filter(table::Column::State.is_in(leased()));
    if backend == DbBackend::Postgres {
        // Nobody may take the task away before this batch is committed.
        held = held.lock_exclusive();
    }
    let found = session.number("check a lease", held.build(backend)).await?;
    found
        .map(|_| ())
        .ok_or_else(|| Error::Fenced { task: fence.task }.into())
}

/// Refuses the batch unless the lease has run out and nobody took the task back yet: the decision ends
/// it.
pub(crate) async fn check_expired(session: &mut impl Session, fence: Fence) -> failure::Result<()> {
    let backend = session.backend();
    let dialect = Dialect::from(backend);
    let lock = match dialect {
        Dialect::Postgres => " FOR UPDATE",
        Dialect::Sqlite => "",
    };
    let sql = format!(
        "SELECT fence FROM tasks WHERE id = $1 AND fence = $2 AND state IN ('assigned', 'running')
           AND lease_until < {}{lock}",
        dialect.now_ms()
    );
    let values: [Value; 2] = [fence.task.uuid().into(), signed(fence.number).into()];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    match session.number("check a lease", statement).await? {
        Some(_) => losses::note(session, fence).await,
        None => Err(Error::Fenced { task: fence.task }.into()),
    }
}

/// By what right a task goes back to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requeue {
    /// Its worker gives it back.
    ByHolder,
    /// Its lease has run out.
    WhenExpired,
}

/// Back to the queue, out of reach of the worker that had it.
pub(crate) async fn requeue(
    session: &mut impl Session,
    fence: Fence,
    right: Requeue,
) -> failure::Result<()> {
    let backend = session.backend();
    if right == Requeue::WhenExpired {
        losses::note(session, fence).await?;
    }
    let expired = match right {
        Requeue::ByHolder => String::new(),
        Requeue::WhenExpired => format!(" AND lease_until < {}", Dialect::from(backend).now_ms()),
    };
    let sql = format!(
        "UPDATE tasks SET state = 'queued', fence = fence + 1, version = version + 1,
           lease_owner = NULL, lease_until = NULL
         WHERE id = $1 AND fence = $2 AND state IN ('assigned', 'running'){expired}"
    );
    let values: [Value; 2] = [fence.task.uuid().into(), signed(fence.number).into()];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    match session.execute("give a task back", statement).await? {
        1 => Ok(()),
        _ => Err(Error::Fenced { task: fence.task }.into()),
    }
}

/// For the controls of the storms only: a test that passes without the fence proves nothing. Rows are
/// written by their ids alone then: a version that was read, or a number in a journal, would refuse
/// most of what comes too late as well.
pub(crate) fn is_fence_off() -> bool {
    fail::fail_point!("persistence_sql::fence_off", |_| true);
    false
}
