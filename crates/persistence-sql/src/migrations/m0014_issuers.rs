//! Tokens that were made by signing in, each with the token that let it in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::uuid_null;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0014_issuers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let add = Table::alter()
            .table("api_tokens")
            .add_column(uuid_null("issuer"))
            .to_owned();
        manager.alter_table(add).await
    }
}
