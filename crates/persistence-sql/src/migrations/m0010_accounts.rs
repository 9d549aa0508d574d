//! Budgets that many runs use up together: of workflows, projects and days.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0010_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["budget", "budget_per_day"] {
            let column = text(name).default("{}").to_owned();
            let add = Table::alter()
                .table("projects")
                .add_column(column)
                .to_owned();
            manager.alter_table(add).await?;
        }
        manager.create_table(accounts()).await?;
        manager.create_table(holds()).await?;
        let by_account = "CREATE INDEX account_holds_by_account ON account_holds (account)";
        let connection = manager.get_connection();
        connection.execute_unprepared(by_account).await.map(|_| ())
    }
}

fn accounts() -> TableCreateStatement {
    Table::create()
        .table("accounts")
        .col(text("account").primary_key())
        .col(big_integer("tokens"))
        .col(big_integer("cost_picos"))
        .to_owned()
}

/// Without a reference to the tasks: room of a task that is gone counts for nothing.
fn holds() -> TableCreateStatement {
    Table::create()
        .table("account_holds")
        .col(uuid("task_id"))
        .col(text("account"))
        .col(big_integer("fence"))
        .col(big_integer("tokens"))
        .col(big_integer("cost_picos"))
        .primary_key(Index::create().col("task_id").col("account"))
        .to_owned()
}
