//! What is looked up by itself is found in an index, however full the store is.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0011_lookups"
    }
}

/// Indexes whose entries have much in common, with how many there are in a full store and how many of
/// these have the same first column (and the same first two, and so on).
///
/// PostgreSQL counts by itself. SQLite takes every index for as good as any other until somebody counts
/// (<https://www.sqlite.org/optoverview.html#manual_control_of_query_plans_using_sqlite_stat_tables>): it
/// read all tasks that are queued to find those of one run. Counting in a store that is empty as yet
/// would tell nothing.
const FIGURES: [(&str, &str, &str); 13] = [
    ("tasks", "tasks_by_state", "1000000 200000"),
    ("tasks", "tasks_by_priority", "1000000 200000 1"),
    ("tasks", "tasks_by_workflow", "1000000 10000"),
    ("runs", "runs_by_state", "1000000 200000"),
    ("runs", "runs_by_kind", "1000000 500000 100000 1"),
    ("runs", "runs_by_workflow", "1000000 10000"),
    ("agents", "agents_by_state", "100000 20000"),
    ("agents", "agents_by_project", "100000 10000"),
    ("agents", "agents_by_provider", "100000 20000"),
    ("messages", "messages_by_status", "1000000 200000"),
    ("messages", "messages_by_topic", "1000000 1000"),
    ("workflows", "workflows_by_state", "10000 3000"),
    ("approvals", "approvals_by_state", "10000 3000"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection
            .execute_unprepared(
                "CREATE INDEX workspaces_by_uid ON workspaces (process_uid) WHERE process_uid IS NOT NULL",
            )
            .await?;
        if manager.get_database_backend() == DbBackend::Sqlite {
            write_figures(connection).await?;
        }
        Ok(())
    }
}

async fn write_figures(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    // The table of figures is made with the first that are counted.
    connection.execute_unprepared("ANALYZE projects").await?;
    for (table, index, figures) in FIGURES {
        for sql in [
            format!("DELETE FROM sqlite_stat1 WHERE idx = '{index}'"),
            format!(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{figures}')"
            ),
        ] {
            connection.execute_unprepared(&sql).await?;
        }
    }
    // This connection reads them now, others when they are opened.
    connection
        .execute_unprepared("ANALYZE sqlite_schema")
        .await?;
    Ok(())
}
