//! Runs: one execution of one version of a workflow.

mod again;
mod below;
mod control;
mod imported;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::transition::StateMachine;
use crate::{
    Agent, AgentState, Budget, CapabilitySet, Change, Course, Decision, EventType,
    IllegalTransition, Moment, NewEvent, RunId, Seat, Severity, StepSpec, Task, TaskId, TaskState,
    Timestamp, Usage, Workflow, WorkflowId, WorkflowState, Workspace,
};

pub use again::{Continuation, Difference, Unlike};
pub use below::{Parent, Raise};
pub use control::{Halt, HaltKind};
pub use imported::{IMPORTED, Imported};

/// One execution of a workflow. It pins the version of the definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Names the run.
    pub id: RunId,
    /// The version it runs.
    pub workflow_id: WorkflowId,
    /// The workflow's name.
    pub workflow_name: String,
    /// `ready` while its agents are spawned, then `running`, then one of the final states.
    pub state: WorkflowState,
    /// It is a task of its own: nobody drives it, a standing agent takes it from the pool.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_standalone: bool,
    /// The checked inputs.
    pub inputs: Map<String, Value>,
    /// What it gave back, once it completed.
    pub outputs: Option<Value>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// Its tasks.
    pub total_tasks: u32,
    /// Its tasks that have not ended.
    pub open_tasks: u32,
    /// What its model calls used.
    pub usage: Usage,
    /// What a person said that holds or ends it; `None` lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// The run that it goes on from: it took over what was finished there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<RunId>,
    /// The step of another run that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The versions of the workflows that its steps are runs of, and of those that these run, by the text
    /// that a file names them with. All runs below it have the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub called: BTreeMap<String, WorkflowId>,
    /// What a person gave it in the place of the budgets of its file: a limit that it was started with, or
    /// more than that, where runs below it use it up too.
    #[serde(default, skip_serializing_if = "Raise::is_empty")]
    pub raised: Raise,
    /// Where it comes from, when it was not done here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its agents were ready.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

/// A run that is about to be stored: everything it will be made of.
#[derive(Debug, Clone)]
pub struct RunPlan<'a> {
    /// Names the run.
    pub run_id: RunId,
    /// The version to run.
    pub workflow: &'a Workflow,
    /// Checked inputs.
    pub inputs: Map<String, Value>,
    /// Its agents by their names in the run: in state `spawning`, or standing.
    pub agents: BTreeMap<String, (Agent, Workspace)>,
    /// The step of another run that waits for it.
    pub parent: Option<Parent>,
    /// The versions of the workflows that its steps are runs of.
    pub called: BTreeMap<String, WorkflowId>,
    /// What its model calls may use at most, where that is less than its file says.
    pub limit: Budget,
}

