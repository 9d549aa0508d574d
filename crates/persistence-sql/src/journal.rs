//! Journals.

use async_trait::async_trait;
use fusion_core::{
    EffectClass, EntryKind, EntryState, JournalEntry, JournalEntryId, RunId, TaskId, TaskState,
};
use fusion_persistence::{JournalReader, Result};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};

use crate::error::{corrupt, trying};
use crate::store::{SqlStore, expect_one, signed};
use crate::tasks;
use crate::usage::Columns;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "journal_entries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub task_id: Uuid,
        pub run_id: Uuid,
        pub seq: i32,
        pub kind: String,
        pub name: String,
        pub effect: String,
        pub state: String,
        pub request: Json,
        pub outcome: Option<Json>,
        pub turns: i64,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost_picos: i64,
        pub attempts: i32,
        pub started_at: DateTimeUtc,
        pub finished_at: Option<DateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn to_row(entry: JournalEntry) -> Result<table::Model> {
    Ok(table::Model {
        id: entry.id.uuid(),
        task_id: entry.task_id.uuid(),
        run_id: entry.run_id.uuid(),
        seq: i32::try_from(entry.seq).map_err(|_| corrupt("journal seq"))?,
        kind: entry.kind.as_str().to_owned(),
        name: entry.name,
        effect: entry.effect.as_str().to_owned(),
        state: entry.state.as_str().to_owned(),
        request: entry.request,
        outcome: entry.outcome,
        turns: signed(entry.usage.turns),
        input_tokens: signed(entry.usage.input_tokens),
        output_tokens: signed(entry.usage.output_tokens),
        cost_picos: entry.usage.cost.picos(),
        attempts: i32::try_from(entry.attempts).map_err(|_| corrupt("journal attempts"))?,
        started_at: entry.started_at,
        finished_at: entry.finished_at,
    })
}

fn from_row(row: table::Model) -> Result<JournalEntry> {
    let usage = Columns {
        turns: row.turns,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cost_picos: row.cost_picos,
    };
    Ok(JournalEntry {
        id: JournalEntryId::from_uuid(row.id),
        task_id: TaskId::from_uuid(row.task_id),
        run_id: RunId::from_uuid(row.run_id),
        seq: u32::try_from(row.seq).map_err(|_| corrupt("journal seq"))?,
        kind: EntryKind::from_text(&row.kind).ok_or_else(|| corrupt("journal kind"))?,
        name: row.name,
        effect: EffectClass::from_text(&row.effect).ok_or_else(|| corrupt("journal effect"))?,
        state: EntryState::from_text(&row.state).ok_or_else(|| corrupt("journal state"))?,
        request: row.request,
        outcome: row.outcome,
        usage: usage.usage("journal usage")?,
        attempts: u32::try_from(row.attempts).map_err(|_| corrupt("journal attempts"))?,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
}

pub(crate) async fn begin(conn: &impl ConnectionTrait, entry: JournalEntry) -> Result<()> {
    let row: table::ActiveModel = to_row(entry)?.into();
    table::Entity::insert(row)
        .exec_without_returning(conn)
        .await
        .map_err(trying("write to a journal"))?;
    Ok(())
}

pub(crate) async fn update(conn: &impl ConnectionTrait, entry: JournalEntry) -> Result<()> {
    let id = entry.id;
    let row = to_row(entry)?;
    let change = table::ActiveModel {
        state: Set(row.state),
        outcome: Set(row.outcome),
        turns: Set(row.turns),
        input_tokens: Set(row.input_tokens),
        output_tokens: Set(row.output_tokens),
        cost_picos: Set(row.cost_picos),
        attempts: Set(row.attempts),
        finished_at: Set(row.finished_at),
        ..Default::default()
    };
    let written = table::Entity::update_many()
        .set(change)
        .filter(table::Column::Id.eq(id.uuid()))
        .filter(table::Column::State.eq(EntryState::Started.as_str()))
        .exec(conn)
        .await
        .map_err(trying("write to a journal"))?;
    expect_one(written.rows_affected, "journal entry", &id)
}

#[async_trait]
impl JournalReader for SqlStore {
    async fn journal(&self, task: TaskId) -> Result<Vec<JournalEntry>> {
        table::Entity::find()
            .filter(table::Column::TaskId.eq(task.uuid()))
            .order_by_asc(table::Column::Seq)
            .all(self.reader())
            .await
            .map_err(trying("read a journal"))?
            .into_iter()
            .map(from_row)
            .collect()
    }

    async fn activity(&self, run: RunId) -> Result<Vec<JournalEntry>> {
        let running = Query::select()
            .column(tasks::table::Column::Id)
            .from(tasks::table::Entity)
            .and_where(tasks::table::Column::RunId.eq(run.uuid()))
            .and_where(tasks::table::Column::State.eq(TaskState::Running.as_str()))
            .to_owned();
        let newest = Query::select()
            .expr(Expr::col(table::Column::Seq).max())
            .from_as(table::Entity, "newer")
            .and_where(
                Expr::col(("newer", table::Column::TaskId))
                    .equals((table::Entity, table::Column::TaskId)),
            )
            .to_owned();
        table::Entity::find()
            .filter(table::Column::TaskId.in_subquery(running))
            .filter(Expr::col((table::Entity, table::Column::Seq)).in_subquery(newest))
            .all(self.reader())
            .await
            .map_err(trying("read journals"))?
            .into_iter()
            .map(from_row)
            .collect()
    }
}
