//! Runs.

use async_trait::async_trait;
use fusion_core::{Run, RunId, WorkflowId, WorkflowState};
use fusion_persistence::{Error, Result, RunFilter, RunReader};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::Value;

use crate::error::{corrupt, trying};
use crate::store::{SqlStore, expect_one, signed, unsigned};
use crate::usage::Columns;

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
        pub inputs: Json,
        pub outputs: Option<Json>,
        pub error_message: Option<String>,
        pub total_tasks: i32,
        pub open_tasks: i32,
        pub turns: i64,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost_picos: i64,
        pub created_at: DateTimeUtc,
        pub started_at: Option<DateTimeUtc>,
        pub completed_at: Option<DateTimeUtc>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn to_row(run: Run) -> Result<table::Model> {
    Ok(table::Model {
        id: run.id.uuid(),
        workflow_id: run.workflow_id.uuid(),
        workflow_name: run.workflow_name,
        state: run.state.as_str().to_owned(),
        inputs: Value::Object(run.inputs),
        outputs: run.outputs,
        error_message: run.error_message,
        total_tasks: i32::try_from(run.total_tasks).map_err(|_| corrupt("run total_tasks"))?,
        open_tasks: i32::try_from(run.open_tasks).map_err(|_| corrupt("run open_tasks"))?,
        turns: signed(run.usage.turns),
        input_tokens: signed(run.usage.input_tokens),
        output_tokens: signed(run.usage.output_tokens),
        cost_picos: run.usage.cost.picos(),
        created_at: run.created_at,
        started_at: run.started_at,
        completed_at: run.completed_at,
        version: 1,
    })
}

fn from_row(row: table::Model) -> Result<Run> {
    let usage = Columns {
        turns: row.turns,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cost_picos: row.cost_picos,
    };
    let Value::Object(inputs) = row.inputs else {
        return Err(corrupt("run inputs"));
    };
    Ok(Run {
        id: RunId::from_uuid(row.id),
        workflow_id: WorkflowId::from_uuid(row.workflow_id),
        workflow_name: row.workflow_name,
        state: WorkflowState::from_text(&row.state).ok_or_else(|| corrupt("run state"))?,
        inputs,
        outputs: row.outputs,
        error_message: row.error_message,
        total_tasks: u32::try_from(row.total_tasks).map_err(|_| corrupt("run total_tasks"))?,
        open_tasks: u32::try_from(row.open_tasks).map_err(|_| corrupt("run open_tasks"))?,
        usage: usage.usage("run usage")?,
        created_at: row.created_at,
        started_at: row.started_at,
        completed_at: row.completed_at,
        version: unsigned(row.version, "run row version")?,
    })
}

pub(crate) async fn create(conn: &impl ConnectionTrait, run: Run) -> Result<()> {
    let row: table::ActiveModel = to_row(run)?.into();
    table::Entity::insert(row)
        .exec_without_returning(conn)
        .await
        .map_err(trying("store a run"))?;
    Ok(())
}

pub(crate) async fn update(conn: &impl ConnectionTrait, run: Run) -> Result<()> {
    let (id, read_at) = (run.id, signed(run.version));
    let change = table::ActiveModel {
        state: Set(run.state.as_str().to_owned()),
        outputs: Set(run.outputs),
        error_message: Set(run.error_message),
        started_at: Set(run.started_at),
        completed_at: Set(run.completed_at),
        version: Set(read_at + 1),
        ..Default::default()
    };
    let written = table::Entity::update_many()
        .set(change)
        .filter(table::Column::Id.eq(id.uuid()))
        .filter(table::Column::Version.eq(read_at))
        .exec(conn)
        .await
        .map_err(trying("update a run"))?;
    expect_one(written.rows_affected, "run", &id)
}

pub(crate) async fn close_tasks(conn: &impl ConnectionTrait, id: RunId, count: u32) -> Result<()> {
    let written = table::Entity::update_many()
        .col_expr(
            table::Column::OpenTasks,
            Expr::col(table::Column::OpenTasks).sub(count),
        )
        .filter(table::Column::Id.eq(id.uuid()))
        .exec(conn)
        .await
        .map_err(trying("count a run's tasks"))?;
    expect_one(written.rows_affected, "run", &id)
}

#[async_trait]
impl RunReader for SqlStore {
    async fn run(&self, id: RunId) -> Result<Run> {
        table::Entity::find_by_id(id.uuid())
            .one(self.reader())
            .await
            .map_err(trying("read a run"))?
            .map_or_else(
                || {
                    Err(Error::NotFound {
                        entity: "run",
                        id: id.to_string(),
                    })
                },
                from_row,
            )
    }

    async fn runs(&self, filter: RunFilter) -> Result<Vec<Run>> {
        let mut query = table::Entity::find();
        if filter.unfinished_only {
            let unfinished = WorkflowState::ALL.iter().filter(|state| !state.is_final());
            query =
                query.filter(table::Column::State.is_in(unfinished.map(|state| state.as_str())));
        }
        query
            .order_by_desc(table::Column::Id)
            .limit(u64::from(filter.limit))
            .all(self.reader())
            .await
            .map_err(trying("list runs"))?
            .into_iter()
            .map(from_row)
            .collect()
    }
}
