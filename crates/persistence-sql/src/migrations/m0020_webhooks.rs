//! Receivers that the event log is sent to, and the last attempts at each.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, integer, integer_null, pk_uuid, string, text, text_null,
    timestamp_with_time_zone, timestamp_with_time_zone_null, uuid, uuid_null,
};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0020_webhooks"
    }
}

fn webhooks() -> TableCreateStatement {
    Table::create()
        .table("webhooks")
        .col(pk_uuid("id"))
        .col(string("name").unique_key())
        .col(text("url"))
        .col(text("events"))
        .col(text("severities"))
        .col(uuid_null("project_id"))
        .col(boolean("allows_private"))
        .col(ColumnDef::new("secret").blob().not_null())
        .col(ColumnDef::new("previous_secret").blob().null())
        .col(timestamp_with_time_zone_null("previous_until"))
        .col(string("state"))
        .col(text_null("reason"))
        .col(big_integer("cursor_seq"))
        .col(integer("attempts"))
        .col(timestamp_with_time_zone_null("failing_since"))
        .col(timestamp_with_time_zone_null("next_at"))
        .col(uuid_null("lease_owner"))
        .col(timestamp_with_time_zone_null("lease_until"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .col(big_integer("version"))
        .to_owned()
}

fn attempts() -> TableCreateStatement {
    Table::create()
        .table("webhook_attempts")
        .col(pk_uuid("id"))
        .col(uuid("webhook_id"))
        .col(big_integer("seq"))
        .col(string("event_type"))
        .col(integer("attempt"))
        .col(integer_null("status"))
        .col(text_null("error"))
        .col(big_integer("duration_ms"))
        .col(timestamp_with_time_zone("at"))
        .to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(webhooks()).await?;
        manager.create_table(attempts()).await?;
        let newest = Index::create()
            .name("webhook_attempts_newest")
            .table("webhook_attempts")
            .col("webhook_id")
            .col("id")
            .to_owned();
        manager.create_index(newest).await
    }
}
