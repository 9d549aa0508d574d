//! Fewer indexes that a step of work has to write.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0016_fewer_indexes"
    }
}

/// The first two are one now, by who holds a lease and how long; agents without a project or a stored
/// provider are in neither of the last two.
const REPLACED: [(&str, &str, Option<&str>); 4] = [
    ("tasks", "tasks_held", None),
    (
        "tasks",
        "tasks_leased",
        Some(
            "CREATE INDEX tasks_leased ON tasks (lease_owner, lease_until)
               WHERE state IN ('assigned', 'running')",
        ),
    ),
    (
        "agents",
        "agents_by_project",
        Some("CREATE INDEX agents_by_project ON agents (project_id) WHERE project_id IS NOT NULL"),
    ),
    (
        "agents",
        "agents_by_provider",
        Some(
            "CREATE INDEX agents_by_provider ON agents (provider_id) WHERE provider_id IS NOT NULL",
        ),
    ),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for (table, name, create) in REPLACED {
            let drop = Index::drop().name(name).table(table).to_owned();
            manager.drop_index(drop).await?;
            if let Some(create) = create {
                connection.execute_unprepared(create).await?;
            }
        }
        if manager.get_database_backend() == DbBackend::Sqlite {
            // Its figures, which SQLite keeps with the table, went with the index.
            connection
                .execute_unprepared(
                    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
                       ('agents', 'agents_by_project', '100000 10000'),
                       ('agents', 'agents_by_provider', '100000 20000')",
                )
                .await?;
        }
        Ok(())
    }
}