impl RunPlan<'_> {
    /// Stores the run as `ready`, its agents as `spawning`, its tasks as `queued`. A run that spawns no
    /// agent is `running` at once: standing agents have their workspaces.
    #[must_use]
    pub fn create(self, moment: Moment<'_>) -> (Run, Decision) {
        let steps = &self.workflow.definition.steps;
        let ids: BTreeMap<&str, TaskId> = steps
            .iter()
            .map(|step| (step.id.as_str(), TaskId::from_uuid(moment.ids.uuid())))
            .collect();
        let total_tasks = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let spawned = || {
            self.agents
                .values()
                .filter(|(agent, _)| !agent.is_standing())
        };
        let is_ready = spawned().next().is_some();
        let run = Run {
            id: self.run_id,
            workflow_id: self.workflow.id,
            workflow_name: self.workflow.name.clone(),
            state: if is_ready {
                WorkflowState::Ready
            } else {
                WorkflowState::Running
            },
            is_standalone: false,
            inputs: self.inputs.clone(),
            outputs: None,
            error_message: None,
            total_tasks,
            open_tasks: total_tasks,
            usage: Usage::default(),
            halt: None,
            continues: None,
            parent: self.parent.clone(),
            called: self.called.clone(),
            raised: Raise::of_run(self.limit.within(self.workflow.definition.budget)),
            imported: None,
            created_at: moment.now,
            started_at: (!is_ready).then_some(moment.now),
            completed_at: None,
            version: 1,
        };
        let mut decision = Decision::default().with(Change::create(run.clone()));
        if !is_ready {
            decision.events.push(run.started(moment));
        }
        for (agent, workspace) in spawned() {
            decision.changes.push(Change::create(agent.clone()));
            decision.changes.push(Change::create(workspace.clone()));
        }
        for step in steps {
            let Some(id) = ids.get(step.id.as_str()).copied() else {
                continue;
            };
            let task = self.task(id, step, &ids, moment.now);
            decision.events.push(task.event(
                moment,
                EventType::TaskQueued,
                format!("{} queued", task.name),
            ));
            decision.changes.push(Change::create(task));
        }
        (run, decision)
    }

    fn task(
        &self,
        id: TaskId,
        step: &StepSpec,
        ids: &BTreeMap<&str, TaskId>,
        now: Timestamp,
    ) -> Task {
        let mut dependencies: Vec<TaskId> = step
            .needs
            .iter()
            .filter_map(|need| ids.get(need.as_str()).copied())
            .collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        let (agent_id, required_capabilities) = match self.workflow.definition.seat(step) {
            Seat::Agent(name) => (
                self.agents.get(name).map(|(agent, _)| agent.id),
                CapabilitySet::default(),
            ),
            Seat::Pool(set) => (None, set),
        };
        Task {
            id,
            name: step.id.clone(),
            description: step.asked().to_owned(),
            agent_id,
            priority: step.priority,
            required_capabilities,
            state: TaskState::Queued,
            queued_at: now,
            started_at: None,
            completed_at: None,
            unmet_dependencies: u32::try_from(dependencies.len()).unwrap_or(u32::MAX),
            dependencies,
            input_artifacts: json!({}),
            output_artifacts: None,
            error_message: None,
            cancel_reason: None,
            communication_channels: Vec::new(),
            workflow_id: Some(self.workflow.id),
            run_id: self.run_id,
            fence: 0,
            attempts: 0,
            waiting: step.approval.is_some().then(Task::unasked),
            course: Course {
                on_failure: step.on_failure,
                ..Course::default()
            },
            pool: None,
            usage: Usage::default(),
            version: 1,
        }
    }
}

impl Run {
    /// The agents' workspaces exist, where they are marked as such: agents become idle, the run starts.
    ///
    /// # Errors
    /// The run is not ready, or an agent is not spawning.
    pub fn launch(
        mut self,
        agents: Vec<(Agent, Workspace)>,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        self.state = self.state.step(WorkflowState::Running)?;
        self.started_at = Some(moment.now);
        let mut decision = Decision::default();
        for (mut agent, workspace) in agents {
            agent.transition(AgentState::Idle, moment.now)?;
            agent.last_heartbeat = Some(moment.now);
            let path = workspace.initialized.then_some(&workspace.root_path);
            decision.events.push(
                self.event(
                    moment,
                    EventType::AgentSpawned,
                    format!("{} is ready", agent.name),
                )
                .by(Some(agent.id))
                .data(json!({ "agent_id": agent.id, "workspace": path })),
            );
            decision.changes.push(Change::update(agent));
            if workspace.initialized {
                decision.changes.push(Change::update(workspace));
            }
        }
        let event = self.started(moment);
        Ok(decision.with(Change::update(self)).telling(event))
    }

    fn started(&self, moment: Moment<'_>) -> NewEvent {
        let told = format!("{} started", self.workflow_name);
        self.event(moment, EventType::WorkflowStarted, told)
    }

