//! What an agent was given to do, added up by the database.

use fusion_core::{AgentId, Task, TaskState};
use fusion_persistence::{AgentWork, Result};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Statement,
};

use super::table;
use crate::costs::{number, sums, usage};
use crate::error::{corrupt, trying};
use crate::readers::Readers;
use crate::table::Stored as _;

const ACTION: &str = "add up the work of an agent";

/// [`AgentReader::work_of_agent`](fusion_persistence::AgentReader::work_of_agent).
pub(crate) async fn of_agent(reader: &Readers, agent: AgentId) -> Result<AgentWork> {
    let counted = |state: TaskState| {
        format!("CAST(COALESCE(SUM(CASE WHEN state = '{state}' THEN 1 ELSE 0 END), 0) AS BIGINT)")
    };
    let sql = format!(
        "SELECT {}, {}, {} FROM (
           SELECT turns, input_tokens, output_tokens, cost_picos, state FROM tasks WHERE agent_id = $1
             AND run_id NOT IN (SELECT run_id FROM run_deletions)
           UNION ALL SELECT turns, input_tokens, output_tokens, cost_picos, '' FROM past_costs
             WHERE agent_id = $1) AS done",
        sums(""),
        counted(TaskState::Completed),
        counted(TaskState::Failed),
    );
    let backend = reader.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, [agent.uuid().into()]);
    let row = reader.query_one_raw(statement).await;
    let row = row.map_err(trying(ACTION))?;
    let row = row.ok_or_else(|| corrupt("work of an agent"))?;
    Ok(AgentWork {
        usage: usage(&row, 0)?,
        completed: number(&row, 4)?,
        failed: number(&row, 5)?,
        task: at_hand(reader, agent).await?,
    })
}

/// What it works on, else what it does next.
async fn at_hand(reader: &Readers, agent: AgentId) -> Result<Option<Task>> {
    let open = TaskState::ALL.iter().filter(|state| !state.is_final());
    let is_begun = table::Column::State.eq(TaskState::Running.as_str());
    let query = table::Entity::find()
        .filter(table::Column::AgentId.eq(agent.uuid()))
        .filter(table::Column::State.is_in(open.map(|state| state.as_str())))
        .order_by_desc(is_begun)
        .order_by_asc(table::Column::Id)
        .limit(1);
    let found = reader.rows::<table::Entity>("list tasks", query).await?;
    found.into_iter().next().map(Task::from_row).transpose()
}
