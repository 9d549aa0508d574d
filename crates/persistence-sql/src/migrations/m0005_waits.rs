//! Tasks that nobody may claim before a time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, text_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_waits"
    }
}

/// A waiting task is in no index of ready tasks. The conditions are those of the claim.
const INDEXES: [(&str, &str); 3] = [
    (
        "tasks_pooled",
        "CREATE INDEX tasks_pooled ON tasks (run_id, capability_key, priority DESC, queued_at, id)
           WHERE state = 'queued' AND unmet_dependencies = 0 AND not_before IS NULL
             AND agent_id IS NULL",
    ),
    (
        "tasks_own",
        "CREATE INDEX tasks_own ON tasks (agent_id, priority DESC, queued_at, id)
           WHERE state = 'queued' AND unmet_dependencies = 0 AND not_before IS NULL",
    ),
    (
        "tasks_ready",
        "CREATE INDEX tasks_ready ON tasks (run_id)
           WHERE state = 'queued' AND unmet_dependencies = 0 AND not_before IS NULL",
    ),
];

const WAITING: &str = "CREATE INDEX tasks_waiting ON tasks (run_id, not_before)
  WHERE state = 'queued' AND not_before IS NOT NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [big_integer_null("not_before"), text_null("wait_reason")] {
            let add = Table::alter().table("tasks").add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        let connection = manager.get_connection();
        for (name, create) in INDEXES {
            let drop = Index::drop().name(name).table("tasks").to_owned();
            manager.drop_index(drop).await?;
            connection.execute_unprepared(create).await?;
        }
        connection.execute_unprepared(WAITING).await?;
        Ok(())
    }
}
