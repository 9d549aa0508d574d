//! Tasks, their edges and their leases.

pub(crate) mod items;
mod leases;
pub(crate) mod pool;
pub(crate) mod waits;
pub(crate) mod work;

pub(crate) use leases::{
    Requeue, check_expired, check_fence, is_fence_off, requeue, update_leased,
};

use async_trait::async_trait;
use fusion_core::{
    AgentId, CancelReason, Course, Run, RunId, StateMachine, Task, TaskId, TaskState, WorkflowId,
};
use fusion_persistence::{Find, Progress, Result, TaskFilter, TaskReader};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Statement, Value,
};

use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::failure;
use crate::json;
use crate::session::Session;
use crate::store::{SqlStore, signed, unsigned};
use crate::table::{Col, Stored, Versioned, any_of, create, exactly, refused, stored_as};
use crate::text;
use crate::usage::Columns;
use crate::{run_leases, runs};

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
        #[sea_orm(column_type = "Text")]
        pub description: String,
        pub agent_id: Option<Uuid>,
        pub priority: i32,
        #[sea_orm(column_type = "Text")]
        pub required_capabilities: String,
        #[sea_orm(column_type = "Text")]
        pub capability_key: String,
        pub state: String,
        pub queued_at: DateTimeUtc,
        pub started_at: Option<DateTimeUtc>,
        pub completed_at: Option<DateTimeUtc>,
        #[sea_orm(column_type = "Text")]
        pub dependencies: String,
        pub unmet_dependencies: i32,
        #[sea_orm(column_type = "Text")]
        pub input_artifacts: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub output_artifacts: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub error_message: Option<String>,
        pub cancel_reason: Option<String>,
        #[sea_orm(column_type = "Text")]
        pub communication_channels: String,
        pub workflow_id: Option<Uuid>,
        pub run_id: Uuid,
        pub fence: i64,
        pub lease_owner: Option<Uuid>,
        pub lease_until: Option<i64>,
        pub attempts: i32,
        pub not_before: Option<i64>,
        #[sea_orm(column_type = "Text", nullable)]
        pub wait_reason: Option<String>,
        pub fan_out_id: Option<Uuid>,
        pub item_index: Option<i32>,
        #[sea_orm(column_type = "Text", nullable)]
        pub course: Option<String>,
        pub pool: Option<String>,
        pub demanded: bool,
        pub pool_rank: i64,
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

/// Tasks in one insert: 34 values each, far below SQLite's 32,766 bound values.
const TASKS_PER_INSERT: usize = 200;

/// Names in one query: far below SQLite's 32,766 bound values.
const NAMES_PER_QUERY: usize = 500;

impl Stored for Task {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[
        table::Column::Name,
        table::Column::Description,
        table::Column::RequiredCapabilities,
        table::Column::CapabilityKey,
        table::Column::QueuedAt,
        table::Column::Dependencies,
        table::Column::UnmetDependencies,
        table::Column::CommunicationChannels,
        table::Column::WorkflowId,
        table::Column::RunId,
        table::Column::Fence,
        table::Column::LeaseOwner,
        table::Column::LeaseUntil,
        table::Column::NotBefore,
        table::Column::WaitReason,
        table::Column::FanOutId,
        table::Column::ItemIndex,
        table::Column::Pool,
        table::Column::Demanded,
        table::Column::Turns,
        table::Column::InputTokens,
        table::Column::OutputTokens,
        table::Column::CostPicos,
    ];

