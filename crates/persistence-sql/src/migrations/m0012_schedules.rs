//! Workflows that are started by the clock.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, pk_uuid, string, text, text_null, timestamp_with_time_zone,
    timestamp_with_time_zone_null, uuid_null,
};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0012_schedules"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("schedules")
            .col(pk_uuid("id"))
            .col(string("name").unique_key())
            .col(string("workflow"))
            .col(text("inputs"))
            .col(string("cron"))
            .col(string("timezone"))
            .col(string("overlap"))
            .col(boolean("paused"))
            .col(timestamp_with_time_zone_null("next_at"))
            .col(timestamp_with_time_zone_null("last_at"))
            .col(uuid_null("last_run"))
            .col(text_null("last_error"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .col(big_integer("version"))
            .to_owned();
        manager.create_table(table).await
    }
}
