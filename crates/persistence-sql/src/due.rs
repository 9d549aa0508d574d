//! What sweeps would find, told by one statement: who is idle asks for nothing else.

use fusion_core::{AgentState, ApprovalState};
use fusion_persistence::{Due, Error, Result};
use sea_orm::{ConnectionTrait, QueryResult, Statement};

use crate::dialect::Dialect;
use crate::error::{corrupt, trying};
use crate::readers::Readers;
use crate::{agents, messages, run_leases, tasks, webhooks};

const ACTION: &str = "look what there is to do";

/// A column for each thing that may be due: 1 when it is. Each looks for one row in an index.
pub(crate) fn columns(dialect: Dialect) -> String {
    let now = dialect.now_ms();
    let due = match dialect {
        Dialect::Sqlite => "CAST(unixepoch(next_at, 'subsec') * 1000 AS INTEGER)",
        Dialect::Postgres => "(extract(epoch FROM next_at) * 1000)::bigint",
    };
    let leased = "SELECT 1 FROM tasks WHERE state IN ('assigned', 'running')";
    let pending = ApprovalState::Pending.as_str();
    let working = AgentState::Working.as_str();
    let columns = [
        ("leased_tasks", vec![leased.to_owned()]),
        (
            "lost_tasks",
            vec![format!("{leased} AND lease_until < {now}")],
        ),
        ("open_runs", vec![run_leases::unfinished()]),
        (
            "approvals",
            vec![format!(
                "SELECT 1 FROM approvals WHERE state = '{pending}' AND expiry_ms <= {now}"
            )],
        ),
        ("dead_mail", messages::dead(dialect)),
        ("mail", vec![messages::waiting(dialect, "1")]),
        ("half_done_agents", vec![agents::half_done()]),
        ("pool", tasks::pool::waiting(dialect)),
        (
            "standing_at_work",
            vec![format!(
                "SELECT 1 FROM agents WHERE state = '{working}' AND run_id IS NULL"
            )],
        ),
        (
            "schedules",
            vec![format!(
                "SELECT 1 FROM schedules WHERE NOT paused AND {due} <= {now}"
            )],
        ),
        ("webhooks", vec![webhooks::behind(due, now)]),
    ];
    let columns = columns.map(|(name, found)| {
        let found: Vec<String> = found
            .iter()
            .map(|rows| format!("EXISTS ({rows})"))
            .collect();
        format!(
            "CASE WHEN {} THEN 1 ELSE 0 END AS {name}",
            found.join(" OR ")
        )
    });
    columns.join(", ")
}

/// Looks by itself.
pub(crate) async fn look(reader: &Readers) -> Result<Due> {
    let backend = reader.get_database_backend();
    let sql = format!("SELECT {}", columns(backend.into()));
    let query = Statement::from_string(backend, sql);
    let row = reader.query_one_raw(query).await.map_err(trying(ACTION))?;
    of_row(&row.ok_or_else(|| corrupt(ACTION))?)
}

/// Reads the columns.
pub(crate) fn of_row(row: &QueryResult) -> Result<Due> {
    let is = |name| {
        let number: i32 = row.try_get("", name).map_err(trying(ACTION))?;
        Ok::<bool, Error>(number == 1)
    };
    Ok(Due {
        leased_tasks: is("leased_tasks")?,
        lost_tasks: is("lost_tasks")?,
        open_runs: is("open_runs")?,
        approvals: is("approvals")?,
        dead_mail: is("dead_mail")?,
        mail: is("mail")?,
        half_done_agents: is("half_done_agents")?,
        pool: is("pool")?,
        standing_at_work: is("standing_at_work")?,
        schedules: is("schedules")?,
        webhooks: is("webhooks")?,
    })
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, Statement};

    use super::columns;
    use crate::dialect::Dialect;
    use crate::plan::plan_of;

    #[tokio::test]
    async fn a_look_at_what_is_due_reads_no_table_that_grows() {
        let sql = format!("SELECT {}", columns(Dialect::Sqlite));
        let all = [
            "tasks",
            "runs",
            "approvals",
            "waiting",
            "message_recipients",
            "agents",
        ];
        let plan = plan_of(Statement::from_string(DbBackend::Sqlite, sql), &all).await;
        let reads_all = |step: &&String| step.starts_with("SCAN") && !step.contains("INDEX");
        assert_eq!(plan.iter().find(reads_all), None);
    }
}
