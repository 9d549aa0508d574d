//! Messages between agents, and who is to read them.

use fusion_core::{AgentId, DeliveryStatus, Message, MessageId};
use fusion_persistence::{MessageFilter, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DbBackend, EntityTrait, QueryTrait, Statement,
};

use crate::error::corrupt;
use crate::json;
use crate::store::unsigned;
use crate::table::{Col, Stored, Versioned, any_of, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "messages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub timestamp: DateTimeUtc,
        pub sender_agent_id: Uuid,
        #[sea_orm(column_type = "Text", nullable)]
        pub recipient_agent_ids: Option<String>,
        #[sea_orm(column_type = "Text")]
        pub topic: String,
        #[sea_orm(column_type = "Text")]
        pub payload: String,
        pub message_type: String,
        pub delivery_status: String,
        pub delivered_at: Option<DateTimeUtc>,
        pub expiry_at: Option<DateTimeUtc>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod recipient {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "message_recipients")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub message_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Recipients in one insert: far below SQLite's 32,766 bound values.
const RECIPIENTS_PER_INSERT: usize = 500;

impl Stored for Message {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[
        table::Column::Timestamp,
        table::Column::SenderAgentId,
        table::Column::RecipientAgentIds,
        table::Column::Topic,
        table::Column::Payload,
        table::Column::MessageType,
    ];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            timestamp: self.timestamp,
            sender_agent_id: self.sender_agent_id.uuid(),
            recipient_agent_ids: json::to_text_option(
                "message recipients",
                self.recipient_agent_ids.as_ref(),
            )?,
            topic: self.topic.clone(),
            payload: json::to_text("message payload", &self.payload)?,
            message_type: self.message_type.clone(),
            delivery_status: self.delivery_status.as_str().to_owned(),
            delivered_at: self.delivered_at,
            expiry_at: self.expiry_at,
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: MessageId::from_uuid(row.id),
            timestamp: row.timestamp,
            sender_agent_id: AgentId::from_uuid(row.sender_agent_id),
            recipient_agent_ids: json::from_text_option(
                "message recipients",
                row.recipient_agent_ids.as_ref(),
            )?,
            topic: row.topic,
            payload: json::from_text("message payload", &row.payload)?,
            message_type: row.message_type,
            delivery_status: DeliveryStatus::from_text(&row.delivery_status)
                .ok_or_else(|| corrupt("message delivery_status"))?,
            delivered_at: row.delivered_at,
            expiry_at: row.expiry_at,
            version: unsigned(row.version, "message row version")?,
        })
    }

    fn condition(filter: &MessageFilter) -> Condition {
        let sender = filter.sender.map(AgentId::uuid);
        let condition = exactly(Condition::all(), table::Column::SenderAgentId, sender);
        let condition = exactly(condition, table::Column::Topic, filter.topic.clone());
        let statuses = filter.statuses.iter().map(|status| status.as_str());
        let condition = any_of(condition, table::Column::DeliveryStatus, statuses);
        let addressed = filter.recipient.map(|agent| {
            let messages = Query::select()
                .column(recipient::Column::MessageId)
                .from(recipient::Entity)
                .and_where(recipient::Column::AgentId.eq(agent.uuid()))
                .to_owned();
            table::Column::Id.in_subquery(messages)
        });
        condition
            .add_option(addressed)
            .add_option(
                filter
                    .since
                    .map(|since| table::Column::Timestamp.gte(since)),
            )
            .add_option(filter.until.map(|until| table::Column::Timestamp.lt(until)))
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    /// Its recipients.
    fn attached(&self, backend: DbBackend) -> Vec<Statement> {
        let insert = |agents: &[AgentId]| {
            let rows = agents.iter().map(|agent| recipient::ActiveModel {
                agent_id: Set(agent.uuid()),
                message_id: Set(self.id.uuid()),
            });
            recipient::Entity::insert_many(rows).build(backend)
        };
        let recipients = self.recipient_agent_ids.as_deref().unwrap_or_default();
        recipients
            .chunks(RECIPIENTS_PER_INSERT)
            .map(insert)
            .collect()
    }
}

impl Versioned for Message {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }
}
