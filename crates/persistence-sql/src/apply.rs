//! Applies a batch inside an open transaction.

use fusion_core::Change;
use fusion_persistence::{Batch, Committed, Result};
use sea_orm::ConnectionTrait;

use crate::usage::Booked;
use crate::{agents, events, journal, runs, tasks, usage, workflows, workspaces};

/// Checks the fence, writes the rows, appends the events. The caller commits or rolls back.
pub(crate) async fn apply(conn: &impl ConnectionTrait, batch: Batch) -> Result<Committed> {
    if let Some(fence) = batch.fence {
        tasks::check_fence(conn, fence).await?;
        if batch.requeue {
            tasks::requeue(conn, fence).await?;
        }
    }
    for change in batch.decision.changes {
        apply_change(conn, change).await?;
    }
    let last_seq = events::append(conn, batch.decision.events).await?;
    Ok(Committed { last_seq })
}

#[expect(
    clippy::cognitive_complexity,
    reason = "a table: one line for each kind of change"
)]
async fn apply_change(conn: &impl ConnectionTrait, change: Change) -> Result<()> {
    match change {
        Change::CreateWorkflow(workflow) => workflows::create(conn, workflow).await,
        Change::CreateRun(run) => runs::create(conn, run).await,
        Change::UpdateRun(run) => runs::update(conn, run).await,
        Change::CreateAgent(agent) => agents::create(conn, agent).await,
        Change::UpdateAgent(agent) => agents::update(conn, agent).await,
        Change::CreateWorkspace(workspace) => workspaces::create(conn, workspace).await,
        Change::UpdateWorkspace(workspace) => workspaces::update(conn, workspace).await,
        Change::CreateTask(task) => tasks::create(conn, task).await,
        Change::UpdateTask(task) => tasks::update(conn, task).await,
        Change::ReleaseSuccessors(task) => tasks::release_successors(conn, task).await,
        Change::CloseTasks { run_id, count } => runs::close_tasks(conn, run_id, count).await,
        Change::BookUsage {
            run_id,
            task_id,
            usage: used,
        } => {
            usage::book(conn, Booked::Task, task_id.uuid(), used).await?;
            usage::book(conn, Booked::Run, run_id.uuid(), used).await
        }
        Change::BeginEntry(entry) => journal::begin(conn, entry).await,
        Change::UpdateEntry(entry) => journal::update(conn, entry).await,
    }
}
