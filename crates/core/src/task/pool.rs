//! The pool: tasks that any standing agent may take, and the order in which they are taken.
//!
//! Such a task is a run of its own. Between projects, the one with the fewest tasks at work comes
//! first, so that a busy project can't take all agents. Among the tasks of a project the rank decides:
//! [`Task::rank`].

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::count;
use crate::transition::StateMachine;
use crate::{
    AgentId, Budget, CapabilitySet, Change, Course, Decision, EventType, IllegalTransition, Moment,
    NewEvent, ProjectId, Raise, Run, RunId, Severity, Task, TaskId, TaskState, Timestamp, Usage,
    Workflow, WorkflowState,
};

/// How long a task waits to count as much as one with a priority higher by one.
pub const AGEING: Duration = Duration::from_secs(5 * 60);

/// What a waiting task is told to wait for when it was asked for at a later time.
pub const DELAYED: &str = "it is asked for later";

/// The place of a task in the pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Whose share of the agents it uses; tasks of no project have a share together.
    pub project: Option<ProjectId>,
    /// Only the agent that it was given to may do it.
    pub is_demanded: bool,
}

/// A queue of the pool: tasks of one project that need the same capabilities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolQueue {
    /// Whose share of the agents its tasks use.
    pub project: Option<ProjectId>,
    /// What an agent must be able to do.
    pub capabilities: CapabilitySet,
}

/// A task of its own that is about to be stored.
#[derive(Debug, Clone)]
pub struct PoolTask<'a> {
    /// Names the task.
    pub id: TaskId,
    /// Names its run.
    pub run_id: RunId,
    /// The workflow that it is a run of: one step.
    pub workflow: &'a Workflow,
    /// Its name, for people.
    pub name: String,
    /// What is asked.
    pub description: String,
    /// What it is given, by name.
    pub inputs: Map<String, Value>,
    /// Its place in the pool.
    pub pool: Pool,
    /// Who is to do it.
    pub agent: Option<AgentId>,
    /// What an agent must be able to do.
    pub capabilities: CapabilitySet,
    /// Higher first.
    pub priority: i32,
    /// Tasks that must end well before it, of any run; each once.
    pub dependencies: Vec<TaskId>,
    /// How long nobody is to begin it.
    pub delay: Option<Duration>,
    /// What its model calls may use at most.
    pub limit: Budget,
}

impl PoolTask<'_> {
    /// Stores the task and its run, which is running from now on. What it waits for is counted by the
    /// store in the same commit, so that a dependency that ends just now is not overlooked.
    #[must_use]
    pub fn create(self, moment: Moment<'_>) -> (Task, Decision) {
        let run = self.run(moment.now);
        let (delay, task) = (self.delay, self.task(moment.now));
        let told = format!("{} queued", task.name);
        let queued = task.event(moment, EventType::TaskQueued, told);
        let mut decision = Decision::default()
            .with(Change::create(run))
            .with(Change::create(task.clone()));
        if !task.dependencies.is_empty() {
            decision.changes.push(Change::CountDependencies(task.id));
        }
        if let Some(wait) = delay {
            decision.changes.push(Change::Postpone {
                task_id: task.id,
                wait,
                reason: DELAYED.to_owned(),
            });
        }
        (task, decision.telling(queued))
    }

    fn run(&self, now: Timestamp) -> Run {
        Run {
            id: self.run_id,
            workflow_id: self.workflow.id,
            workflow_name: self.workflow.name.clone(),
            state: WorkflowState::Running,
            is_standalone: true,
            inputs: self.inputs.clone(),
            outputs: None,
            error_message: None,
            total_tasks: 1,
            open_tasks: 1,
            usage: Usage::default(),
            halt: None,
            continues: None,
            parent: None,
            called: BTreeMap::new(),
            raised: Raise::of_run(self.limit),
            imported: None,
            created_at: now,
            started_at: Some(now),
            completed_at: None,
            version: 1,
        }
    }

    fn task(self, now: Timestamp) -> Task {
        Task {
            id: self.id,
            name: self.name,
            description: self.description,
            agent_id: self.agent,
            waiting: None,
            course: Course::default(),
            pool: Some(self.pool),
            priority: self.priority,
            required_capabilities: self.capabilities,
            state: TaskState::Queued,
            queued_at: now,
            started_at: None,
            completed_at: None,
            unmet_dependencies: count(&self.dependencies),
            dependencies: self.dependencies,
            input_artifacts: json!({}),
            output_artifacts: None,
            error_message: None,
            cancel_reason: None,
            communication_channels: Vec::new(),
            workflow_id: Some(self.workflow.id),
            run_id: self.run_id,
            fence: 0,
            attempts: 0,
            usage: Usage::default(),
            version: 1,
        }
    }
}

