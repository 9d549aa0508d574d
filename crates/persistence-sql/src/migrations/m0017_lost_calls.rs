//! What calls whose outcome nobody knows may have used of accounts at most.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0017_lost_calls"
    }
}

/// Room of leases that were lost before, as far as it is still there.
const OF_LOST_LEASES: &str = "FROM account_holds JOIN task_losses
    ON task_losses.task_id = account_holds.task_id AND task_losses.fence = account_holds.fence";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for (lost, held) in [("lost_tokens", "tokens"), ("lost_cost_picos", "cost_picos")] {
            let column = big_integer(lost).default(0).to_owned();
            let add = Table::alter()
                .table("accounts")
                .add_column(column)
                .to_owned();
            manager.alter_table(add).await?;
            let take_over = format!(
                "UPDATE accounts SET {lost} = (SELECT CAST(COALESCE(SUM(account_holds.{held}), 0) AS BIGINT)
                 {OF_LOST_LEASES} WHERE account_holds.account = accounts.account)"
            );
            connection.execute_unprepared(&take_over).await?;
        }
        // What is left of leases that ended: from now on that would count as lost.
        let remove = "DELETE FROM account_holds WHERE NOT EXISTS (SELECT 1 FROM tasks
            WHERE tasks.id = account_holds.task_id AND tasks.fence = account_holds.fence
              AND tasks.state IN ('assigned', 'running'))";
        connection.execute_unprepared(remove).await.map(|_| ())
    }
}
