//! Where runs come from that were not done here. What they cost is looked for and left out of every sum, so
//! they have an index of their own, which is empty where there are none.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0021_imported_runs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let add = Table::alter()
            .table("runs")
            .add_column(text_null("imported"))
            .to_owned();
        manager.alter_table(add).await?;
        let index = "CREATE INDEX runs_imported ON runs (id) WHERE imported IS NOT NULL";
        manager.get_connection().execute_unprepared(index).await?;
        Ok(())
    }
}