/// The first task of a queue of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolHead {
    /// How many tasks of its project are at work.
    pub at_work: u32,
    /// [`Task::rank`].
    pub rank: i64,
    /// The task.
    pub id: TaskId,
}

impl PoolHead {
    /// Whose turn it is: first of the project with the fewest tasks at work, then by rank, then by id.
    #[must_use]
    pub fn turn_order(&self, other: &Self) -> Ordering {
        let key = |head: &Self| (head.at_work, Reverse(head.rank), head.id);
        key(self).cmp(&key(other))
    }
}

impl Task {
    /// Its rank in the pool, the highest first: its priority, which rises by one with every
    /// [`AGEING`] that it waits. As all ranks rise alike, their order never changes, and a rank is
    /// stored once: of two tasks the one of the higher priority is first unless the other is older by
    /// `AGEING` for each step between them. So a task waits at most for those that were queued less than
    /// that time after it.
    #[must_use]
    pub fn rank(&self) -> i64 {
        let ageing = i64::try_from(AGEING.as_millis()).unwrap_or(i64::MAX);
        i64::from(self.priority)
            .saturating_mul(ageing)
            .saturating_sub(self.queued_at.timestamp_millis())
    }

    /// Its queue in the pool, when it is there.
    #[must_use]
    pub fn pool_queue(&self) -> Option<PoolQueue> {
        self.pool.map(|pool| PoolQueue {
            project: pool.project,
            capabilities: self.required_capabilities.clone(),
        })
    }
}

impl Run {
    /// The run of a task of its own ends as its task did.
    ///
    /// # Errors
    /// The run has ended already.
    pub fn end_with(
        mut self,
        task: &Task,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let state = match task.state {
            TaskState::Completed => WorkflowState::Completed,
            TaskState::Failed => WorkflowState::Failed,
            TaskState::Cancelled => WorkflowState::Cancelled,
            TaskState::Queued | TaskState::Assigned | TaskState::Running => {
                return Ok(Decision::default());
            }
        };
        self.state = self.state.step(state)?;
        self.completed_at = Some(moment.now);
        self.error_message.clone_from(&task.error_message);
        let outputs = task.output_artifacts.as_ref();
        self.outputs = outputs.and_then(|made| made.get("outputs")).cloned();
        let event = self.ended(task, moment);
        Ok(Decision::default()
            .with(Change::update(self))
            .telling(event))
    }

    fn ended(&self, task: &Task, moment: Moment<'_>) -> NewEvent {
        let (kind, severity) = match self.state {
            WorkflowState::Completed => (EventType::WorkflowCompleted, Severity::Info),
            WorkflowState::Cancelled => (EventType::WorkflowCancelled, Severity::Info),
            WorkflowState::Draft
            | WorkflowState::Validating
            | WorkflowState::Ready
            | WorkflowState::Running
            | WorkflowState::Failed => (EventType::WorkflowFailed, Severity::Error),
        };
        let told = format!("the run of {} is {}", task.name, self.state);
        self.event(moment, kind, told).severity(severity)
    }
}

#[cfg(test)]
mod tests;
