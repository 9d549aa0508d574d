//! The budgets of a run while it is driven.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusion_core::{Agent, AgentId, Budget, Run, Task, Usage, WorkflowDefinition};
use fusion_providers::Allowance;

use crate::above::Above;
use crate::shared_budgets::Around;

/// Budgets that a person gives a run when it is resumed, in the place of those in its workflow
/// file. They count for this time only; the pinned definition stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raised {
    /// The run's.
    pub run: Budget,
    /// Those of agents, by their names in the workflow file.
    pub agents: BTreeMap<String, Budget>,
    /// Those of steps, by their ids.
    pub steps: BTreeMap<String, Budget>,
    /// That of all runs of a workflow, with its name.
    pub workflow: Option<(String, Budget)>,
}

/// Before the id of a step, where a name may be that of an agent.
const STEP: &str = "step:";

/// Before the name of a workflow.
const WORKFLOW: &str = "workflow:";

impl Raised {
    /// The budget of an agent, of a step, whose id is written `step:ID`, or of all runs of a workflow:
    /// `workflow:NAME`.
    #[must_use]
    pub fn of(name: &str, budget: Budget) -> Self {
        let mut raised = Self::default();
        if let Some(workflow) = name.strip_prefix(WORKFLOW) {
            raised.workflow = Some((workflow.to_owned(), budget));
            return raised;
        }
        match name.strip_prefix(STEP) {
            Some(step) => raised.steps.insert(step.to_owned(), budget),
            None => raised.agents.insert(name.to_owned(), budget),
        };
        raised
    }

    /// A name of these budgets that a workflow does not know, as it is written, and those that it knows.
    #[must_use]
    pub fn unknown_in(&self, definition: &WorkflowDefinition) -> Option<(String, Vec<String>)> {
        if let Some((name, _)) = &self.workflow {
            let is_it = *name == definition.name;
            return (!is_it).then(|| {
                let known = format!("{WORKFLOW}{}", definition.name);
                (format!("{WORKFLOW}{name}"), vec![known])
            });
        }
        let agents = self.agents.keys();
        if let Some(agent) = agents
            .clone()
            .find(|it| !definition.agents.contains_key(*it))
        {
            return Some((agent.clone(), definition.agents.keys().cloned().collect()));
        }
        let is_known = |id: &&String| definition.step(id).is_some();
        let step = self.steps.keys().find(|id| !is_known(id))?;
        let known = definition.steps.iter();
        let known = known.map(|step| format!("{STEP}{}", step.id)).collect();
        Some((format!("{STEP}{step}"), known))
    }
}

/// What is left of a run's budget and of its agents' own. Shared by all turns of the run in this
/// process; they begin with what is booked in the store, so a resume goes on counting.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    run: Option<Arc<Allowance>>,
    agents: BTreeMap<AgentId, Arc<Allowance>>,
    steps: BTreeMap<String, Arc<Allowance>>,
    /// Those around the run's.
    pub(crate) shared: Arc<Around>,
}

impl Budgets {
    pub(crate) fn new(
        definition: &WorkflowDefinition,
        raised: &Raised,
        run: &Run,
        agents: &[&Agent],
        tasks: &[Task],
    ) -> Self {
        // One that was started with a limit has that instead of its file's.
        let own = run.raised.run.over(definition.budget);
        let run_budget = raised.run.over(own);
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
            let budget = raised.over(own);
            let scope = format!("agent '{name}'");
            let theirs = |task: &Task| task.agent_id.is_some_and(|agent| ids.contains(&agent));
            let allowance = || Allowance::new(scope, budget, used_by(tasks, theirs));
            let allowance = (!budget.is_empty()).then(allowance)?;
            Some(ids.into_iter().map(move |id| (id, Arc::clone(&allowance))))
        });
        let of_steps = definition.steps.iter().filter_map(|step| {
            let raised = raised.steps.get(&step.id).copied().unwrap_or_default();
            let budget = raised.over(step.budget);
            let scope = format!("step '{}'", step.id);
            let used = || used_by(tasks, |task| task.step_id() == step.id);
            (!budget.is_empty()).then(|| (step.id.clone(), Allowance::new(scope, budget, used())))
        });
        // What runs below it use up too is kept in the store.
        let is_alone = !run_budget.is_empty() && !definition.has_calls();
        let total = raised.workflow.as_ref().map(|(_, budget)| *budget);
        let total = total.unwrap_or_default().over(definition.total_budget);
        Self {
            shared: Arc::new(Around::new(&run.workflow_name, total)),
            steps: of_steps.collect(),
            run: is_alone.then(|| Allowance::new("run", run_budget, run.usage)),
            agents: of_agents.flatten().collect(),
        }
    }

    /// The same within the runs above.
    pub(crate) fn within(self, above: Above) -> Self {
        let shared = Arc::new(self.shared.within(above));
        Self { shared, ..self }
    }

    /// The budgets that an agent's turns in a step use up, from the narrowest to the widest.
    pub(crate) fn of(&self, agent: AgentId, step: &str) -> Vec<Arc<Allowance>> {
        let (of_step, own) = (self.steps.get(step), self.agents.get(&agent));
        let narrow = of_step.into_iter().chain(own);
        narrow.chain(&self.run).cloned().collect()
    }
}

/// What those of the tasks used that are meant.
fn used_by(tasks: &[Task], are_meant: impl Fn(&Task) -> bool) -> Usage {
    let mut used = Usage::default();
    for task in tasks.iter().filter(|task| are_meant(task)) {
        used += task.usage;
    }
    used
}
