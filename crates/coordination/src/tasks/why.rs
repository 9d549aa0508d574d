//! Why a task waits, for a person.

use fusion_core::{
    Agent, AgentState, Approval, ApprovalState, CapabilitySet, RunId, Task, TaskId, TaskState,
    TaskWait,
};
use fusion_persistence::{AgentFilter, ApprovalFilter, Page, Reader, Repository, Result};

use super::lacking;

/// Agents that are looked at.
const AGENTS: u32 = 1_000;

/// Agents that are named.
const NAMED: usize = 5;

/// Something that a task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// A task that it needs has not ended well.
    Dependency {
        /// The task.
        id: TaskId,
        /// Its name.
        name: String,
        /// How far it is.
        state: TaskState,
    },
    /// A time: it was asked for later, or its provider has a limit.
    Time(TaskWait),
    /// The end of the run that its work is.
    Run {
        /// The run.
        id: RunId,
        /// Which one it is, for people.
        told: String,
    },
    /// A person's answer.
    Approval {
        /// What is asked.
        question: String,
    },
    /// An agent that can do it.
    Capability {
        /// What no agent has.
        unknown: Vec<String>,
        /// The agents that lack the least, and what that is.
        nearest: Vec<(String, Vec<String>)>,
    },
    /// One of the agents that can do it: they are all about something else. The first of them, and how
    /// many there are in all.
    Agents {
        /// Names and states.
        busy: Vec<(String, AgentState)>,
        /// How many can do it.
        count: usize,
    },
    /// Its turn: an agent that can do it is idle.
    Turn,
}

/// What a task waits for; nothing when it does not wait.
///
/// # Errors
/// The store fails.
pub async fn why(store: &dyn Reader, task: &Task) -> Result<Vec<Wait>> {
    let mut waits = Vec::new();
    if !matches!(task.state, TaskState::Queued) {
        return Ok(waits);
    }
    if task.unmet_dependencies > 0 {
        for id in &task.dependencies {
            let needed: Task = store.get(*id).await?;
            if needed.state != TaskState::Completed {
                let (id, name, state) = (needed.id, needed.name, needed.state);
                waits.push(Wait::Dependency { id, name, state });
            }
        }
    }
    let waiting = task.waiting.clone();
    waits.extend(waiting.map(|wait| match task.course.child {
        Some(id) => {
            let told = wait.reason;
            Wait::Run { id, told }
        }
        None => Wait::Time(wait),
    }));
    let filter = ApprovalFilter {
        states: vec![ApprovalState::Pending],
        task: Some(task.id),
        run: None,
    };
    let asked: Vec<Approval> = store.list(&filter, Page::first(AGENTS)).await?;
    waits.extend(asked.into_iter().map(|approval| Wait::Approval {
        question: approval.question,
    }));
    if waits.is_empty() {
        waits.push(for_an_agent(task, &candidates(store, task).await?));
    }
    Ok(waits)
}

/// The agents that are there to do it.
async fn candidates(store: &dyn Reader, task: &Task) -> Result<Vec<Agent>> {
    if task.pool.is_none() {
        let agents = store.agents_of_run(task.run_id).await?;
        let agents = agents.into_iter().map(|(agent, _)| agent);
        return Ok(agents.filter(|agent| may_do(agent, task)).collect());
    }
    let filter = AgentFilter {
        states: vec![
            AgentState::Spawning,
            AgentState::Idle,
            AgentState::Working,
            AgentState::Paused,
            AgentState::Error,
        ],
        standing: true,
        ..AgentFilter::default()
    };
    let mut agents: Vec<Agent> = store.list(&filter, Page::first(AGENTS)).await?;
    agents.retain(|agent| may_do(agent, task));
    agents.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(agents)
}

/// Whether it was meant for this agent, or for anybody.
fn may_do(agent: &Agent, task: &Task) -> bool {
    let anybody = task.attempts == 0 && task.pool.is_some_and(|pool| !pool.is_demanded);
    anybody || task.agent_id.is_none_or(|only| only == agent.id)
}

fn for_an_agent(task: &Task, agents: &[Agent]) -> Wait {
    let required = &task.required_capabilities;
    let able: Vec<&Agent> = agents
        .iter()
        .filter(|agent| agent.capabilities.satisfies(required))
        .collect();
    if able.iter().any(|agent| agent.state == AgentState::Idle) {
        return Wait::Turn;
    }
    if able.is_empty() {
        return nobody(required, agents);
    }
    let busy = able.iter().take(NAMED);
    Wait::Agents {
        busy: busy
            .map(|agent| (agent.name.clone(), agent.state))
            .collect(),
        count: able.len(),
    }
}

/// No agent can do it: what is not there at all, and who comes nearest.
fn nobody(required: &CapabilitySet, agents: &[Agent]) -> Wait {
    let has = |name: &&str| {
        let mut all = agents.iter().flat_map(|agent| agent.capabilities.iter());
        all.any(|one| one == *name)
    };
    let unknown = required.iter().filter(|name| !has(name));
    let mut nearest: Vec<(String, Vec<String>)> = agents
        .iter()
        .map(|agent| (agent.name.clone(), lacking(agent, required)))
        .collect();
    nearest.sort_by_key(|(_, lacks)| lacks.len());
    nearest.truncate(NAMED);
    Wait::Capability {
        unknown: unknown.map(str::to_owned).collect(),
        nearest,
    }
}
