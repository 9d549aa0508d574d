//! Smaller indexes of the event log: what most events have in common is not worth an entry.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_event_indexes"
    }
}

const INDEXES: [(&str, &str); 2] = [
    (
        "events_by_severity",
        "CREATE INDEX events_by_severity ON events (severity, timestamp, seq)
           WHERE severity <> 'info'",
    ),
    (
        "events_by_agent",
        "CREATE INDEX events_by_agent ON events (source_agent_id, timestamp, seq)
           WHERE source_agent_id IS NOT NULL",
    ),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, create) in INDEXES {
            let drop = Index::drop().name(name).table("events").to_owned();
            manager.drop_index(drop).await?;
            manager.get_connection().execute_unprepared(create).await?;
        }
        Ok(())
    }
}
