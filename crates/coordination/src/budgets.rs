//! The budgets of a run while it is driven.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusion_core::{Agent, AgentId, Budget, Run, Task, Usage, WorkflowDefinition};
use fusion_providers::Allowance;

/// Budgets that a person gives a run when it is resumed, in the place of those in its workflow
/// file. They count for this time only; the pinned definition stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raised {
    /// The run's.
    pub run: Budget,
    /// Those of agents, by their names in the workflow file.
    pub agents: BTreeMap<String, Budget>,
}

/// What is left of a run's budget and of its agents' own. Shared by all turns of the run in this
/// process; they begin with what is booked in the store, so a resume goes on counting.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    run: Option<Arc<Allowance>>,
    agents: BTreeMap<AgentId, Arc<Allowance>>,
}

impl Budgets {
    pub(crate) fn new(
        definition: &WorkflowDefinition,
        raised: &Raised,
        run: &Run,
        agents: &[&Agent],
        tasks: &[Task],
    ) -> Self {
        let run_budget = over(definition.budget, raised.run);
        // Several agents of one name have one budget.
        let mut by_name: BTreeMap<&str, Vec<AgentId>> = BTreeMap::new();
        for agent in agents {
            if let Some((name, _)) = definition.agent_of(&agent.name) {
                by_name.entry(name).or_default().push(agent.id);
            }
        }
        let of_agents = by_name.into_iter().filter_map(|(name, ids)| {
            let own = definition.agents.get(name)?.budget;
            let raised = raised.agents.get(name).copied().unwrap_or_default();
            let budget = over(own, raised);
            let scope = format!("agent '{name}'");
            let allowance = || Allowance::new(scope, budget, used_by(&ids, tasks));
            let allowance = (!budget.is_empty()).then(allowance)?;
            Some(ids.into_iter().map(move |id| (id, Arc::clone(&allowance))))
        });
        Self {
            run: (!run_budget.is_empty()).then(|| Allowance::new("run", run_budget, run.usage)),
            agents: of_agents.flatten().collect(),
        }
    }

    /// The budgets that an agent's turns use up, from the narrowest to the widest.
    pub(crate) fn of(&self, agent: AgentId) -> Vec<Arc<Allowance>> {
        let own = self.agents.get(&agent);
        own.into_iter().chain(&self.run).cloned().collect()
    }
}

/// A budget with the limits that another one names.
fn over(budget: Budget, raised: Budget) -> Budget {
    Budget {
        usd: raised.usd.or(budget.usd),
        tokens: raised.tokens.or(budget.tokens),
    }
}

/// What the tasks of some agents used.
fn used_by(agents: &[AgentId], tasks: &[Task]) -> Usage {
    let mut used = Usage::default();
    let is_theirs = |task: &&Task| task.agent_id.is_some_and(|agent| agents.contains(&agent));
    for task in tasks.iter().filter(is_theirs) {
        used += task.usage;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::over;
    use fusion_core::{Budget, Cost};

    #[test]
    fn a_raised_budget_takes_the_place_of_the_limits_it_names_only() {
        let usd = |picos| Some(Cost::from_picos(picos));
        let file = Budget {
            usd: usd(5),
            tokens: Some(10),
        };
        let raised = Budget {
            usd: usd(9),
            tokens: None,
        };
        assert_eq!(
            over(file, raised),
            Budget {
                usd: usd(9),
                tokens: Some(10),
            }
        );
    }
}
