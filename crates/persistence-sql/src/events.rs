//! The event log.

use fusion_core::{AgentId, Event, EventId, EventType, NewEvent, RunId, Severity};
use fusion_persistence::Result;
use sea_orm::{Statement, Value};

use crate::error::corrupt;
use crate::failure;
use crate::json;
use crate::session::Session;
use crate::store::unsigned;
use crate::streams::{self, Stream};

mod filter;
pub(crate) mod index;
pub(crate) mod keys;
mod search;

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
        #[sea_orm(column_type = "Text")]
        pub data: String,
        #[sea_orm(column_type = "Text")]
        pub message: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub message_queue_topic: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Events in one insert: far below SQLite's 32,766 bound values.
const PER_INSERT: usize = 500;

/// Appends events; gives the place before the first.
pub(crate) async fn append(
    session: &mut impl Session,
    events: &[&NewEvent],
) -> failure::Result<u64> {
    if events.is_empty() {
        return Ok(0);
    }
    let first = streams::take(session, Stream::Events, events.len()).await?;
    let mut seq = first;
    for some in events.chunks(PER_INSERT) {
        let mut values = Vec::with_capacity(some.len() * COLUMNS.len());
        for event in some {
            values.extend(row(event, seq)?);
            seq += 1;
        }
        let insert = Statement::from_sql_and_values(session.backend(), insert(some.len()), values);
        session
            .execute("append events", crate::table::clean(insert))
            .await?;
    }
    Ok(unsigned(first - 1, "event seq")?)
}

/// In the order of the table, and of [`row`].
const COLUMNS: [&str; 11] = [
    "seq",
    "id",
    "timestamp",
    "event_type",
    "severity",
    "source_agent_id",
    "source_component",
    "run_id",
    "data",
    "message",
    "message_queue_topic",
];

/// The hottest statement of all, in plain SQL: building it by the builder took longer than carrying
/// it out. The same number of rows gives the same text, which the driver has prepared.
fn insert(rows: usize) -> String {
    let columns = COLUMNS.join(", ");
    let mut sql = format!("INSERT INTO events ({columns}) VALUES ");
    sql.reserve(rows * COLUMNS.len() * 8);
    for number in 1..=rows * COLUMNS.len() {
        let before = match number % COLUMNS.len() {
            1 if number == 1 => "($",
            1 => "), ($",
            _ => ", $",
        };
        sql.push_str(before);
        sql.push_str(itoa::Buffer::new().format(number));
    }
    sql.push(')');
    sql
}

fn row(event: &NewEvent, seq: i64) -> Result<[Value; COLUMNS.len()]> {
    Ok([
        seq.into(),
        event.id.uuid().into(),
        event.timestamp.into(),
        event.event_type.as_str().into(),
        event.severity.as_str().into(),
        event.source_agent_id.map(AgentId::uuid).into(),
        event.source_component.as_str().into(),
        event.run_id.map(RunId::uuid).into(),
        json::to_text("event data", &event.data)?.into(),
        event.message.as_str().into(),
        event.message_queue_topic.as_deref().into(),
    ])
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
            data: json::from_text("event data", &row.data)?,
            message: row.message,
            message_queue_topic: row.message_queue_topic,
        },
    })
}
