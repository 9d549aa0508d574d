//! The event log.

use async_trait::async_trait;
use fusion_core::{AgentId, Event, EventId, EventType, NewEvent, RunId, Severity};
use fusion_persistence::{EventFilter, EventReader, Result};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
};

use crate::error::{corrupt, trying};
use crate::store::{SqlStore, signed, unsigned};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        pub id: Uuid,
        pub timestamp: DateTimeUtc,
        pub event_type: String,
        pub severity: String,
        pub source_agent_id: Option<Uuid>,
        pub source_component: String,
        pub run_id: Option<Uuid>,
        pub data: Json,
        pub message: String,
        pub message_queue_topic: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Takes numbers under the row's lock, so that their order is the order of the commits.
const TAKE_NUMBERS: &str =
    "UPDATE event_streams SET last_seq = last_seq + $1 WHERE name = 'main' RETURNING last_seq";

/// Events in one insert: far below SQLite's 32,766 bound values.
const PER_INSERT: usize = 500;

/// Appends events; gives the place of the last one, 0 when there are none.
pub(crate) async fn append(conn: &impl ConnectionTrait, events: Vec<NewEvent>) -> Result<u64> {
    if events.is_empty() {
        return Ok(0);
    }
    let count = i64::try_from(events.len()).map_err(|_| corrupt("number of events"))?;
    let take = Statement::from_sql_and_values(
        conn.get_database_backend(),
        TAKE_NUMBERS,
        [Value::from(count)],
    );
    let last: i64 = conn
        .query_one_raw(take)
        .await
        .map_err(trying("number events"))?
        .ok_or_else(|| corrupt("event stream"))?
        .try_get_by_index(0)
        .map_err(trying("number events"))?;
    let mut rows = events
        .into_iter()
        .zip(last - count + 1..)
        .map(|(event, seq)| to_row(event, seq))
        .peekable();
    while rows.peek().is_some() {
        table::Entity::insert_many(rows.by_ref().take(PER_INSERT))
            .exec_without_returning(conn)
            .await
            .map_err(trying("append events"))?;
    }
    unsigned(last, "event seq")
}

fn to_row(event: NewEvent, seq: i64) -> table::ActiveModel {
    table::ActiveModel {
        seq: Set(seq),
        id: Set(event.id.uuid()),
        timestamp: Set(event.timestamp),
        event_type: Set(event.event_type.as_str().to_owned()),
        severity: Set(event.severity.as_str().to_owned()),
        source_agent_id: Set(event.source_agent_id.map(AgentId::uuid)),
        source_component: Set(event.source_component),
        run_id: Set(event.run_id.map(RunId::uuid)),
        data: Set(event.data),
        message: Set(event.message),
        message_queue_topic: Set(event.message_queue_topic),
    }
}

fn from_row(row: table::Model) -> Result<Event> {
    Ok(Event {
        seq: unsigned(row.seq, "event seq")?,
        event: NewEvent {
            id: EventId::from_uuid(row.id),
            timestamp: row.timestamp,
            event_type: EventType::from_text(&row.event_type)
                .ok_or_else(|| corrupt("event type"))?,
            severity: Severity::from_text(&row.severity)
                .ok_or_else(|| corrupt("event severity"))?,
            source_agent_id: row.source_agent_id.map(AgentId::from_uuid),
            source_component: row.source_component,
            run_id: row.run_id.map(RunId::from_uuid),
            data: row.data,
            message: row.message,
            message_queue_topic: row.message_queue_topic,
        },
    })
}

#[async_trait]
impl EventReader for SqlStore {
    async fn events(&self, filter: EventFilter) -> Result<Vec<Event>> {
        let mut query = table::Entity::find().filter(table::Column::Seq.gt(signed(filter.after)));
        if let Some(run) = filter.run {
            query = query.filter(table::Column::RunId.eq(run.uuid()));
        }
        query
            .order_by_asc(table::Column::Seq)
            .limit(u64::from(filter.limit))
            .all(self.reader())
            .await
            .map_err(trying("read events"))?
            .into_iter()
            .map(from_row)
            .collect()
    }
}