    /// All tasks have ended: the run completes, or fails when a task failed.
    ///
    /// `outputs` is what the file's `outputs` gave, or why they could not be made.
    /// The agents that the run spawned are terminated; their workspaces stay.
    ///
    /// # Errors
    /// The run is not running, or an agent still works.
    pub fn finish(
        mut self,
        tasks: &[Task],
        agents: Vec<Agent>,
        outputs: Result<Value, String>,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let failed: Vec<&str> = tasks
            .iter()
            .filter(|task| task.is_failure())
            .map(|task| task.name.as_str())
            .collect();
        let error = match (failed.as_slice(), outputs) {
            ([], Ok(outputs)) => {
                self.outputs = Some(outputs);
                None
            }
            ([], Err(why)) => Some(why),
            ([one], _) => Some(format!("step '{one}' failed")),
            (many, _) => Some(format!("steps '{}' failed", many.join("', '"))),
        };
        self.end(error, agents, moment)
    }

    /// Ends the run: well, or badly for the given reason. A run or an agent that has not begun
    /// takes two moves, each a change of its own: the store knows no shorter way.
    ///
    /// # Errors
    /// The run has ended already, or an agent still works.
    pub fn end(
        mut self,
        error: Option<String>,
        agents: Vec<Agent>,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut decision = self.wake_parent();
        if self.state == WorkflowState::Ready {
            self.state = self.state.step(WorkflowState::Running)?;
            decision.changes.push(Change::update(self.clone()));
            self.version += 1;
        }
        let event = if let Some(why) = &error {
            self.state = self.state.step(WorkflowState::Failed)?;
            self.event(
                moment,
                EventType::WorkflowFailed,
                format!("{} failed: {why}", self.workflow_name),
            )
            .severity(Severity::Error)
        } else {
            self.state = self.state.step(WorkflowState::Completed)?;
            self.event(
                moment,
                EventType::WorkflowCompleted,
                format!("{} completed", self.workflow_name),
            )
        };
        self.error_message = error;
        self.completed_at = Some(moment.now);
        self.end_agents(agents, moment, &mut decision)?;
        Ok(decision.with(Change::update(self)).telling(event))
    }

    /// Ends the agents that the run spawned: a standing agent outlives it, one may have been ended before
    /// it, and one that was told to end has ended when its workspace is dealt with.
    fn end_agents(
        &self,
        agents: Vec<Agent>,
        moment: Moment<'_>,
        decision: &mut Decision,
    ) -> Result<(), IllegalTransition> {
        let own = |agent: &Agent| agent.run_id == Some(self.id);
        let living = |agent: &Agent| agent.state != AgentState::Terminated;
        let is_left = |agent: &Agent| own(agent) && living(agent) && agent.ending().is_none();
        for mut agent in agents {
            if !is_left(&agent) {
                continue;
            }
            if agent.state == AgentState::Spawning {
                agent.transition(AgentState::Error, moment.now)?;
                decision.changes.push(Change::update(agent.clone()));
                agent.version += 1;
            }
            agent.transition(AgentState::Terminated, moment.now)?;
            decision.events.push(self.agent_event(moment, &agent));
            decision.changes.push(Change::update(agent));
        }
        Ok(())
    }

    fn agent_event(&self, moment: Moment<'_>, agent: &Agent) -> NewEvent {
        self.event(
            moment,
            EventType::AgentTerminated,
            format!("{} ended", agent.name),
        )
        .by(Some(agent.id))
    }

    /// A person, or the age of the run, has it deleted, with as many runs in all.
    #[must_use]
    pub fn delete(&self, by: &str, runs: usize, moment: Moment<'_>) -> Decision {
        let told = format!("{} was deleted by {by}", self.workflow_name);
        let mut event = self.event(moment, EventType::RunDeleted, told);
        if let Value::Object(data) = &mut event.data {
            data.insert("by".to_owned(), json!(by));
            data.insert("runs".to_owned(), json!(runs));
        }
        Decision::default()
            .with(Change::DeleteRun(self.id))
            .telling(event)
    }

    /// An event about this run.
    #[must_use]
    pub fn event(&self, moment: Moment<'_>, event_type: EventType, message: String) -> NewEvent {
        NewEvent::of_run(moment, event_type, self.id, message)
            .data(json!({ "run_id": self.id, "workflow": self.workflow_name }))
    }
}
