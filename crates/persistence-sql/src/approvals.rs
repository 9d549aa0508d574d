//! Approvals.

use async_trait::async_trait;
use fusion_core::{AgentId, Approval, ApprovalId, ApprovalState, RunId, StateMachine, TaskId};
use fusion_persistence::{ApprovalFilter, ApprovalReader, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::dialect::Dialect;
use crate::error::corrupt;
use crate::json;
use crate::store::{SqlStore, unsigned};
use crate::table::{Col, Stored, Versioned, any_of, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "approvals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub task_id: Uuid,
        pub run_id: Option<Uuid>,
        #[sea_orm(column_type = "Text")]
        pub question: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub subject: Option<String>,
        pub subject_hash: String,
        pub requested_by: Option<Uuid>,
        pub state: String,
        pub requested_at: DateTimeUtc,
        pub expires_at: Option<DateTimeUtc>,
        pub expiry_ms: Option<i64>,
        pub resolved_at: Option<DateTimeUtc>,
        #[sea_orm(column_type = "Text", nullable)]
        pub resolved_by: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub comment: Option<String>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Approval {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[
        table::Column::TaskId,
        table::Column::RunId,
        table::Column::Question,
        table::Column::Subject,
        table::Column::SubjectHash,
        table::Column::RequestedBy,
        table::Column::RequestedAt,
    ];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            task_id: self.task_id.uuid(),
            run_id: self.run_id.map(RunId::uuid),
            question: self.question.clone(),
            subject: Some(json::to_text("approval subject", &self.subject)?),
            subject_hash: self.subject_hash.clone(),
            requested_by: self.requested_by.map(AgentId::uuid),
            state: self.state.as_str().to_owned(),
            requested_at: self.requested_at,
            expires_at: self.expires_at,
            expiry_ms: self.expires_at.map(|expiry| expiry.timestamp_millis()),
            resolved_at: self.resolved_at,
            resolved_by: self.resolved_by.clone(),
            comment: self.comment.clone(),
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: ApprovalId::from_uuid(row.id),
            task_id: TaskId::from_uuid(row.task_id),
            run_id: row.run_id.map(RunId::from_uuid),
            question: row.question,
            subject: json::from_text_option("approval subject", row.subject.as_ref())?
                .unwrap_or_default(),
            subject_hash: row.subject_hash,
            requested_by: row.requested_by.map(AgentId::from_uuid),
            state: ApprovalState::from_text(&row.state).ok_or_else(|| corrupt("approval state"))?,
            requested_at: row.requested_at,
            expires_at: row.expires_at,
            resolved_at: row.resolved_at,
            resolved_by: row.resolved_by,
            comment: row.comment,
            version: unsigned(row.version, "approval row version")?,
        })
    }

    fn condition(filter: &ApprovalFilter) -> Condition {
        let states = filter.states.iter().map(|state| state.as_str());
        let condition = any_of(Condition::all(), table::Column::State, states);
        let task = filter.task.map(TaskId::uuid);
        let condition = exactly(condition, table::Column::TaskId, task);
        exactly(condition, table::Column::RunId, filter.run.map(RunId::uuid))
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Versioned for Approval {
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

#[async_trait]
impl ApprovalReader for SqlStore {
    async fn overdue_approvals(&self, limit: u32) -> Result<Vec<Approval>> {
        let now = Dialect::from(self.reader().get_database_backend()).now_ms();
        let query = table::Entity::find()
            .filter(table::Column::State.eq(ApprovalState::Pending.as_str()))
            .filter(Expr::cust(format!("expiry_ms <= {now}")))
            .order_by_asc(table::Column::ExpiryMs)
            .limit(u64::from(limit));
        let rows = self
            .reader()
            .list("look for questions that have expired", query)
            .await?;
        rows.into_iter().map(Approval::from_row).collect()
    }
}
