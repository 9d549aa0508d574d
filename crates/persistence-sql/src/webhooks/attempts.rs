//! Attempts to deliver events.

use fusion_core::{WebhookAttempt, WebhookAttemptId, WebhookId};
use fusion_persistence::{Result, WebhookAttemptFilter};
use sea_orm::Condition;
use sea_orm::prelude::Uuid;

use crate::error::corrupt;
use crate::store::{signed, unsigned};
use crate::table::{Col, Stored, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub webhook_id: Uuid,
        pub seq: i64,
        pub event_type: String,
        pub attempt: i32,
        pub status: Option<i32>,
        #[sea_orm(column_type = "Text", nullable)]
        pub error: Option<String>,
        pub duration_ms: i64,
        pub at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for WebhookAttempt {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            webhook_id: self.webhook_id.uuid(),
            seq: signed(self.seq),
            event_type: self.event_type.clone(),
            attempt: i32::try_from(self.attempt).unwrap_or(i32::MAX),
            status: self.status.map(i32::from),
            error: self.error.clone(),
            duration_ms: signed(self.duration_ms),
            at: self.at,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        let status = row.status.map(u16::try_from).transpose();
        Ok(Self {
            id: WebhookAttemptId::from_uuid(row.id),
            webhook_id: WebhookId::from_uuid(row.webhook_id),
            seq: unsigned(row.seq, "webhook attempt seq")?,
            event_type: row.event_type,
            attempt: u32::try_from(row.attempt).map_err(|_| corrupt("webhook attempt"))?,
            status: status.map_err(|_| corrupt("webhook attempt status"))?,
            error: row.error,
            duration_ms: unsigned(row.duration_ms, "webhook attempt duration")?,
            at: row.at,
        })
    }

    fn condition(filter: &WebhookAttemptFilter) -> Condition {
        let webhook = filter.webhook.map(WebhookId::uuid);
        exactly(Condition::all(), table::Column::WebhookId, webhook)
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}
