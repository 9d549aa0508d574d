//! The time that agents get to end what they are at, before they are ended.

use std::time::Duration;

use fusion_api_types::{AgentDetail, AgentSummary, AgentsEnded, Problem, ProblemKind};
use tokio::time::{Instant, sleep};

use crate::args::PauseWhen;
use crate::backend::{AgentQuery, Backend, Leaving};
use crate::session::Session;
use crate::text::{clean, clean_line};

/// Between two looks whether a call has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Standing agents that are looked through.
const MOST: u32 = 10_000;

/// Has the agents that are to end begin nothing further, waits until the calls in flight have ended, but no
/// longer than this, and ends them. Nobody is held before all are known. Who was held for it and has not ended
/// goes on again, which is told.
pub(super) async fn terminate(
    grace: Duration,
    leaving: &Leaving,
    workspace: &'static str,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<AgentsEnded, Problem> {
    let deadline = Instant::now() + grace;
    let agents = resolved(leaving, backend).await?;
    let mut held = Vec::new();
    let given = give(deadline, &agents, &mut held, backend).await;
    let ended = match given {
        Ok(()) => backend.terminate_agents(leaving, workspace).await,
        Err(problem) => Err(problem),
    };
    if let Ok(ended) = &ended {
        held.retain(|agent| ended.left.iter().any(|left| left.id == agent.id));
    }
    let_go_on(&held, backend, session).await;
    ended
}

/// All that are to end.
async fn resolved(leaving: &Leaving, backend: &dyn Backend) -> Result<Vec<AgentSummary>, Problem> {
    if let Leaving::Named(names) = leaving {
        let mut agents = Vec::with_capacity(names.len());
        for name in names {
            agents.push(backend.show_agent(name).await?.summary);
        }
        return Ok(agents);
    }
    let query = AgentQuery {
        limit: MOST,
        ..AgentQuery::default()
    };
    let living = backend.list_agents(&query).await?.into_iter();
    Ok(living.filter(|agent| agent.run.is_none()).collect())
}

/// Holds the agents, also those that wait for work, and waits for those that are at work. Whom it may have held
/// is noted, also where it fails.
async fn give<'a>(
    deadline: Instant,
    agents: &'a [AgentSummary],
    held: &mut Vec<&'a AgentSummary>,
    backend: &dyn Backend,
) -> Result<(), Problem> {
    for agent in agents {
        let paused = backend.pause_agent(&agent.id, PauseWhen::NextStep.as_str());
        match paused.await {
            Ok(_) => held.push(agent),
            // It is held already, or has ended.
            Err(problem) if problem.kind == ProblemKind::Conflict => {}
            Err(problem) => {
                // It may be held all the same.
                if agent.state != "paused" {
                    held.push(agent);
                }
                return Err(problem);
            }
        }
    }
    let mut at_work: Vec<&AgentSummary> = agents.iter().collect();
    loop {
        let mut still = Vec::new();
        for agent in at_work {
            if is_at_work(&backend.show_agent(&agent.id).await?) {
                still.push(agent);
            }
        }
        at_work = still;
        if at_work.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// Has those go on that were held for an end that did not come, as far as that is possible.
async fn let_go_on(held: &[&AgentSummary], backend: &dyn Backend, session: &Session<'_>) {
    let mut away: Option<String> = None;
    for agent in held {
        let name = clean_line(&agent.name);
        let why = match &away {
            Some(why) => why.clone(),
            None => match backend.resume_agent(&agent.id).await {
                Ok(_) => {
                    session.tell(&format!("{name} goes on again\n"));
                    continue;
                }
                // It is not held, or is being ended.
                Err(problem) if problem.kind == ProblemKind::Conflict => continue,
                Err(problem) => {
                    if matches!(
                        problem.kind,
                        ProblemKind::Unavailable | ProblemKind::Timeout
                    ) {
                        away = Some(problem.message.clone());
                    }
                    problem.message
                }
            },
        };
        let resume = session.command(&format!("agent resume {}", clean_line(&agent.id)));
        let why = clean(&why);
        session.tell(&format!(
            "{name} may still be held: {why}\nlet it go on with: {resume}\n"
        ));
    }
}

/// Whether a worker has its task; one that was given back waits in the queue.
fn is_at_work(agent: &AgentDetail) -> bool {
    let task = agent.task.as_ref();
    task.is_some_and(|task| matches!(task.state.as_str(), "assigned" | "running"))
}
