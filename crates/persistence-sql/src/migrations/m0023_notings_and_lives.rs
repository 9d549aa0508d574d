//! Notings of files that deleted runs named have numbers.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0023_notings_and_lives"
    }
}

/// All that are there count as the first noting.
const COUNT_NOTINGS: &str = "INSERT INTO event_streams (name, last_seq) VALUES ('notings', 1)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let noted = Table::alter()
            .table("loose_files")
            .add_column(big_integer("noted").default(1).to_owned())
            .to_owned();
        manager.alter_table(noted).await?;
        let connection = manager.get_connection();
        connection.execute_unprepared(COUNT_NOTINGS).await?;
        Ok(())
    }
}
