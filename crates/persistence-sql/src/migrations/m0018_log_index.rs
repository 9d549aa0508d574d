//! The index of the event log is a table of its own, which is filled many events at a time.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, timestamp_with_time_zone};

use crate::dialect::Dialect;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0018_log_index"
    }
}

/// What each commit wrote for each of its events.
const REPLACED: [&str; 6] = [
    "events_by_run",
    "events_by_time",
    "events_by_run_and_time",
    "events_by_type",
    "events_by_agent",
    "events_by_severity",
];

/// The index of words becomes the index of the log. A program that only knows words, and still works with
/// the database, finds its row no more and indexes nothing.
const ONE_INDEX: &str = "UPDATE event_streams SET name = 'index' WHERE name = 'words'";

/// What is indexed is what the index of words reached.
const INDEXED: &str =
    "FROM events WHERE seq <= (SELECT last_seq FROM event_streams WHERE name = 'index')";

/// Keys of events, as `events::keys` makes them.
fn keys(dialect: Dialect) -> [String; 4] {
    let id = |column: &str| match dialect {
        Dialect::Sqlite => format!("lower(hex({column}))"),
        Dialect::Postgres => format!("replace({column}::text, '-', '')"),
    };
    [
        format!("SELECT 'type ' || event_type, seq {INDEXED}"),
        format!("SELECT 'severity ' || severity, seq {INDEXED} AND severity <> 'info'"),
        format!(
            "SELECT 'agent ' || {}, seq {INDEXED} AND source_agent_id IS NOT NULL",
            id("source_agent_id")
        ),
        format!(
            "SELECT 'run ' || {}, seq {INDEXED} AND run_id IS NOT NULL",
            id("run_id")
        ),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let backend = manager.get_database_backend();
        connection.execute_unprepared(ONE_INDEX).await?;
        let mut keys_table = event_keys();
        if backend == DbBackend::Sqlite {
            // The key is all there is: https://sqlite.org/withoutrowid.html
            keys_table.extra("WITHOUT ROWID");
        }
        manager.create_table(keys_table).await?;
        manager.create_table(event_pieces()).await?;
        for select in keys(backend.into()) {
            let sql = format!("INSERT INTO event_keys (key, seq) {select} ORDER BY 1, 2");
            connection.execute_unprepared(&sql).await?;
        }
        let pieces = format!(
            "INSERT INTO event_pieces (last_seq, first_seq, oldest, newest)
             SELECT max(seq), min(seq), min(timestamp), max(timestamp) {INDEXED} GROUP BY seq / 500"
        );
        connection.execute_unprepared(&pieces).await?;
        for name in REPLACED {
            let drop = Index::drop().name(name).table("events").to_owned();
            manager.drop_index(drop).await?;
        }
        Ok(())
    }
}

fn event_keys() -> TableCreateStatement {
    Table::create()
        .table("event_keys")
        .col(text("key"))
        .col(big_integer("seq"))
        .primary_key(Index::create().col("key").col("seq"))
        .to_owned()
}

fn event_pieces() -> TableCreateStatement {
    Table::create()
        .table("event_pieces")
        .col(big_integer("last_seq").primary_key())
        .col(big_integer("first_seq"))
        .col(timestamp_with_time_zone("oldest"))
        .col(timestamp_with_time_zone("newest"))
        .to_owned()
}
