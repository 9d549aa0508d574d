//! Runs that a person halts, and runs that go on from another.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{text_null, uuid_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_control"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [text_null("halt"), uuid_null("continues")] {
            let add = Table::alter().table("runs").add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        Ok(())
    }
}
