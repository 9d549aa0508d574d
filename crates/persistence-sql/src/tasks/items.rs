//! The items of tasks that were fanned out, and the tasks that need another.

use fusion_core::{RunId, Task, TaskId};
use fusion_persistence::Result;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement, Value,
};

use super::table;
use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::failure;
use crate::readers::Readers;
use crate::runs;
use crate::session::Session;
use crate::store::expect_one;
use crate::table::{Stored, columns};

/// A queued task waits for its items, and its run has so many tasks more.
pub(crate) async fn fan_out(
    session: &mut impl Session,
    run: RunId,
    task: TaskId,
    count: u32,
) -> failure::Result<()> {
    let sql = "UPDATE tasks SET unmet_dependencies = unmet_dependencies + $2
               WHERE id = $1 AND state = 'queued'";
    let number = i32::try_from(count).map_err(|_| corrupt("number of items"))?;
    let values: [Value; 2] = [task.uuid().into(), number.into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let written = session.execute("fan a task out", statement).await?;
    expect_one(written, "task", &task)?;
    runs::open_tasks(session, run, count).await
}

/// Lets the next items of a fan-out begin that wait for the end of another. Each is let go by one end
/// only: a writer passes by what another one is about to let go.
pub(crate) async fn release_items(
    session: &mut impl Session,
    fan_out: TaskId,
    count: u32,
) -> failure::Result<()> {
    let dialect = Dialect::from(session.backend());
    let sql = format!(
        "UPDATE tasks SET unmet_dependencies = unmet_dependencies - 1 WHERE id IN (
           SELECT id FROM tasks
           WHERE fan_out_id = $1 AND state = 'queued' AND unmet_dependencies > 0
           ORDER BY item_index LIMIT $2 {})",
        dialect.skip_locked()
    );
    let values: [Value; 2] = [fan_out.uuid().into(), i64::from(count).into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let done = session
        .execute("let items of a list begin", statement)
        .await;
    done.map(|_| ())
}

/// The items of a fan-out, in their order.
pub(super) async fn items_of(reader: &Readers, fan_out: TaskId) -> Result<Vec<Task>> {
    let query = table::Entity::find()
        .filter(table::Column::FanOutId.eq(fan_out.uuid()))
        .order_by_asc(table::Column::ItemIndex);
    let rows = reader.list("read the items of a list", query).await?;
    rows.into_iter().map(Task::from_row).collect()
}

/// Whether an item of a fan-out has failed.
pub(super) async fn has_failed_item(
    reader: &impl ConnectionTrait,
    fan_out: TaskId,
) -> Result<bool> {
    let query = Statement::from_sql_and_values(
        reader.get_database_backend(),
        "SELECT id FROM tasks WHERE fan_out_id = $1 AND state = 'failed' LIMIT 1",
        [fan_out.uuid().into()],
    );
    let found = reader.query_one_raw(query).await;
    Ok(found.map_err(trying("look for failed items"))?.is_some())
}

/// The tasks that need one and have not ended, however many others stand between.
pub(super) async fn downstream(reader: &Readers, task: TaskId) -> Result<Vec<Task>> {
    let sql = format!(
        "WITH RECURSIVE after(id) AS (
           SELECT task_id FROM task_dependencies WHERE depends_on = $1
           UNION
           SELECT edges.task_id FROM task_dependencies edges JOIN after ON edges.depends_on = after.id)
         SELECT {} FROM tasks
         WHERE id IN (SELECT id FROM after) AND state IN ('queued', 'assigned', 'running')
         ORDER BY id",
        columns::<table::Entity>().join(", ")
    );
    let query =
        Statement::from_sql_and_values(reader.get_database_backend(), sql, [task.uuid().into()]);
    let rows = reader
        .rows_by::<table::Entity>("read the tasks that need another", query)
        .await?;
    rows.into_iter().map(Task::from_row).collect()
}
