//! Runs.

use fusion_core::{Parent, Run, RunId, StateMachine, TaskId, WorkflowId, WorkflowState};
use fusion_persistence::{Result, RunFilter};
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, Condition, Statement, Value};

use crate::error::corrupt;
use crate::failure;
use crate::json;
use crate::session::Session;
use crate::store::{expect_one, signed, unsigned};
use crate::table::{Col, Stored, Versioned, any_of, exactly};
use crate::usage::Columns;
use crate::workflows;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "runs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub workflow_id: Uuid,
        pub workflow_name: String,
        pub state: String,
        pub standalone: bool,
        #[sea_orm(column_type = "Text")]
        pub inputs: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub outputs: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub error_message: Option<String>,
        pub total_tasks: i32,
        pub open_tasks: i32,
        pub turns: i64,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost_picos: i64,
        #[sea_orm(column_type = "Text", nullable)]
        pub halt: Option<String>,
        pub continues: Option<Uuid>,
        pub parent_run: Option<Uuid>,
        pub parent_task: Option<Uuid>,
        #[sea_orm(column_type = "Text", nullable)]
        pub parent_step: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub called: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub raised: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub imported: Option<String>,
        pub created_at: DateTimeUtc,
        pub started_at: Option<DateTimeUtc>,
        pub completed_at: Option<DateTimeUtc>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Run {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[
        table::Column::WorkflowId,
        table::Column::WorkflowName,
        table::Column::Standalone,
        table::Column::Inputs,
        table::Column::TotalTasks,
        table::Column::OpenTasks,
        table::Column::Turns,
        table::Column::InputTokens,
        table::Column::OutputTokens,
        table::Column::CostPicos,
        table::Column::Continues,
        table::Column::ParentRun,
        table::Column::ParentTask,
        table::Column::ParentStep,
        table::Column::Called,
        table::Column::Imported,
        table::Column::CreatedAt,
    ];

    fn to_row(&self) -> Result<table::Model> {
        let called = Some(&self.called).filter(|called| !called.is_empty());
        let raised = Some(&self.raised).filter(|raised| !raised.is_empty());
        Ok(table::Model {
            id: self.id.uuid(),
            workflow_id: self.workflow_id.uuid(),
            workflow_name: self.workflow_name.clone(),
            state: self.state.as_str().to_owned(),
            standalone: self.is_standalone,
            inputs: json::to_text("run inputs", &self.inputs)?,
            outputs: json::to_text_option("run outputs", self.outputs.as_ref())?,
            error_message: self.error_message.clone(),
            total_tasks: i32::try_from(self.total_tasks).map_err(|_| corrupt("run total_tasks"))?,
            open_tasks: i32::try_from(self.open_tasks).map_err(|_| corrupt("run open_tasks"))?,
            turns: signed(self.usage.turns),
            input_tokens: signed(self.usage.input_tokens),
            output_tokens: signed(self.usage.output_tokens),
            cost_picos: self.usage.cost.picos(),
            halt: json::to_text_option("run halt", self.halt.as_ref())?,
            continues: self.continues.map(RunId::uuid),
            parent_run: self.parent.as_ref().map(|parent| parent.run_id.uuid()),
            parent_task: self.parent.as_ref().map(|parent| parent.task_id.uuid()),
            parent_step: self.parent.as_ref().map(|parent| parent.step.clone()),
            called: json::to_text_option("run called", called)?,
            raised: json::to_text_option("run raised", raised)?,
            imported: json::to_text_option("run imported", self.imported.as_ref())?,
            created_at: self.created_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
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
        Ok(Self {
            id: RunId::from_uuid(row.id),
            workflow_id: WorkflowId::from_uuid(row.workflow_id),
            workflow_name: row.workflow_name,
            state: WorkflowState::from_text(&row.state).ok_or_else(|| corrupt("run state"))?,
            is_standalone: row.standalone,
            inputs: json::from_text("run inputs", &row.inputs)?,
            outputs: json::from_text_option("run outputs", row.outputs.as_ref())?,
            error_message: row.error_message,
            total_tasks: u32::try_from(row.total_tasks).map_err(|_| corrupt("run total_tasks"))?,
            open_tasks: u32::try_from(row.open_tasks).map_err(|_| corrupt("run open_tasks"))?,
            usage: usage.usage("run usage")?,
            halt: json::from_text_option("run halt", row.halt.as_ref())?,
            continues: row.continues.map(RunId::from_uuid),
            parent: parent(row.parent_run, row.parent_task, row.parent_step)?,
            called: json::from_text_option("run called", row.called.as_ref())?.unwrap_or_default(),
            raised: json::from_text_option("run raised", row.raised.as_ref())?.unwrap_or_default(),
            imported: json::from_text_option("run imported", row.imported.as_ref())?,
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
            version: unsigned(row.version, "run row version")?,
        })
    }

    fn condition(filter: &RunFilter) -> Condition {
        let states = filter.states.iter().map(|state| state.as_str());
        let condition = any_of(Condition::all(), table::Column::State, states);
        let workflow = filter.workflow.map(WorkflowId::uuid);
        let condition = exactly(condition, table::Column::WorkflowId, workflow);
        let name = filter.workflow_name.clone();
        let condition = exactly(condition, table::Column::WorkflowName, name);
        let condition = exactly(condition, table::Column::Standalone, filter.standalone);
        let of_project = filter.project.map(workflows::of_project);
        let of_project = of_project.map(|ids| table::Column::WorkflowId.in_subquery(ids));
        let condition = condition.add_option(of_project);
        let ended = filter.ended_before;
        let ended = ended.map(|before| table::Column::CompletedAt.lt(before));
        let condition = condition.add_option(ended);
        match filter.parent {
            None => condition,
            Some(None) => condition.add(table::Column::ParentRun.is_null()),
            Some(Some(run)) => condition.add(table::Column::ParentRun.eq(run.uuid())),
        }
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Versioned for Run {
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

/// The step of another run that waits for a run.
fn parent(run: Option<Uuid>, task: Option<Uuid>, step: Option<String>) -> Result<Option<Parent>> {
    match (run, task, step) {
        (None, None, None) => Ok(None),
        (Some(run), Some(task), Some(step)) => Ok(Some(Parent {
            run_id: RunId::from_uuid(run),
            task_id: TaskId::from_uuid(task),
            step,
        })),
        _ => Err(corrupt("run parent")),
    }
}

/// A run has so many tasks more.
pub(crate) async fn open_tasks(
    session: &mut impl Session,
    id: RunId,
    count: u32,
) -> failure::Result<()> {
    let sql = "UPDATE runs SET total_tasks = total_tasks + $1, open_tasks = open_tasks + $1 WHERE id = $2";
    count_tasks(session, id, sql, count).await
}

/// So many tasks of a run have ended.
pub(crate) async fn close_tasks(
    session: &mut impl Session,
    id: RunId,
    count: u32,
) -> failure::Result<()> {
    let sql = "UPDATE runs SET open_tasks = open_tasks - $1 WHERE id = $2";
    count_tasks(session, id, sql, count).await
}

async fn count_tasks(
    session: &mut impl Session,
    id: RunId,
    sql: &'static str,
    count: u32,
) -> failure::Result<()> {
    let count = i32::try_from(count).map_err(|_| corrupt("number of tasks"))?;
    let values: [Value; 2] = [count.into(), id.uuid().into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    let written = session.execute("count a run's tasks", statement).await?;
    Ok(expect_one(written, "run", &id)?)
}