    fn to_row(&self) -> Result<table::Model> {
        let item = self.course.item.as_ref();
        let index = item.map(|item| i32::try_from(item.index)).transpose();
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            description: self.description.clone(),
            agent_id: self.agent_id.map(AgentId::uuid),
            priority: self.priority,
            required_capabilities: json::to_text("task capabilities", &self.required_capabilities)?,
            capability_key: self.required_capabilities.key(),
            state: self.state.as_str().to_owned(),
            queued_at: self.queued_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            dependencies: json::to_text("task dependencies", &self.dependencies)?,
            unmet_dependencies: i32::try_from(self.unmet_dependencies)
                .map_err(|_| corrupt("task dependencies"))?,
            input_artifacts: json::to_text("task inputs", &self.input_artifacts)?,
            output_artifacts: json::to_text_option("task outputs", self.output_artifacts.as_ref())?,
            error_message: self.error_message.clone(),
            cancel_reason: self.cancel_reason.map(|reason| reason.as_str().to_owned()),
            communication_channels: json::to_text("task channels", &self.communication_channels)?,
            workflow_id: self.workflow_id.map(WorkflowId::uuid),
            run_id: self.run_id.uuid(),
            fence: signed(self.fence),
            lease_owner: None,
            lease_until: None,
            attempts: i32::try_from(self.attempts).map_err(|_| corrupt("task attempts"))?,
            not_before: self.waiting.as_ref().map(|it| it.until.timestamp_millis()),
            wait_reason: self.waiting.as_ref().map(|it| it.reason.clone()),
            fan_out_id: item.map(|item| item.fan_out.uuid()),
            item_index: index.map_err(|_| corrupt("task item"))?,
            course: course_text(&self.course)?,
            pool: self.pool.map(|pool| pool::name_of(pool.project)),
            demanded: self.pool.is_some_and(|pool| pool.is_demanded),
            pool_rank: self.rank(),
            turns: signed(self.usage.turns),
            input_tokens: signed(self.usage.input_tokens),
            output_tokens: signed(self.usage.output_tokens),
            cost_picos: self.usage.cost.picos(),
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
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
        Ok(Self {
            id: TaskId::from_uuid(row.id),
            name: row.name,
            description: row.description,
            agent_id: row.agent_id.map(AgentId::from_uuid),
            priority: row.priority,
            required_capabilities: json::from_text(
                "task capabilities",
                &row.required_capabilities,
            )?,
            state: TaskState::from_text(&row.state).ok_or_else(|| corrupt("task state"))?,
            queued_at: row.queued_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
            dependencies: json::from_text("task dependencies", &row.dependencies)?,
            unmet_dependencies: u32::try_from(row.unmet_dependencies)
                .map_err(|_| corrupt("task dependencies"))?,
            input_artifacts: json::from_text("task inputs", &row.input_artifacts)?,
            output_artifacts: json::from_text_option(
                "task outputs",
                row.output_artifacts.as_ref(),
            )?,
            error_message: row.error_message,
            cancel_reason,
            communication_channels: json::from_text("task channels", &row.communication_channels)?,
            workflow_id: row.workflow_id.map(WorkflowId::from_uuid),
            run_id: RunId::from_uuid(row.run_id),
            fence: unsigned(row.fence, "task fence")?,
            attempts: u32::try_from(row.attempts).map_err(|_| corrupt("task attempts"))?,
            waiting: waits::of_row(row.not_before, row.wait_reason)?,
            course: json::from_text_option("task course", row.course.as_ref())?.unwrap_or_default(),
            pool: pool::of_row(row.pool, row.demanded)?,
            usage: usage.usage("task usage")?,
            version: unsigned(row.version, "task row version")?,
        })
    }

    fn condition(filter: &TaskFilter) -> Condition {
        let states = filter.states.iter().map(|state| state.as_str());
        let condition = any_of(Condition::all(), table::Column::State, states);
        let agent = filter.agent.map(AgentId::uuid);
        let condition = exactly(condition, table::Column::AgentId, agent);
        let workflow = filter.workflow.map(WorkflowId::uuid);
        let condition = exactly(condition, table::Column::WorkflowId, workflow);
        let condition = exactly(condition, table::Column::RunId, filter.run.map(RunId::uuid));
        let pool = filter.pool.map(pool::name_of);
        exactly(condition, table::Column::Pool, pool)
    }

