//! Tasks and their edges.

use async_trait::async_trait;
use fusion_core::{AgentId, CancelReason, NodeId, RunId, Task, TaskId, TaskState, WorkflowId};
use fusion_persistence::{Error, Fence, Result, TaskReader};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::json;

use crate::error::{corrupt, trying, unreadable};
use crate::store::{SqlStore, expect_one, signed, unsigned};
use crate::usage::Columns;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tasks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub description: String,
        pub agent_id: Option<Uuid>,
        pub priority: i32,
        pub required_capabilities: Json,
        pub capability_key: String,
        pub state: String,
        pub queued_at: DateTimeUtc,
        pub started_at: Option<DateTimeUtc>,
        pub completed_at: Option<DateTimeUtc>,
        pub dependencies: Json,
        pub unmet_dependencies: i32,
        pub input_artifacts: Json,
        pub output_artifacts: Option<Json>,
        pub error_message: Option<String>,
        pub cancel_reason: Option<String>,
        pub communication_channels: Json,
        pub workflow_id: Option<Uuid>,
        pub run_id: Uuid,
        pub fence: i64,
        pub lease_owner: Option<Uuid>,
        pub lease_until: Option<i64>,
        pub attempts: i32,
        pub turns: i64,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost_picos: i64,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod edge {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "task_dependencies")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub depends_on: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Edges in one insert: far below SQLite's 32,766 bound values.
const EDGES_PER_INSERT: usize = 500;

/// Names in one query: far below SQLite's 32,766 bound values.
const NAMES_PER_QUERY: usize = 500;

fn to_row(task: &Task) -> Result<table::Model> {
    Ok(table::Model {
        id: task.id.uuid(),
        name: task.name.clone(),
        description: task.description.clone(),
        agent_id: task.agent_id.map(AgentId::uuid),
        priority: task.priority,
        required_capabilities: json!(task.required_capabilities),
        capability_key: task.required_capabilities.key(),
        state: task.state.as_str().to_owned(),
        queued_at: task.queued_at,
        started_at: task.started_at,
        completed_at: task.completed_at,
        dependencies: json!(task.dependencies),
        unmet_dependencies: i32::try_from(task.unmet_dependencies)
            .map_err(|_| corrupt("task dependencies"))?,
        input_artifacts: task.input_artifacts.clone(),
        output_artifacts: task.output_artifacts.clone(),
        error_message: task.error_message.clone(),
        cancel_reason: task.cancel_reason.map(|reason| reason.as_str().to_owned()),
        communication_channels: json!(task.communication_channels),
        workflow_id: task.workflow_id.map(WorkflowId::uuid),
        run_id: task.run_id.uuid(),
        fence: signed(task.fence),
        lease_owner: None,
        lease_until: None,
        attempts: i32::try_from(task.attempts).map_err(|_| corrupt("task attempts"))?,
        turns: signed(task.usage.turns),
        input_tokens: signed(task.usage.input_tokens),
        output_tokens: signed(task.usage.output_tokens),
        cost_picos: task.usage.cost.picos(),
        version: 1,
    })
}

pub(crate) fn from_row(row: table::Model) -> Result<Task> {
    let usage = Columns {
        turns: row.turns,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cost_picos: row.cost_picos,
    };
    let cancel_reason = row
        .cancel_reason
        .map(|text| CancelReason::from_text(&text).ok_or_else(|| corrupt("task cancel_reason")))
        .transpose()?;
    Ok(Task {
        id: TaskId::from_uuid(row.id),
        name: row.name,
        description: row.description,
        agent_id: row.agent_id.map(AgentId::from_uuid),
        priority: row.priority,
        required_capabilities: serde_json::from_value(row.required_capabilities)
            .map_err(unreadable("task capabilities"))?,
        state: TaskState::from_text(&row.state).ok_or_else(|| corrupt("task state"))?,
        queued_at: row.queued_at,
        started_at: row.started_at,
        completed_at: row.completed_at,
        dependencies: serde_json::from_value(row.dependencies)
            .map_err(unreadable("task dependencies"))?,
        unmet_dependencies: u32::try_from(row.unmet_dependencies)
            .map_err(|_| corrupt("task dependencies"))?,
        input_artifacts: row.input_artifacts,
        output_artifacts: row.output_artifacts,
        error_message: row.error_message,
        cancel_reason,
        communication_channels: serde_json::from_value(row.communication_channels)
            .map_err(unreadable("task channels"))?,
        workflow_id: row.workflow_id.map(WorkflowId::from_uuid),
        run_id: RunId::from_uuid(row.run_id),
        fence: unsigned(row.fence, "task fence")?,
        attempts: u32::try_from(row.attempts).map_err(|_| corrupt("task attempts"))?,
        usage: usage.usage("task usage")?,
        version: unsigned(row.version, "task row version")?,
    })
}

pub(crate) async fn create(conn: &impl ConnectionTrait, task: Task) -> Result<()> {
    let row: table::ActiveModel = to_row(&task)?.into();
    table::Entity::insert(row)
        .exec_without_returning(conn)
        .await
        .map_err(trying("store a task"))?;
    for needs in task.dependencies.chunks(EDGES_PER_INSERT) {
        let edges = needs.iter().map(|need| edge::ActiveModel {
            depends_on: Set(need.uuid()),
            task_id: Set(task.id.uuid()),
        });
        edge::Entity::insert_many(edges)
            .exec_without_returning(conn)
            .await
            .map_err(trying("store a task's dependencies"))?;
    }
    Ok(())
}

