//! What a run needs at every step and what never changes while it runs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, CapabilitySet, Change, Decision, ErrorCode, Moment, Row, Run, Seat, StepSpec,
    TaskId, Workflow, Workspace,
};

use fusion_persistence::{Guard, RunFence};

use crate::budgets::Budgets;
use crate::folders::Folders;
use crate::{Error, Result};

/// A run's definition and its agents, read once.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) run: Run,
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) workspaces: BTreeMap<AgentId, Workspace>,
    /// The places of the steps in the definition, by id.
    steps: HashMap<String, usize>,
    /// The steps that others need.
    needed: HashSet<String>,
    /// The agents that can be talked to: a runner can't.
    names: BTreeMap<AgentId, String>,
    /// Whether an agent subscribed to something, as far as this process knows: another one may know
    /// more.
    listeners: AtomicBool,
    /// Whether some of its steps are runs of other workflows.
    pub(crate) has_calls: bool,
    /// The steps that ask a person before they begin.
    pub(crate) asking: Vec<String>,
    /// The distinct sets that steps without an agent of their own need.
    required: BTreeSet<CapabilitySet>,
    pub(crate) budgets: Budgets,
    pub(crate) folders: Folders,
    /// By what right this process drives the run, where others may drive it.
    pub(crate) driver: Option<RunFence>,
    /// How often each task found its provider unavailable.
    unserved: Mutex<BTreeMap<TaskId, u32>>,
}

/// How often a task may find its provider unavailable, all repeats of a call done, before the run
/// stops.
const UNSERVED: u32 = 3;

/// Added to each wait: clocks differ, and who comes a moment too early waits once more.
const MARGIN: Duration = Duration::from_millis(100);

/// A limit that lasts longer is asked about again after a day: it may have been raised.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of a task that was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is handed out again.
    Again,
    /// It is handed out again after this time.
    Later(Duration),
    /// The run stops.
    Stop,
}

/// Ends the run of a task of its own with the task, when the decision does that.
///
/// # Errors
/// The run has ended.
pub(crate) fn end_standalone(run: &Run, decision: &mut Decision, moment: Moment<'_>) -> Result<()> {
    if !run.is_standalone {
        return Ok(());
    }
    let mut end = Decision::default();
    for change in &decision.changes {
        if let Change::Update(Row::Task(task)) = change
            && task.run_id == run.id
        {
            end.merge(run.clone().end_with(task, moment)?);
        }
    }
    decision.merge(end);
    Ok(())
}

impl Plan {
    /// The same plan in the hands of who drives the run.
    pub(crate) fn driven_by(self, driver: Option<RunFence>) -> Self {
        Self { driver, ..self }
    }

    /// By what right the run itself is written.
    pub(crate) fn guard(&self) -> Guard {
        self.driver.map_or(Guard::Free, Guard::Driven)
    }

    pub(crate) fn new(
        run: Run,
        workflow: Arc<Workflow>,
        agents: Vec<(Agent, Workspace)>,
        budgets: Budgets,
    ) -> Self {
        let definition = &workflow.definition;
        let folders = Folders::of(definition);
        let required = definition
            .steps
            .iter()
            .filter_map(|step| match definition.seat(step) {
                Seat::Agent(_) => None,
                Seat::Pool(set) => Some(set),
            })
            .collect();
        let asking = definition.steps.iter();
        let asking = asking.filter(|step| step.approval.is_some());
        let asking = asking.map(|step| step.id.clone()).collect();
        let steps = definition.steps.iter().enumerate();
        let steps = steps.map(|(number, step)| (step.id.clone(), number));
        let steps = steps.collect();
        let needed = definition.steps.iter().flat_map(|step| &step.needs);
        let needed = needed.cloned().collect();
        let listens = |(agent, _): &(Agent, _)| !agent.message_subscriptions.is_empty();
        let listeners = AtomicBool::new(agents.iter().any(listens));
        let names = agents
            .iter()
            .filter(|(agent, _)| !agent.is_runner())
            .map(|(agent, _)| (agent.id, agent.name.clone()))
            .collect();
        let workspaces = agents
            .into_iter()
            .map(|(agent, workspace)| (agent.id, workspace))
            .collect();
        let has_calls = definition.has_calls();
        Self {
            run,
            has_calls,
            workflow,
            workspaces,
            steps,
            needed,
            names,
            listeners,
            asking,
            required,
            budgets,
            folders,
            driver: None,
            unserved: Mutex::default(),
        }
    }

    /// What becomes of a task that was not served. It is handed out again at once when its provider
    /// did not answer right, which may pass, and that did not happen to it too often yet; and when a
    /// limit is over that names its end.
    pub(crate) fn next(&self, task: TaskId, code: ErrorCode, limited: Option<Duration>) -> Next {
        if let (ErrorCode::Limited, Some(wait)) = (code, limited) {
            return Next::Later(wait.min(LONGEST_WAIT) + MARGIN);
        }
        if !matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout) {
            return Next::Stop;
        }
        // A poisoned lock still holds whole counts.
        let mut unserved = self.unserved.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unserved.entry(task).or_default();
        *count = count.saturating_add(1);
        if *count < UNSERVED {
            Next::Again
        } else {
            Next::Stop
        }
    }

    /// A decision that ends a task of its own ends its run too.
    ///
    /// # Errors
    /// The run has ended.
    pub(crate) fn ended(&self, mut decision: Decision, moment: Moment<'_>) -> Result<Decision> {
        end_standalone(&self.run, &mut decision, moment)?;
        Ok(decision)
    }

    /// A step by its id; of a task of its own the only one, whatever the task is named.
    pub(crate) fn step(&self, id: &str) -> Result<&StepSpec> {
        let number = self.steps.get(id).copied();
        let number = number.or_else(|| self.run.is_standalone.then_some(0));
        number
            .and_then(|number| self.workflow.definition.steps.get(number))
            .ok_or_else(|| Error::Broken(format!("the stored workflow has no step '{id}'")))
    }

    /// Whether another step needs this one.
    pub(crate) fn is_needed(&self, step: &str) -> bool {
        self.needed.contains(step)
    }

    pub(crate) fn workspace(&self, agent: AgentId) -> Result<&Workspace> {
        self.workspaces
            .get(&agent)
            .ok_or_else(|| Error::Broken(format!("agent {agent} has no workspace")))
    }

    /// Whether an agent may have subscribed to something.
    pub(crate) fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::Relaxed)
    }

    /// An agent is about to subscribe to something.
    pub(crate) fn expect_listeners(&self) {
        self.listeners.store(true, Ordering::Relaxed);
    }

    /// The name of an agent of the run; of another agent, its id.
    pub(crate) fn name_of(&self, agent: AgentId) -> String {
        let name = self.names.get(&agent).cloned();
        name.unwrap_or_else(|| agent.to_string())
    }

    /// The names of the run's other agents, sorted.
    pub(crate) fn peers_of(&self, agent: AgentId) -> Vec<String> {
        let others = self.names.iter().filter(|(id, _)| **id != agent);
        let mut names: Vec<String> = others.map(|(_, name)| name.clone()).collect();
        names.sort_unstable();
        names
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