    /// An agent has few tasks that have not ended.
    fn is_selected_by_key(filter: &TaskFilter) -> bool {
        let is_open = |state: &TaskState| !state.is_final();
        filter.agent.is_some() && !filter.states.is_empty() && filter.states.iter().all(is_open)
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    /// Its edges.
    fn attached(&self, backend: DbBackend) -> Vec<Statement> {
        let edges: Vec<edge::Model> = edges(self).collect();
        edges
            .chunks(EDGES_PER_INSERT)
            .map(|some| text::insert::<edge::Entity>(backend, some))
            .collect()
    }
}

impl Versioned for Task {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }

    fn state(&self) -> Option<(Col<Self>, &'static str, Vec<&'static str>)> {
        Some((
            table::Column::State,
            self.state.as_str(),
            self.state.before(),
        ))
    }
}

/// Writes new tasks, then their edges, with few statements.
pub(crate) async fn create_many(
    session: &mut impl Session,
    tasks: &[&Task],
) -> failure::Result<()> {
    if let [only] = tasks {
        return create(session, *only).await;
    }
    let backend = session.backend();
    for some in tasks.chunks(TASKS_PER_INSERT) {
        let mut rows = Vec::with_capacity(some.len());
        for task in some {
            rows.push(task.to_row()?);
        }
        let insert = text::insert::<table::Entity>(backend, &rows);
        write_new(session, insert, some).await?;
    }
    let edges: Vec<edge::Model> = tasks.iter().flat_map(|task| edges(task)).collect();
    for some in edges.chunks(EDGES_PER_INSERT) {
        let insert = text::insert::<edge::Entity>(backend, some);
        write_new(session, insert, tasks).await?;
    }
    Ok(())
}

/// A refused statement of many tasks is told of the first.
async fn write_new(
    session: &mut impl Session,
    insert: Statement,
    tasks: &[&Task],
) -> failure::Result<()> {
    let written = session.execute("store tasks", insert).await;
    written.map(|_| ()).map_err(|failure| match tasks.first() {
        Some(first) => refused(failure, *first),
        None => failure,
    })
}

/// What it needs; and an item is needed by the task that was fanned out.
fn edges(task: &Task) -> impl Iterator<Item = edge::Model> {
    let needs = task.dependencies.iter().map(|need| (*need, task.id));
    let item = task.course.item.as_ref();
    let edges = needs.chain(item.map(|item| (task.id, item.fan_out)));
    edges.map(|(need, task)| edge::Model {
        depends_on: need.uuid(),
        task_id: task.uuid(),
    })
}

/// What most tasks have is not written.
fn course_text(course: &Course) -> Result<Option<String>> {
    let course = (*course != Course::default()).then_some(course);
    course
        .map(|course| json::to_text("task course", course))
        .transpose()
}

/// One dependency less for each task that waits for one of `ended`, for each that it waits for: one
/// statement whatever their number.
pub(crate) async fn release_successors(
    session: &mut impl Session,
    ended: &[TaskId],
) -> failure::Result<()> {
    let places: Vec<String> = (1..=ended.len())
        .map(|number| format!("${number}"))
        .collect();
    let sql = format!(
        "UPDATE tasks SET unmet_dependencies = unmet_dependencies - met.count
         FROM (SELECT task_id, count(*) AS count FROM task_dependencies
               WHERE depends_on IN ({}) GROUP BY task_id) AS met
         WHERE id = met.task_id",
        places.join(", ")
    );
    let values = ended.iter().map(|task| Value::from(task.uuid()));
    let release = Statement::from_sql_and_values(session.backend(), sql, values);
    session
        .execute("release the successors of tasks", release)
        .await?;
    Ok(())
}

/// Selects the agents that the tasks of a run were given to.
pub(crate) fn agents_of(run: RunId) -> SelectStatement {
    table::Entity::find()
        .select_only()
        .column(table::Column::AgentId)
        .filter(table::Column::RunId.eq(run.uuid()))
        .filter(table::Column::AgentId.is_not_null())
        .into_query()
}

