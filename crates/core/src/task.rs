//! Tasks: the unit of work that an agent claims, and the rules of its life.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::transition::{StateMachine, text_enum};
use crate::{
    Agent, AgentId, AgentState, CapabilitySet, Change, Decision, EventType, IllegalTransition,
    Moment, NewEvent, OnFailure, RunId, Severity, TaskId, Timestamp, Usage, WorkflowId,
};

mod again;
mod course;
mod fan_out;
mod files;
mod orphans;
mod pool;
mod refusal;
mod stop;
mod wait;

pub use again::Again;
pub use course::{Course, Item, Recovered, Recovery};
pub use files::{handed_files, is_files, is_hash, named_files};
pub use orphans::Orphans;
pub use pool::{AGEING, DELAYED, Pool, PoolHead, PoolQueue, PoolTask};
pub use wait::TaskWait;

text_enum! {
    /// Where a task is in its life.
    TaskState {
        /// Waits for its dependencies or for an agent.
        Queued = "queued",
        /// Leased to a worker, not begun.
        Assigned = "assigned",
        /// An agent works on it.
        Running = "running",
        /// Ended well; its outputs are stored.
        Completed = "completed",
        /// Ended badly; its error says why.
        Failed = "failed",
        /// Will never run, or was stopped.
        Cancelled = "cancelled",
    }
}

impl TaskState {
    /// Whether nothing comes after this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl StateMachine for TaskState {
    const ENTITY: &'static str = "task";
    const STATES: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn allows(self, to: Self) -> bool {
        use TaskState::{Assigned, Cancelled, Completed, Failed, Queued, Running};
        match self {
            Queued => matches!(to, Assigned | Cancelled),
            Assigned => matches!(to, Running | Cancelled | Queued),
            Running => matches!(to, Completed | Failed | Cancelled | Queued),
            Completed | Failed | Cancelled => false,
        }
    }
}

text_enum! {
    /// Why a task was cancelled.
    CancelReason {
        /// Its own `if` was false.
        ConditionFalse = "condition_false",
        /// A step it needs was skipped, because of its `if` or for this same reason.
        DependencySkipped = "dependency_skipped",
        /// A step it needs failed, or was cancelled because of a failure.
        DependencyFailed = "dependency_failed",
        /// A person stopped it.
        Requested = "requested",
        /// The agent that was to do it has ended, and no other can.
        AgentEnded = "agent_ended",
        /// Nobody approved it in time.
        NotApproved = "not_approved",
        /// It is an item of a list, and another one failed.
        ItemFailed = "item_failed",
    }
}

impl CancelReason {
    /// Whether the workflow chose this way by itself, so that nothing is wrong.
    #[must_use]
    pub const fn is_skip(self) -> bool {
        matches!(
            self,
            Self::ConditionFalse | Self::DependencySkipped | Self::NotApproved
        )
    }
}

/// A unit of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Names the task.
    pub id: TaskId,
    /// The step's id in its workflow, or a free name.
    pub name: String,
    /// What is asked: the template of the prompt.
    pub description: String,
    /// Who does it: given beforehand, or set by the claim.
    pub agent_id: Option<AgentId>,
    /// Until when nobody claims it; only while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<TaskWait>,
    /// Its place in the pool; `None` for a step of a workflow, which agents of its run do, and for what an
    /// agent was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Higher first; of equals the oldest.
    pub priority: i32,
    /// What an agent must be able to do.
    pub required_capabilities: CapabilitySet,
    /// Where it is in its life.
    pub state: TaskState,
    /// When it entered the queue.
    pub queued_at: Timestamp,
    /// When an agent first began it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What must end before it.
    pub dependencies: Vec<TaskId>,
    /// How many of these have not ended well yet.
    pub unmet_dependencies: u32,
    /// What it was given: `prompt`, with its predecessors' outputs put in.
    pub input_artifacts: Value,
    /// What it made: `outputs` and `artifacts` (paths in the workspace).
    pub output_artifacts: Option<Value>,
    /// Why it failed or was cancelled.
    pub error_message: Option<String>,
    /// Why it was cancelled.
    pub cancel_reason: Option<CancelReason>,
    /// Topics its agent may talk on.
    pub communication_channels: Vec<String>,
    /// The definition it comes from.
    pub workflow_id: Option<WorkflowId>,
    /// The run it belongs to.
    pub run_id: RunId,
    /// The worker that claimed it last wins: a write under an older number is refused.
    pub fence: u64,
    /// How often an agent began it.
    pub attempts: u32,
    /// Where it stands among the items, rounds and attempts of its step.
    #[serde(default, skip_serializing_if = "Course::is_plain")]
    pub course: Course,
    /// What its model calls used.
    pub usage: Usage,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

