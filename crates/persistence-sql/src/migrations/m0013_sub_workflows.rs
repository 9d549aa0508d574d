//! Runs that steps of other runs wait for.

use sea_orm::ConnectionTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{text_null, uuid_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0013_sub_workflows"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            uuid_null("parent_run"),
            uuid_null("parent_task"),
            text_null("parent_step"),
            text_null("called"),
            text_null("raised"),
        ] {
            let add = Table::alter().table("runs").add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        let below = "CREATE INDEX runs_by_parent ON runs (parent_run) WHERE parent_run IS NOT NULL";
        let connection = manager.get_connection();
        connection.execute_unprepared(below).await.map(|_| ())
    }
}