const LISTING: &str = "list tasks";

/// The tasks of a run, in the order they were created.
fn of_run(run: RunId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::RunId.eq(run.uuid()))
        .order_by_asc(table::Column::Id)
}

#[async_trait]
impl TaskReader for SqlStore {
    async fn tasks_of_run(&self, run: RunId) -> Result<Vec<Task>> {
        let rows = self.reader().rows::<table::Entity>(LISTING, of_run(run));
        rows.await?.into_iter().map(Task::from_row).collect()
    }

    async fn run_with_tasks(&self, run: RunId) -> Result<Option<(Run, Vec<Task>)>> {
        let one = runs::table::Entity::find_by_id(run.uuid());
        let (found, tasks) = self.reader().both(LISTING, one, of_run(run)).await?;
        let Some(found) = found.into_iter().next() else {
            return Ok(None);
        };
        let tasks = tasks.into_iter().map(Task::from_row);
        Ok(Some((Run::from_row(found)?, tasks.collect::<Result<_>>()?)))
    }

    async fn tasks_named(&self, run: RunId, names: &[String]) -> Result<Vec<Task>> {
        let mut found = Vec::with_capacity(names.len());
        for some in names.chunks(NAMES_PER_QUERY) {
            let query = table::Entity::find()
                .filter(table::Column::RunId.eq(run.uuid()))
                .filter(table::Column::Name.is_in(some.iter().map(|name| stored_as(name))));
            for row in self
                .reader()
                .rows::<table::Entity>("read tasks", query)
                .await?
            {
                found.push(Task::from_row(row)?);
            }
        }
        Ok(found)
    }

    async fn downstream(&self, task: TaskId) -> Result<Vec<Task>> {
        items::downstream(self.reader(), task).await
    }

    async fn items_of(&self, fan_out: TaskId) -> Result<Vec<Task>> {
        items::items_of(self.reader(), fan_out).await
    }

    async fn has_failed_item(&self, fan_out: TaskId) -> Result<bool> {
        items::has_failed_item(self.reader(), fan_out).await
    }

    async fn progress_of(&self, run: RunId) -> Result<Option<Progress>> {
        // The run first: what it has open is in its queue, or is done by the time this is read.
        let Some(run) = Find::<Run>::find(self, run).await? else {
            return Ok(None);
        };
        let queue = waits::queue_of(self.reader(), run.id).await?;
        Ok(Some(Progress { run, queue }))
    }

    async fn is_worked_on(&self, run: RunId) -> Result<bool> {
        if let Some(owned) = self.is_owned() {
            return Ok(owned);
        }
        if run_leases::is_driven(self.reader(), run).await? {
            return Ok(true);
        }
        let now = Dialect::from(self.reader().get_database_backend()).now_ms();
        let held: Option<i64> = table::Entity::find()
            .select_only()
            .column(table::Column::Fence)
            .filter(table::Column::RunId.eq(run.uuid()))
            .filter(Expr::cust(format!(
                "(state IN ('assigned', 'running') OR {}) AND lease_until >= {now}",
                waits::WAITING
            )))
            .limit(1)
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(trying("look for leases"))?;
        Ok(held.is_some())
    }

    async fn expired_leases(&self, limit: u32) -> Result<Vec<Task>> {
        let now = Dialect::from(self.reader().get_database_backend()).now_ms();
        let query = table::Entity::find()
            .filter(Expr::cust(format!(
                "state IN ('assigned', 'running') AND lease_until < {now}"
            )))
            .order_by_asc(table::Column::LeaseUntil)
            .limit(u64::from(limit));
        let rows = self
            .reader()
            .list("look for leases that have run out", query)
            .await?;
        rows.into_iter().map(Task::from_row).collect()
    }
}
