//! Tasks of their own, which any standing agent may take.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, text_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0008_pool"
    }
}

/// The conditions are those of the statements in `pool_claim.rs` and `tasks/pool.rs`.
const INDEXES: [&str; 6] = [
    "CREATE INDEX pool_open ON tasks (pool, capability_key, pool_rank DESC, id)
       WHERE state = 'queued' AND unmet_dependencies = 0 AND not_before IS NULL
         AND pool IS NOT NULL AND agent_id IS NULL",
    "CREATE INDEX pool_given ON tasks (agent_id, pool_rank DESC, id)
       WHERE state = 'queued' AND unmet_dependencies = 0 AND not_before IS NULL
         AND pool IS NOT NULL AND agent_id IS NOT NULL",
    "CREATE INDEX pool_at_work ON tasks (pool)
       WHERE state IN ('assigned', 'running') AND pool IS NOT NULL",
    "CREATE INDEX pool_waiting ON tasks (not_before)
       WHERE state = 'queued' AND not_before IS NOT NULL AND pool IS NOT NULL",
    "CREATE INDEX pool_blocked ON tasks (id)
       WHERE state = 'queued' AND unmet_dependencies > 0 AND pool IS NOT NULL",
    "CREATE INDEX runs_by_kind ON runs (standalone, state, id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_tasks = [
            text_null("pool"),
            boolean("demanded").default(false).to_owned(),
            big_integer("pool_rank").default(0).to_owned(),
        ];
        for column in of_tasks {
            let add = Table::alter().table("tasks").add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        let standalone = boolean("standalone").default(false).to_owned();
        let add = Table::alter()
            .table("runs")
            .add_column(standalone)
            .to_owned();
        manager.alter_table(add).await?;
        for create in INDEXES {
            let connection = manager.get_connection();
            connection.execute_unprepared(create).await?;
        }
        Ok(())
    }
}
