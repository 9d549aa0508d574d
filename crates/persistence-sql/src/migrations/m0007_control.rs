//! Runs that a person halts, runs that go on from another, and what is approved.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, text_null, uuid_null};

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
        for column in [text_null("subject"), big_integer_null("expiry_ms")] {
            let add = Table::alter()
                .table("approvals")
                .add_column(column)
                .to_owned();
            manager.alter_table(add).await?;
        }
        Ok(())
    }
}
