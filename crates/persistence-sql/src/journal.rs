//! Journals of tasks.

use async_trait::async_trait;
use fusion_core::{
    EffectClass, EntryKind, EntryState, JournalEntry, JournalEntryId, RunId, TaskId, TaskState,
};
use fusion_persistence::{JournalFilter, JournalReader, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QueryTrait};

use crate::error::corrupt;
use crate::failure;
use crate::session::Session;
use crate::store::{SqlStore, expect_one, signed};
use crate::table::{Col, Stored, any_of, create, exactly};
use crate::usage::Columns;
use crate::{json, tasks, text};

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
        #[sea_orm(column_type = "Text")]
        pub name: String,
        pub effect: String,
        pub state: String,
        #[sea_orm(column_type = "Text")]
        pub request: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub outcome: Option<String>,
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

impl Stored for JournalEntry {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            task_id: self.task_id.uuid(),
            run_id: self.run_id.uuid(),
            seq: i32::try_from(self.seq).map_err(|_| corrupt("journal seq"))?,
            kind: self.kind.as_str().to_owned(),
            name: self.name.clone(),
            effect: self.effect.as_str().to_owned(),
            state: self.state.as_str().to_owned(),
            request: json::to_text("journal request", &self.request)?,
            outcome: json::to_text_option("journal outcome", self.outcome.as_ref())?,
            turns: signed(self.usage.turns),
            input_tokens: signed(self.usage.input_tokens),
            output_tokens: signed(self.usage.output_tokens),
            cost_picos: self.usage.cost.picos(),
            attempts: i32::try_from(self.attempts).map_err(|_| corrupt("journal attempts"))?,
            started_at: self.started_at,
            finished_at: self.finished_at,
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
            id: JournalEntryId::from_uuid(row.id),
            task_id: TaskId::from_uuid(row.task_id),
            run_id: RunId::from_uuid(row.run_id),
            seq: u32::try_from(row.seq).map_err(|_| corrupt("journal seq"))?,
            kind: EntryKind::from_text(&row.kind).ok_or_else(|| corrupt("journal kind"))?,
            name: row.name,
            effect: EffectClass::from_text(&row.effect).ok_or_else(|| corrupt("journal effect"))?,
            state: EntryState::from_text(&row.state).ok_or_else(|| corrupt("journal state"))?,
            request: json::from_text("journal request", &row.request)?,
            outcome: json::from_text_option("journal outcome", row.outcome.as_ref())?,
            usage: usage.usage("journal usage")?,
            attempts: u32::try_from(row.attempts).map_err(|_| corrupt("journal attempts"))?,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }

    fn condition(filter: &JournalFilter) -> Condition {
        let task = filter.task.map(TaskId::uuid);
        let condition = exactly(Condition::all(), table::Column::TaskId, task);
        let condition = exactly(condition, table::Column::RunId, filter.run.map(RunId::uuid));
        let kinds = filter.kinds.iter().map(|kind| kind.as_str());
        let condition = any_of(condition, table::Column::Kind, kinds);
        let states = filter.states.iter().map(|state| state.as_str());
        any_of(condition, table::Column::State, states)
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}

/// The intent of an effect: no other has its number in the journal of its task.
pub(crate) async fn begin(session: &mut impl Session, entry: &JournalEntry) -> failure::Result<()> {
    if tasks::is_fence_off() {
        let other = table::Entity::delete_many()
            .filter(table::Column::TaskId.eq(entry.task_id.uuid()))
            .filter(table::Column::Seq.eq(entry.seq))
            .build(session.backend());
        session.execute("write to a journal", other).await?;
    }
    create(session, entry).await
}

/// What an entry was begun with.
const FIXED: &[table::Column] = &[
    table::Column::Id,
    table::Column::TaskId,
    table::Column::RunId,
    table::Column::Seq,
    table::Column::Kind,
    table::Column::Name,
    table::Column::Effect,
    table::Column::Request,
    table::Column::StartedAt,
];

/// The outcome of an entry, or its next attempt: only while it has none.
pub(crate) async fn update(
    session: &mut impl Session,
    entry: &JournalEntry,
) -> failure::Result<()> {
    let row = entry.to_row()?;
    let update = text::update::<table::Entity>(&row, FIXED)
        .words(" WHERE id = ")
        .value(row.id)
        .words(" AND state = ")
        .value(EntryState::Started.as_str())
        .statement(session.backend());
    let written = session.execute("write to a journal", update).await?;
    if tasks::is_fence_off() {
        return Ok(());
    }
    Ok(expect_one(written, "journal entry", &entry.id)?)
}

#[async_trait]
impl JournalReader for SqlStore {
    async fn journal(&self, task: TaskId) -> Result<Vec<JournalEntry>> {
        let query = table::Entity::find()
            .filter(table::Column::TaskId.eq(task.uuid()))
            .order_by_asc(table::Column::Seq);
        let rows = self.reader().rows::<table::Entity>("read a journal", query);
        let rows = rows.await?.into_iter();
        rows.map(JournalEntry::from_row).collect()
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
        let query = table::Entity::find()
            .filter(table::Column::TaskId.in_subquery(running))
            .filter(Expr::col((table::Entity, table::Column::Seq)).in_subquery(newest));
        let rows = self.reader().list("read journals", query).await?;
        rows.into_iter().map(JournalEntry::from_row).collect()
    }
}
