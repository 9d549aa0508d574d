//! The time that agents get to end what they are at, before they are ended.

use std::time::Duration;

use fusion_api_types::{AgentDetail, Problem, ProblemKind};
use tokio::time::{Instant, sleep};

use crate::args::PauseWhen;
use crate::backend::{AgentQuery, Backend, Leaving};

/// Between two looks whether a call has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Standing agents that are looked through.
const MOST: u32 = 10_000;

/// Has the agents that are to end begin nothing further, and waits until the calls in flight have ended, but no
/// longer than this.
pub(super) async fn give(
    grace: Duration,
    leaving: &Leaving,
    backend: &dyn Backend,
) -> Result<(), Problem> {
    let deadline = Instant::now() + grace;
    let mut at_work = Vec::new();
    for agent in named(leaving, backend).await? {
        let shown = backend.show_agent(&agent).await?;
        if !is_at_work(&shown) {
            continue;
        }
        let id = shown.summary.id;
        match backend.pause_agent(&id, PauseWhen::NextStep.as_str()).await {
            // It is held already, or has just ended what it was at.
            Err(problem) if problem.kind == ProblemKind::Conflict => {}
            held => {
                held?;
            }
        }
        at_work.push(id);
    }
    while !at_work.is_empty() && Instant::now() < deadline {
        sleep(LOOK).await;
        let mut still = Vec::new();
        for id in at_work {
            if is_at_work(&backend.show_agent(&id).await?) {
                still.push(id);
            }
        }
        at_work = still;
    }
    Ok(())
}

async fn named(leaving: &Leaving, backend: &dyn Backend) -> Result<Vec<String>, Problem> {
    if let Leaving::Named(names) = leaving {
        return Ok(names.clone());
    }
    let query = AgentQuery {
        limit: MOST,
        ..AgentQuery::default()
    };
    let living = backend.list_agents(&query).await?.into_iter();
    let standing = living.filter(|agent| agent.run.is_none());
    Ok(standing.map(|agent| agent.id).collect())
}

/// Whether a worker has its task; one that was given back waits in the queue.
fn is_at_work(agent: &AgentDetail) -> bool {
    let task = agent.task.as_ref();
    task.is_some_and(|task| matches!(task.state.as_str(), "assigned" | "running"))
}
