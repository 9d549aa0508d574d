//! Takes the rows of deleted runs out, a small batch at a time: what refers to others goes first.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{Imported, WorkflowDefinition, handed_files, named_files};
use sea_orm::prelude::Uuid;
use sea_orm::{DbBackend, Statement, Value};

use super::{ACTION, files};
use crate::failure::Result;
use crate::session::Session;
use crate::{json, runs, tasks, workflows};

/// Before the tasks: their journals are the most.
const BEFORE: [&str; 7] = [
    "DELETE FROM journal_entries WHERE id IN (SELECT id FROM journal_entries
       WHERE run_id IN (SELECT run_id FROM run_deletions) ORDER BY id LIMIT $1)",
    "DELETE FROM approvals WHERE id IN (SELECT approvals.id FROM approvals
       JOIN tasks ON tasks.id = approvals.task_id
       WHERE tasks.run_id IN (SELECT run_id FROM run_deletions) ORDER BY approvals.id LIMIT $1)",
    "DELETE FROM task_losses WHERE (task_id, fence) IN (SELECT task_losses.task_id, task_losses.fence
       FROM task_losses JOIN tasks ON tasks.id = task_losses.task_id
       WHERE tasks.run_id IN (SELECT run_id FROM run_deletions)
       ORDER BY task_losses.task_id, task_losses.fence LIMIT $1)",
    "DELETE FROM task_dependencies WHERE (depends_on, task_id) IN (SELECT edge.depends_on, edge.task_id
       FROM task_dependencies AS edge JOIN tasks ON tasks.id = edge.task_id
       WHERE tasks.run_id IN (SELECT run_id FROM run_deletions)
       ORDER BY edge.depends_on, edge.task_id LIMIT $1)",
    "DELETE FROM task_dependencies WHERE (depends_on, task_id) IN (SELECT edge.depends_on, edge.task_id
       FROM task_dependencies AS edge JOIN tasks ON tasks.id = edge.depends_on
       WHERE tasks.run_id IN (SELECT run_id FROM run_deletions)
       ORDER BY edge.depends_on, edge.task_id LIMIT $1)",
    "DELETE FROM messages WHERE id IN (SELECT id FROM messages
       WHERE run_id IN (SELECT run_id FROM run_deletions)
         OR sender_agent_id IN (SELECT id FROM agents WHERE run_id IN (SELECT run_id FROM run_deletions))
       ORDER BY id LIMIT $1)",
    "DELETE FROM resource_metrics WHERE id IN (SELECT sample.id FROM resource_metrics AS sample
       JOIN agents ON agents.id = sample.agent_id
       WHERE agents.run_id IN (SELECT run_id FROM run_deletions) ORDER BY sample.id LIMIT $1)",
];

/// After the tasks, and before the runs.
const AFTER: [&str; 4] = [
    "DELETE FROM workspace_snapshots WHERE workspace_id IN (SELECT snapshot.workspace_id FROM workspace_snapshots AS snapshot
       JOIN workspaces ON workspaces.id = snapshot.workspace_id
       JOIN agents ON agents.id = workspaces.agent_id
       WHERE agents.run_id IN (SELECT run_id FROM run_deletions) ORDER BY snapshot.workspace_id LIMIT $1)",
    "DELETE FROM workspaces WHERE id IN (SELECT workspaces.id FROM workspaces
       JOIN agents ON agents.id = workspaces.agent_id
       WHERE agents.run_id IN (SELECT run_id FROM run_deletions) ORDER BY workspaces.id LIMIT $1)",
    "DELETE FROM agents WHERE id IN (SELECT id FROM agents
       WHERE run_id IN (SELECT run_id FROM run_deletions) ORDER BY id LIMIT $1)",
    "DELETE FROM run_leases WHERE run_id IN (SELECT run_id FROM run_leases
       WHERE run_id IN (SELECT run_id FROM run_deletions) ORDER BY run_id LIMIT $1)",
];

/// Messages of others that agents of the runs got.
const GOT: &str = "(SELECT DISTINCT message_id FROM message_recipients
    WHERE agent_id IN (SELECT id FROM agents WHERE run_id IN (SELECT run_id FROM run_deletions))
    ORDER BY message_id LIMIT $1)";

/// Such a message has the gravest status of the deliveries that are left.
const RATED: &str = "UPDATE messages SET delivery_status = COALESCE((
    SELECT CASE max(CASE left_over.status WHEN 'pending' THEN 3 WHEN 'failed' THEN 2 WHEN 'expired' THEN 1 ELSE 0 END)
        WHEN 3 THEN 'pending' WHEN 2 THEN 'failed' WHEN 1 THEN 'expired' WHEN 0 THEN 'delivered' END
    FROM message_recipients AS left_over WHERE left_over.message_id = messages.id AND left_over.agent_id NOT IN
      (SELECT id FROM agents WHERE run_id IN (SELECT run_id FROM run_deletions))), delivery_status)
  WHERE id IN ";

const UNREAD: &str = "DELETE FROM message_recipients
  WHERE agent_id IN (SELECT id FROM agents WHERE run_id IN (SELECT run_id FROM run_deletions))
    AND message_id IN ";

const TASKS: &str =
    "FROM tasks WHERE run_id IN (SELECT run_id FROM run_deletions) ORDER BY id LIMIT $1";

