//! Messages get a place in a log, and each of their recipients a delivery with a status of its own.
//!
//! Both tables are made anew: SQLite can't take `NOT NULL` off a column.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, pk_uuid, string, text, text_null, timestamp_with_time_zone,
    timestamp_with_time_zone_null, uuid, uuid_null,
};

use crate::dialect::Dialect;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_deliveries"
    }
}

const OLD: [(&str, &str); 2] = [
    ("messages", "old_messages"),
    ("message_recipients", "old_message_recipients"),
];

const COPY_MESSAGES: &str = "INSERT INTO messages (id, seq, timestamp, sender_agent_id,
    recipient_agent_ids, topic, payload, message_type, hops, delivery_status, delivered_at, expiry_at)
  SELECT id, row_number() OVER (ORDER BY timestamp, id), timestamp, sender_agent_id,
    recipient_agent_ids, topic, payload, message_type, 0, delivery_status, delivered_at, expiry_at
  FROM old_messages";

const COUNT_MESSAGES: &str = "INSERT INTO event_streams (name, last_seq)
  SELECT 'messages', count(*) FROM messages";

const INDEXES: [&str; 8] = [
    "CREATE INDEX messages_by_time ON messages (timestamp)",
    "CREATE INDEX messages_by_sender ON messages (sender_agent_id)",
    "CREATE INDEX messages_by_topic ON messages (topic)",
    "CREATE INDEX messages_by_status ON messages (delivery_status)",
    "CREATE INDEX messages_by_run ON messages (run_id)",
    "CREATE INDEX message_recipients_by_message ON message_recipients (message_id, status)",
    // An agent's inbox is a range of this one.
    "CREATE INDEX message_recipients_waiting ON message_recipients (agent_id, seq, expiry_ms)
       WHERE status = 'pending'",
    "CREATE INDEX message_recipients_by_expiry ON message_recipients (expiry_ms)
       WHERE status = 'pending' AND expiry_ms IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, old) in OLD {
            let rename = Table::rename().table(name, old).to_owned();
            manager.rename_table(rename).await?;
        }
        manager.create_table(messages()).await?;
        manager.create_table(message_recipients()).await?;
        let connection = manager.get_connection();
        let recipients = copy_recipients(manager.get_database_backend().into());
        for copy in [COPY_MESSAGES, &recipients, COUNT_MESSAGES] {
            connection.execute_unprepared(copy).await?;
        }
        for (_, old) in OLD.into_iter().rev() {
            let drop = Table::drop().table(old).to_owned();
            manager.drop_table(drop).await?;
        }
        for sql in INDEXES {
            connection.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}

fn copy_recipients(dialect: Dialect) -> String {
    let expiry = match dialect {
        Dialect::Sqlite => "CAST(unixepoch(expiry_at, 'subsec') * 1000 AS INTEGER)",
        Dialect::Postgres => "(extract(epoch FROM expiry_at) * 1000)::bigint",
    };
    format!(
        "INSERT INTO message_recipients (agent_id, message_id, seq, status, settled_at, expiry_ms)
           SELECT agent_id, message_id, seq, delivery_status,
             CASE WHEN delivery_status <> 'pending' THEN coalesce(delivered_at, timestamp) END, {expiry}
           FROM old_message_recipients JOIN messages ON messages.id = message_id"
    )
}

fn key(table: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(table, column)
        .to(to, "id")
        .to_owned()
}

fn messages() -> TableCreateStatement {
    Table::create()
        .table("messages")
        .col(pk_uuid("id"))
        .col(big_integer("seq").unique_key())
        .col(timestamp_with_time_zone("timestamp"))
        .col(uuid_null("sender_agent_id"))
        .col(text_null("recipient_agent_ids"))
        .col(text("topic"))
        .col(text("payload"))
        .col(string("message_type"))
        .col(uuid_null("run_id"))
        // No keys of the schema: what they name may go by its age.
        .col(uuid_null("reply_to"))
        .col(uuid_null("resends"))
        .col(big_integer("hops"))
        .col(string("delivery_status"))
        .col(timestamp_with_time_zone_null("delivered_at"))
        .col(timestamp_with_time_zone_null("expiry_at"))
        .foreign_key(&mut key("messages", "sender_agent_id", "agents"))
        .foreign_key(&mut key("messages", "run_id", "runs"))
        .to_owned()
}

fn message_recipients() -> TableCreateStatement {
    Table::create()
        .table("message_recipients")
        .col(uuid("agent_id"))
        .col(uuid("message_id"))
        .col(big_integer("seq"))
        .col(string("status"))
        .col(timestamp_with_time_zone_null("settled_at"))
        .col(text_null("reason"))
        .col(big_integer_null("expiry_ms"))
        .primary_key(Index::create().col("agent_id").col("message_id"))
        .foreign_key(&mut key("message_recipients", "agent_id", "agents"))
        .foreign_key(
            key("message_recipients", "message_id", "messages")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}
