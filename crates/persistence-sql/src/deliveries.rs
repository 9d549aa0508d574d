//! What became of each message at each of its recipients.

use fusion_core::{AgentId, Delivery, DeliveryStatus, Letter, MessageId, Settlement, StateMachine};
use fusion_persistence::Result;
use sea_orm::prelude::Uuid;
use sea_orm::{Statement, Value};

use crate::error::corrupt;
use crate::failure;
use crate::session::Session;
use crate::store::unsigned;
use crate::table::{clean, columns};
use crate::text;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "message_recipients")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub message_id: Uuid,
        pub seq: i64,
        pub status: String,
        pub settled_at: Option<DateTimeUtc>,
        #[sea_orm(column_type = "Text", nullable)]
        pub reason: Option<String>,
        /// For the clock of the database: milliseconds since 1970.
        pub expiry_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Deliveries in one insert: far below SQLite's 32,766 bound values.
const PER_INSERT: usize = 500;

/// Ids in one statement.
pub(crate) const IDS_PER_STATEMENT: usize = 500;

pub(crate) fn from_row(row: table::Model) -> Result<Delivery> {
    Ok(Delivery {
        message_id: MessageId::from_uuid(row.message_id),
        seq: unsigned(row.seq, "delivery seq")?,
        agent_id: AgentId::from_uuid(row.agent_id),
        status: DeliveryStatus::from_text(&row.status).ok_or_else(|| corrupt("delivery status"))?,
        settled_at: row.settled_at,
        reason: row.reason,
    })
}

/// One delivery for each recipient of each letter; the first has the place `first` in the log.
pub(crate) async fn append(
    session: &mut impl Session,
    letters: &[&Letter],
    first: i64,
) -> failure::Result<()> {
    let rows: Vec<table::Model> = (first..)
        .zip(letters)
        .flat_map(|(seq, letter)| {
            let expiry = letter.message.expiry_at;
            letter.recipients.iter().map(move |agent| table::Model {
                agent_id: agent.uuid(),
                message_id: letter.message.id.uuid(),
                seq,
                status: DeliveryStatus::Pending.as_str().to_owned(),
                settled_at: None,
                reason: None,
                expiry_ms: expiry.map(|expiry| expiry.timestamp_millis()),
            })
        })
        .collect();
    for some in rows.chunks(PER_INSERT) {
        let insert = text::insert::<table::Entity>(session.backend(), some);
        session.execute("store deliveries", insert).await?;
    }
    Ok(())
}

/// Ends deliveries that are not ended yet; gives the messages whose delivery this ended.
pub(crate) async fn settle(
    session: &mut impl Session,
    settlement: &Settlement,
) -> failure::Result<Vec<Uuid>> {
    let status = settlement.outcome.status();
    let again = is_guard_off();
    let before: Vec<String> = DeliveryStatus::ALL
        .iter()
        .filter(|from| again || from.allows(status))
        .map(|from| format!("'{from}'"))
        .collect();
    let mut settled = Vec::new();
    for some in settlement.told.chunks(IDS_PER_STATEMENT) {
        let sql = format!(
            "UPDATE message_recipients SET status = $1, settled_at = $2, reason = $3
             WHERE agent_id = $4 AND message_id IN ({ids}) AND status IN ({before})
             RETURNING {columns}",
            ids = places(5, some.len()),
            before = before.join(", "),
            columns = columns::<table::Entity>().join(", "),
        );
        let mut values: Vec<Value> = vec![
            status.as_str().into(),
            settlement.settled_at.into(),
            settlement.outcome.reason().into(),
            settlement.agent_id.uuid().into(),
        ];
        values.extend(some.iter().map(|(message, _)| Value::from(message.uuid())));
        let update = Statement::from_sql_and_values(session.backend(), sql, values);
        let rows = session
            .rows::<table::Entity>("end deliveries", clean(update))
            .await?;
        settled.extend(rows.into_iter().map(|row| row.message_id));
    }
    Ok(settled)
}

/// For the control of the storm of messages only: a test that passes without the guard proves nothing.
fn is_guard_off() -> bool {
    fail::fail_point!("persistence_sql::settle_again", |_| true);
    false
}

/// Names for `count` values of a statement, from `first` on: `$5, $6`.
pub(crate) fn places(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}
