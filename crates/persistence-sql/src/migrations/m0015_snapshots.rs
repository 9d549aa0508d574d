//! What is kept of workspaces where other machines find it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{pk_uuid, text_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0015_snapshots"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let snapshots = Table::create()
            .table("workspace_snapshots")
            .col(pk_uuid("workspace_id"))
            .col(text_null("name"))
            .col(text_null("missing"))
            .foreign_key(
                ForeignKey::create()
                    .from("workspace_snapshots", "workspace_id")
                    .to("workspaces", "id"),
            )
            .to_owned();
        manager.create_table(snapshots).await
    }
}
