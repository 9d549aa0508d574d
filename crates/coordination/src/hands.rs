//! The agents of a run as its driver knows them: who works for it, and who may be asked.

use std::collections::BTreeSet;

use fusion_core::{Agent, AgentId, AgentState, Workspace};

/// The agents of a driven run.
#[derive(Debug)]
pub(crate) struct Hands {
    agents: Vec<Agent>,
    /// Those that this driver gave a task which has not ended yet.
    at_work: BTreeSet<AgentId>,
    /// Somebody may have changed an agent since they were read.
    is_stale: bool,
}

impl Hands {
    pub(crate) fn new(agents: &[(Agent, Workspace)]) -> Self {
        Self {
            agents: rows(agents),
            at_work: BTreeSet::new(),
            is_stale: false,
        }
    }

    /// Somebody else did something in the run.
    pub(crate) const fn doubt(&mut self) {
        self.is_stale = true;
    }

    /// Whether they are to be read again.
    pub(crate) const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// The agents as they are now.
    pub(crate) fn renew(&mut self, agents: &[(Agent, Workspace)]) {
        self.agents = rows(agents);
        self.is_stale = false;
    }

    /// Those that may take a task. Whether one does is for the store to say.
    pub(crate) fn free(&self) -> Vec<Agent> {
        let may_work = |agent: &&Agent| match agent.state {
            AgentState::Spawning | AgentState::Idle | AgentState::Working => {
                !self.at_work.contains(&agent.id)
            }
            AgentState::Paused | AgentState::Terminated | AgentState::Error => false,
        };
        self.agents.iter().filter(may_work).cloned().collect()
    }

    /// Whether all are held.
    pub(crate) fn are_held(&self) -> bool {
        let is_held = |agent: &Agent| agent.state == AgentState::Paused;
        self.agents.iter().all(is_held)
    }

    /// An agent was given a task.
    pub(crate) fn began(&mut self, agent: AgentId) {
        self.at_work.insert(agent);
    }

    /// What an agent did has ended.
    pub(crate) fn ended(&mut self, agent: AgentId) {
        self.at_work.remove(&agent);
    }
}

fn rows(agents: &[(Agent, Workspace)]) -> Vec<Agent> {
    agents.iter().map(|(agent, _)| agent.clone()).collect()
}