pub(crate) async fn update(conn: &impl ConnectionTrait, task: Task) -> Result<()> {
    let (id, read_at) = (task.id, signed(task.version));
    let mut change = table::ActiveModel {
        agent_id: Set(task.agent_id.map(AgentId::uuid)),
        priority: Set(task.priority),
        state: Set(task.state.as_str().to_owned()),
        started_at: Set(task.started_at),
        completed_at: Set(task.completed_at),
        input_artifacts: Set(task.input_artifacts),
        output_artifacts: Set(task.output_artifacts),
        error_message: Set(task.error_message),
        cancel_reason: Set(task.cancel_reason.map(|reason| reason.as_str().to_owned())),
        attempts: Set(i32::try_from(task.attempts).map_err(|_| corrupt("task attempts"))?),
        version: Set(read_at + 1),
        ..Default::default()
    };
    if task.state.is_final() {
        change.lease_owner = Set(None);
        change.lease_until = Set(None);
    }
    let written = table::Entity::update_many()
        .set(change)
        .filter(table::Column::Id.eq(id.uuid()))
        .filter(table::Column::Version.eq(read_at))
        .exec(conn)
        .await
        .map_err(trying("update a task"))?;
    expect_one(written.rows_affected, "task", &id)
}

/// One dependency less for each task that waits for `ended`: two statements whatever their number.
pub(crate) async fn release_successors(conn: &impl ConnectionTrait, ended: TaskId) -> Result<()> {
    let waiting = Query::select()
        .column(edge::Column::TaskId)
        .from(edge::Entity)
        .and_where(edge::Column::DependsOn.eq(ended.uuid()))
        .to_owned();
    table::Entity::update_many()
        .col_expr(
            table::Column::UnmetDependencies,
            Expr::col(table::Column::UnmetDependencies).sub(1),
        )
        .filter(table::Column::Id.in_subquery(waiting))
        .exec(conn)
        .await
        .map_err(trying("release a task's successors"))?;
    Ok(())
}

fn leased() -> [&'static str; 2] {
    [TaskState::Assigned.as_str(), TaskState::Running.as_str()]
}

/// Refuses the batch unless the lease holds.
pub(crate) async fn check_fence(conn: &impl ConnectionTrait, fence: Fence) -> Result<()> {
    let held: Option<i64> = table::Entity::find_by_id(fence.task.uuid())
        .select_only()
        .column(table::Column::Fence)
        .filter(table::Column::Fence.eq(signed(fence.number)))
        .filter(table::Column::State.is_in(leased()))
        .into_tuple()
        .one(conn)
        .await
        .map_err(trying("check a lease"))?;
    held.map(|_| ()).ok_or(Error::Fenced { task: fence.task })
}

/// Back to the queue, out of reach of the worker that had it.
pub(crate) async fn requeue(conn: &impl ConnectionTrait, fence: Fence) -> Result<()> {
    let change = table::ActiveModel {
        state: Set(TaskState::Queued.as_str().to_owned()),
        fence: Set(signed(fence.number) + 1),
        lease_owner: Set(None),
        lease_until: Set(None),
        ..Default::default()
    };
    let written = table::Entity::update_many()
        .set(change)
        .col_expr(
            table::Column::Version,
            Expr::col(table::Column::Version).add(1),
        )
        .filter(table::Column::Id.eq(fence.task.uuid()))
        .filter(table::Column::Fence.eq(signed(fence.number)))
        .exec(conn)
        .await
        .map_err(trying("give a task back"))?;
    expect_one(written.rows_affected, "task", &fence.task)
}

#[async_trait]
impl TaskReader for SqlStore {
    async fn task(&self, id: TaskId) -> Result<Task> {
        table::Entity::find_by_id(id.uuid())
            .one(self.reader())
            .await
            .map_err(trying("read a task"))?
            .map_or_else(
                || {
                    Err(Error::NotFound {
                        entity: "task",
                        id: id.to_string(),
                    })
                },
                from_row,
            )
    }

    async fn tasks_of_run(&self, run: RunId) -> Result<Vec<Task>> {
        table::Entity::find()
            .filter(table::Column::RunId.eq(run.uuid()))
            .order_by_asc(table::Column::Id)
            .all(self.reader())
            .await
            .map_err(trying("list tasks"))?
            .into_iter()
            .map(from_row)
            .collect()
    }

    async fn tasks_named(&self, run: RunId, names: &[String]) -> Result<Vec<Task>> {
        let mut found = Vec::with_capacity(names.len());
        for some in names.chunks(NAMES_PER_QUERY) {
            let rows = table::Entity::find()
                .filter(table::Column::RunId.eq(run.uuid()))
                .filter(table::Column::Name.is_in(some))
                .all(self.reader())
                .await
                .map_err(trying("read tasks"))?;
            for row in rows {
                found.push(from_row(row)?);
            }
        }
        Ok(found)
    }

    async fn has_ready_task(&self, run: RunId) -> Result<bool> {
        let ready: Option<i64> = table::Entity::find()
            .select_only()
            .column(table::Column::Fence)
            .filter(table::Column::RunId.eq(run.uuid()))
            .filter(table::Column::State.eq(TaskState::Queued.as_str()))
            .filter(table::Column::UnmetDependencies.eq(0))
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(trying("look for ready tasks"))?;
        Ok(ready.is_some())
    }

    async fn tasks_held_by_others(&self, node: NodeId) -> Result<Vec<Task>> {
        table::Entity::find()
            .filter(table::Column::State.is_in(leased()))
            .filter(table::Column::LeaseOwner.ne(node.uuid()))
            .order_by_asc(table::Column::Id)
            .all(self.reader())
            .await
            .map_err(trying("list tasks of dead processes"))?
            .into_iter()
            .map(from_row)
            .collect()
    }
}
