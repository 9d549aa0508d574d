//! What is left of runs that are deleted: what they cost, and the files they named until those are gone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, pk_uuid, text, text_null, timestamp_with_time_zone, uuid, uuid_null,
};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0022_deleted_runs"
    }
}

/// Without a reference to the runs: their rows go first, and these say that they go.
fn deletions() -> TableCreateStatement {
    Table::create()
        .table("run_deletions")
        .col(pk_uuid("run_id"))
        .to_owned()
}

fn costs() -> TableCreateStatement {
    Table::create()
        .table("past_costs")
        .col(uuid("run_id"))
        .col(big_integer("place"))
        .col(text_null("workflow"))
        .col(uuid_null("project_id"))
        .col(uuid_null("agent_id"))
        .col(text_null("model"))
        .col(timestamp_with_time_zone("began_at"))
        .col(timestamp_with_time_zone("ended_at"))
        .col(boolean("dated"))
        .col(big_integer("turns"))
        .col(big_integer("input_tokens"))
        .col(big_integer("output_tokens"))
        .col(big_integer("cost_picos"))
        .col(big_integer("without_price"))
        .primary_key(Index::create().col("run_id").col("place"))
        .to_owned()
}

fn files() -> TableCreateStatement {
    Table::create()
        .table("loose_files")
        .col(text("sha256").primary_key())
        .to_owned()
}

const INDEXES: [&str; 2] = [
    "CREATE INDEX past_costs_by_agent ON past_costs (agent_id) WHERE agent_id IS NOT NULL",
    "CREATE INDEX runs_continuing ON runs (continues) WHERE continues IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [deletions(), costs(), files()] {
            manager.create_table(table).await?;
        }
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }
}