const RUNS: &str = "FROM runs WHERE id IN (SELECT run_id FROM run_deletions) ORDER BY id LIMIT $1";

const WITH_FILES: &str = "SELECT * FROM workflows WHERE definition LIKE '%\"files\"%' AND id IN
    (SELECT workflow_id FROM runs WHERE inputs LIKE '%\"sha256\":%'
       AND id IN (SELECT run_id FROM run_deletions))";

const DONE: &str = "DELETE FROM run_deletions WHERE run_id NOT IN (SELECT id FROM runs)";

/// Deletes one batch; says how many rows. 0 when nothing is left, or another process does it.
pub(crate) async fn take_out(session: &mut impl Session, limit: u32) -> Result<u64> {
    let backend = session.backend();
    // One process at a time: each stage is over before the next begins.
    let held = if backend == DbBackend::Postgres {
        " FOR UPDATE"
    } else {
        ""
    };
    let begun =
        format!("SELECT CAST(1 AS BIGINT) FROM run_deletions ORDER BY run_id LIMIT 1{held}");
    let begun = Statement::from_string(backend, begun);
    if session.number(ACTION, begun).await?.is_none() {
        return Ok(0);
    }
    let limit = u64::from(limit);
    let mut deleted = 0;
    for sql in BEFORE {
        deleted += stage(session, sql, limit - deleted).await?;
    }
    deleted += deliveries(session, limit.saturating_sub(deleted)).await?;
    deleted += take_tasks(session, limit.saturating_sub(deleted)).await?;
    for sql in AFTER {
        deleted += stage(session, sql, limit.saturating_sub(deleted)).await?;
    }
    deleted += take_runs(session, limit.saturating_sub(deleted)).await?;
    let done = Statement::from_string(backend, DONE);
    deleted += session.execute(ACTION, done).await?;
    Ok(deleted)
}

/// One kind of rows, as many as are left of the batch.
async fn stage(session: &mut impl Session, sql: &str, left: u64) -> Result<u64> {
    if left == 0 {
        return Ok(0);
    }
    let statement = limited(session, sql, left);
    session.execute(ACTION, statement).await
}

fn limited(session: &impl Session, sql: &str, left: u64) -> Statement {
    let values: [Value; 1] = [i64::try_from(left).unwrap_or(i64::MAX).into()];
    Statement::from_sql_and_values(session.backend(), sql, values)
}

/// Deliveries of messages that stay, of so many messages.
async fn deliveries(session: &mut impl Session, left: u64) -> Result<u64> {
    if left == 0 {
        return Ok(0);
    }
    let rated = limited(session, &format!("{RATED}{GOT}"), left);
    session.execute(ACTION, rated).await?;
    stage(session, &format!("{UNREAD}{GOT}"), left).await
}

async fn take_tasks(session: &mut impl Session, left: u64) -> Result<u64> {
    if left == 0 {
        return Ok(0);
    }
    let look = limited(session, &format!("SELECT * {TASKS}"), left);
    let found = session.rows::<tasks::table::Entity>(ACTION, look).await?;
    let mut named = BTreeSet::new();
    for task in &found {
        let made = json::from_text_option("task output_artifacts", task.output_artifacts.as_ref())?;
        named.extend(made.as_ref().map(named_files).unwrap_or_default());
    }
    files::note(session, &named).await?;
    let delete = format!("DELETE FROM tasks WHERE id IN (SELECT id {TASKS})");
    stage(session, &delete, left).await
}

async fn take_runs(session: &mut impl Session, left: u64) -> Result<u64> {
    if left == 0 {
        return Ok(0);
    }
    let look = limited(session, &format!("SELECT * {RUNS}"), left);
    let found = session.rows::<runs::table::Entity>(ACTION, look).await?;
    let definitions = definitions(session).await?;
    let mut named = BTreeSet::new();
    for run in &found {
        let imported: Option<Imported> =
            json::from_text_option("run imported", run.imported.as_ref())?;
        named.extend(imported.map(|imported| imported.file));
        if let Some(definition) = definitions.get(&run.workflow_id) {
            let inputs = json::from_text("run inputs", &run.inputs)?;
            named.extend(handed_files(definition, &inputs));
        }
    }
    files::note(session, &named).await?;
    let delete = format!("DELETE FROM runs WHERE id IN (SELECT id {RUNS})");
    stage(session, &delete, left).await
}

/// Those of the workflows of runs that go which have inputs of files.
async fn definitions(session: &mut impl Session) -> Result<BTreeMap<Uuid, WorkflowDefinition>> {
    let look = Statement::from_string(session.backend(), WITH_FILES);
    let found = session
        .rows::<workflows::table::Entity>(ACTION, look)
        .await?;
    let mut definitions = BTreeMap::new();
    for workflow in found {
        let definition = json::from_text("workflow definition", &workflow.definition)?;
        definitions.insert(workflow.id, definition);
    }
    Ok(definitions)
}

#[cfg(test)]
mod tests {
    use super::{AFTER, BEFORE, GOT, RUNS, TASKS};

    #[test]
    fn each_piece_takes_its_rows_in_an_order() {
        let pieces = BEFORE.iter().chain(&AFTER).chain(&[GOT, TASKS, RUNS]);
        for sql in pieces {
            let (_, order) = sql.rsplit_once("ORDER BY").unwrap_or_default();
            assert!(order.contains("LIMIT $1"), "{sql}");
        }
    }
}
