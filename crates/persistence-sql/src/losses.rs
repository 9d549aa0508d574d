//! Leases on tasks that ran out before their worker was done: what a poisonous task leaves behind.

use fusion_core::{NodeId, TaskId, Timestamp};
use fusion_persistence::{Fence, Loss, Result};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};

use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::failure;
use crate::session::Session;
use crate::store::signed;

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "task_losses")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub fence: i64,
        pub node: Option<Uuid>,
        pub at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Keeps in mind that the lease on a task at work ran out, before the task goes back or ends.
pub(crate) async fn note(session: &mut impl Session, fence: Fence) -> failure::Result<()> {
    let backend = session.backend();
    let sql = format!(
        "INSERT INTO task_losses (task_id, fence, node, at)
         SELECT id, fence, lease_owner, {} FROM tasks
         WHERE id = $1 AND fence = $2 AND state = 'running'
         ON CONFLICT DO NOTHING",
        Dialect::from(backend).now_ms()
    );
    let values: [Value; 2] = [fence.task.uuid().into(), signed(fence.number).into()];
    let statement = Statement::from_sql_and_values(backend, sql, values);
    session.execute("note a lost lease", statement).await?;
    Ok(())
}

const ACTION: &str = "look for lost leases";

/// The leases that a task lost, the oldest first.
pub(crate) async fn of(reader: &impl ConnectionTrait, task: TaskId) -> Result<Vec<Loss>> {
    let sql = "SELECT task_losses.node, nodes.name, task_losses.at FROM task_losses
               LEFT JOIN nodes ON nodes.id = task_losses.node
               WHERE task_id = $1 ORDER BY fence";
    let backend = reader.get_database_backend();
    let query = Statement::from_sql_and_values(backend, sql, [task.uuid().into()]);
    let rows = reader.query_all_raw(query).await.map_err(trying(ACTION))?;
    rows.iter().map(|row| loss(task, row)).collect()
}

fn loss(task: TaskId, row: &QueryResult) -> Result<Loss> {
    let node: Option<Uuid> = row.try_get_by_index(0).map_err(trying(ACTION))?;
    let at: i64 = row.try_get_by_index(2).map_err(trying(ACTION))?;
    Ok(Loss {
        task,
        node: node.map(NodeId::from_uuid),
        node_name: row.try_get_by_index(1).map_err(trying(ACTION))?,
        at: Timestamp::from_timestamp_millis(at).ok_or_else(|| corrupt("time of a loss"))?,
    })
}