impl Task {
    /// Whether an agent may begin it now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == TaskState::Queued && self.unmet_dependencies == 0 && self.waiting.is_none()
    }

    /// Whether any agent with the required capabilities may do it, and not one that was named.
    #[must_use]
    pub fn is_for_anybody(&self) -> bool {
        self.agent_id.is_none() || !self.required_capabilities.is_empty()
    }

    /// Whether its end makes its run a failure by itself: the one of an item is that of its fan-out.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let is_bad = match self.cancel_reason {
            Some(CancelReason::Requested) => return true,
            Some(CancelReason::AgentEnded) => true,
            Some(
                CancelReason::ConditionFalse
                | CancelReason::DependencySkipped
                | CancelReason::DependencyFailed
                | CancelReason::NotApproved
                | CancelReason::ItemFailed,
            )
            | None => self.state == TaskState::Failed,
        };
        is_bad && self.course.item.is_none() && self.course.on_failure == OnFailure::Fail
    }

    /// The order of the queue: priority first, then age, then id.
    #[must_use]
    pub fn queue_order(&self, other: &Self) -> Ordering {
        (other.priority, self.queued_at, self.id).cmp(&(self.priority, other.queued_at, other.id))
    }

    /// An agent begins a task it has claimed, or takes it up again after a crash.
    ///
    /// # Errors
    /// The task is not assigned, or the agent can't take work.
    pub fn begin(
        mut self,
        mut agent: Agent,
        input: Value,
        moment: Moment<'_>,
    ) -> Result<(Self, Agent, Decision), IllegalTransition> {
        self.state = self.state.step(TaskState::Running)?;
        self.agent_id = Some(agent.id);
        self.started_at.get_or_insert(moment.now);
        self.attempts = self.attempts.saturating_add(1);
        self.input_artifacts = input;
        agent.transition(AgentState::Working, moment.now)?;
        agent.last_heartbeat = Some(moment.now);
        let event = self.event(
            moment,
            EventType::TaskStarted,
            format!("{} started on {}", self.name, agent.name),
        );
        let decision = Decision::default()
            .with(Change::update(self.clone()))
            .with(Change::update(agent.clone()))
            .telling(event);
        self.version += 1;
        agent.version += 1;
        Ok((self, agent, decision))
    }

    /// A running task ends well: its successors have one dependency less. Its agent waits for work
    /// again, unless it was held meanwhile.
    ///
    /// # Errors
    /// The task is not running.
    pub fn complete(
        mut self,
        agent: Agent,
        output: Value,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        self.state = self.state.step(TaskState::Completed)?;
        self.completed_at = Some(moment.now);
        self.output_artifacts = Some(output);
        let event = self.event(
            moment,
            EventType::TaskCompleted,
            format!("{} completed", self.name),
        );
        let mut decision = Decision::default().telling(event);
        decision.changes.extend(self.let_others_go_on());
        decision.changes.push(self.closed(&[]));
        decision.changes.push(Change::update(self));
        decision.changes.extend(agent.put_down(moment));
        Ok(decision)
    }

    /// A running task ends badly; what becomes of the tasks that need it is for its `on_failure` to
    /// say.
    ///
    /// `dependents` are the tasks that need it, directly or through others; more do no harm.
    ///
    /// # Errors
    /// The task is not running.
    pub fn fail(
        mut self,
        agent: Agent,
        error: &str,
        dependents: &[Self],
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let event = self.end_badly(error, moment)?;
        let mut decision = Decision::default().telling(event);
        let reached = self.end_for_others(dependents, moment, &mut decision);
        decision.changes.push(self.closed(&reached));
        decision.changes.push(Change::update(self));
        decision.changes.extend(agent.put_down(moment));
        Ok(decision)
    }

    fn end_badly(&mut self, why: &str, moment: Moment<'_>) -> Result<NewEvent, IllegalTransition> {
        self.state = self.state.step(TaskState::Failed)?;
        self.completed_at = Some(moment.now);
        self.error_message = Some(why.to_owned());
        let told = format!("{} failed: {why}", self.name);
        Ok(self
            .event(moment, EventType::TaskFailed, told)
            .severity(Severity::Error))
    }

    /// A task of a worker that died, or that gives it back, returns to the queue.
    ///
    /// The row itself is changed by the store, under the fence; this decides the rest.
    ///
    /// # Errors
    /// The task is not leased.
    pub fn take_back(
        &self,
        agent: Option<Agent>,
        why: &str,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        self.state.step(TaskState::Queued)?;
        let told = format!("{} went back to the queue: {why}", self.name);
        let mut decision =
            Decision::default().telling(self.event(moment, EventType::TaskRetried, told));
        match agent {
            Some(mut agent) if agent.state == AgentState::Working => {
                agent.transition(AgentState::Idle, moment.now)?;
                let told = format!("{} is idle again: {why}", agent.name);
                decision
                    .events
                    .push(self.event(moment, EventType::AgentRecovered, told));
                decision.changes.push(Change::update(agent));
            }
            // Written as it is, so that the store refuses this when it began in between: it would
            // stay at work on nothing.
            Some(agent) if agent.state == AgentState::Idle => {
                decision.changes.push(Change::update(agent));
            }
            Some(_) | None => {}
        }
        Ok(decision)
    }

    /// An assigned task is not run because its `if` is false; what needs it is skipped too.
    ///
    /// `dependents` are the tasks that need it, directly or through others; more do no harm.
    ///
    /// # Errors
    /// The task is not assigned.
    pub fn skip(
        mut self,
        condition: &str,
        dependents: &[Self],
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut decision = Decision::default();
        let reached = self.spread(
            dependents,
            CancelReason::DependencySkipped,
            moment,
            &mut decision,
        );
        let why = format!("skipped: `if: {condition}` is false");
        let event = self.cancel(CancelReason::ConditionFalse, &why, moment)?;
        decision.events.insert(0, event);
        decision.changes.push(self.closed(&reached));
        decision.changes.push(Change::update(self));
        Ok(decision)
    }

    /// Cancels everything that needs this task, directly or not; says what that was.
    fn spread(
        &self,
        siblings: &[Self],
        reason: CancelReason,
        moment: Moment<'_>,
        decision: &mut Decision,
    ) -> Vec<TaskId> {
        let mut reached = Vec::new();
        for doomed in dependents(siblings, self.id) {
            let mut doomed = doomed.clone();
            let how = match reason {
                CancelReason::Requested => "was cancelled",
                CancelReason::DependencySkipped if !self.state.is_final() => "was skipped",
                CancelReason::DependencySkipped
                | CancelReason::ConditionFalse
                | CancelReason::DependencyFailed
                | CancelReason::NotApproved
                | CancelReason::AgentEnded
                | CancelReason::ItemFailed => "failed",
            };
            let skipped = if reason.is_skip() { "skipped: " } else { "" };
            let why = format!("{skipped}it needs '{}', which {how}", self.name);
            // Only a queued dependent can be met here: it never ran, so the move is always allowed.
            if let Ok(event) = doomed.cancel(reason, &why, moment) {
                reached.push(doomed.id);
                decision.changes.push(Change::update(doomed));
                decision.events.push(event);
            }
        }
        reached
    }

    pub(crate) fn cancel(
        &mut self,
        reason: CancelReason,
        why: &str,
        moment: Moment<'_>,
    ) -> Result<NewEvent, IllegalTransition> {
        self.state = self.state.step(TaskState::Cancelled)?;
        self.completed_at = Some(moment.now);
        self.cancel_reason = Some(reason);
        self.error_message = Some(why.to_owned());
        Ok(self.event(
            moment,
            EventType::TaskCancelled,
            format!("{} cancelled: {why}", self.name),
        ))
    }

    /// An event about this task.
    #[must_use]
    pub fn event(&self, moment: Moment<'_>, event_type: EventType, message: String) -> NewEvent {
        let mut event = NewEvent::of_run(moment, event_type, self.run_id, message)
            .by(self.agent_id)
            .data(json!({ "task_id": self.id, "step": self.name }));
        if let Some(("task", state)) = event_type.as_str().split_once('.') {
            event.message_queue_topic = Some(format!("task.{state}.{}", self.id));
        }
        event
    }
}

fn count(tasks: &[TaskId]) -> u32 {
    u32::try_from(tasks.len()).unwrap_or(u32::MAX)
}

/// The tasks that need `root`, directly or not, nearest first, that have not ended yet.
fn dependents(tasks: &[Task], root: TaskId) -> Vec<&Task> {
    let mut after: BTreeMap<TaskId, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        for need in &task.dependencies {
            after.entry(*need).or_default().push(task);
        }
    }
    let mut seen = BTreeSet::from([root]);
    let mut queue = VecDeque::from([root]);
    let mut found = Vec::new();
    while let Some(id) = queue.pop_front() {
        for task in after.get(&id).into_iter().flatten() {
            if seen.insert(task.id) {
                queue.push_back(task.id);
                if !task.state.is_final() {
                    found.push(*task);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
