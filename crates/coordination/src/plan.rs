//! What a run needs at every step and what never changes while it runs.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{Agent, AgentId, Assignee, CapabilitySet, Run, StepSpec, Workflow, Workspace};

use crate::budgets::Budgets;
use crate::{Error, Result};

/// A run's definition and its agents, read once.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) run: Run,
    pub(crate) workflow: Workflow,
    pub(crate) workspaces: BTreeMap<AgentId, Workspace>,
    /// The distinct sets that steps without an agent of their own need.
    required: BTreeSet<CapabilitySet>,
    pub(crate) budgets: Budgets,
}

impl Plan {
    pub(crate) fn new(
        run: Run,
        workflow: Workflow,
        agents: Vec<(Agent, Workspace)>,
        budgets: Budgets,
    ) -> Self {
        let required = workflow
            .definition
            .steps
            .iter()
            .filter_map(|step| match &step.assignee {
                Assignee::Agent(_) => None,
                Assignee::Capabilities(set) => Some(set.clone()),
            })
            .collect();
        let workspaces = agents
            .into_iter()
            .map(|(agent, workspace)| (agent.id, workspace))
            .collect();
        Self {
            run,
            workflow,
            workspaces,
            required,
            budgets,
        }
    }

    pub(crate) fn step(&self, id: &str) -> Result<&StepSpec> {
        self.workflow
            .definition
            .step(id)
            .ok_or_else(|| Error::Broken(format!("the stored workflow has no step '{id}'")))
    }

    pub(crate) fn workspace(&self, agent: AgentId) -> Result<&Workspace> {
        self.workspaces
            .get(&agent)
            .ok_or_else(|| Error::Broken(format!("agent {agent} has no workspace")))
    }

    /// The keys of the required sets that an agent satisfies.
    pub(crate) fn sets_of(&self, agent: &Agent) -> Vec<String> {
        self.required
            .iter()
            .filter(|set| agent.capabilities.satisfies(set))
            .map(CapabilitySet::key)
            .collect()
    }
}
