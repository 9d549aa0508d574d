//! Notings of files that deleted runs named have numbers, and all that standing agents spent counts for their
//! life.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

use crate::dialect::Dialect;

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
        let take_over = take_over(Dialect::from(connection.get_database_backend()));
        connection.execute_unprepared(&take_over).await?;
        Ok(())
    }
}

/// What the tasks of standing agents used, also those of deleted runs. An account that there is has what was
/// spent under a limit: also of tasks that another agent has done since.
fn take_over(dialect: Dialect) -> String {
    let (id, digits) = match dialect {
        Dialect::Sqlite => (
            "substr(digits, 1, 8) || '-' || substr(digits, 9, 4) || '-' || substr(digits, 13, 4) || '-' ||
             substr(digits, 17, 4) || '-' || substr(digits, 21)",
            "lower(hex(agents.id))",
        ),
        Dialect::Postgres => ("digits", "CAST(agents.id AS TEXT)"),
    };
    let greater = |column: &str| {
        format!(
            "{column} = CASE WHEN accounts.{column} > excluded.{column} THEN accounts.{column}
               ELSE excluded.{column} END"
        )
    };
    format!(
        "INSERT INTO accounts (account, tokens, cost_picos, lost_tokens, lost_cost_picos)
         SELECT 'agent:' || {id}, tokens, cost_picos, 0, 0
         FROM (SELECT {digits} AS digits, CAST(SUM(used.input_tokens + used.output_tokens) AS BIGINT) AS tokens,
             CAST(SUM(used.cost_picos) AS BIGINT) AS cost_picos
           FROM agents JOIN (
             SELECT agent_id, input_tokens, output_tokens, cost_picos FROM tasks
               WHERE run_id NOT IN (SELECT run_id FROM run_deletions)
                 AND run_id NOT IN (SELECT id FROM runs WHERE imported IS NOT NULL)
             UNION ALL SELECT agent_id, input_tokens, output_tokens, cost_picos FROM past_costs) AS used
             ON used.agent_id = agents.id
           WHERE agents.run_id IS NULL GROUP BY agents.id) AS lives
         WHERE tokens > 0 OR cost_picos > 0
         ON CONFLICT (account) DO UPDATE SET {}, {}",
        greater("tokens"),
        greater("cost_picos"),
    )
}
