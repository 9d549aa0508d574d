//! What becomes of the tasks of an agent that ends.

use crate::{
    Agent, AgentState, CancelReason, Change, Decision, EventType, IllegalTransition, Moment,
    Severity, Task, TaskId, TaskState,
};

/// The open tasks of one run that an agent leaves behind.
///
/// A task that any capable agent may do and that was not begun goes back to the pool, when another
/// living agent of the run can do it. Any other ends: the work on it lies in the workspace of the
/// agent that ends, or nobody else was meant to do it. What needs it ends with it.
#[derive(Debug, Clone, Copy)]
pub struct Orphans<'a> {
    /// Who ends.
    pub agent: &'a Agent,
    /// The other agents of the run.
    pub others: &'a [Agent],
    /// All tasks of the run.
    pub tasks: &'a [Task],
}

impl Orphans<'_> {
    /// The task that a worker holds for the agent: the decision is written under its lease.
    #[must_use]
    pub fn held(&self) -> Option<&Task> {
        self.tasks.iter().find(|task| {
            let is_leased = matches!(task.state, TaskState::Assigned | TaskState::Running);
            is_leased && task.agent_id == Some(self.agent.id)
        })
    }

    /// Decides about each of them. The row of the agent is not part of it.
    ///
    /// # Errors
    /// A task is in a state that has no such move.
    pub fn settle(&self, moment: Moment<'_>) -> Result<Decision, IllegalTransition> {
        let mut tasks = self.tasks.to_vec();
        let mut decision = Decision::default();
        let mut ended = 0_u32;
        for id in self
            .tasks
            .iter()
            .filter(|task| self.is_left(task))
            .map(|task| task.id)
        {
            // One that needs another of them may be cancelled by now.
            let Some(task) = tasks
                .iter()
                .find(|task| task.id == id && !task.state.is_final())
            else {
                continue;
            };
            let task = task.clone();
            if self.goes_back(&task) {
                decision.merge(back_to_the_pool(task, moment)?);
                continue;
            }
            let reached = self.end(task, &tasks, moment, &mut decision)?;
            for task in tasks.iter_mut().filter(|task| reached.contains(&task.id)) {
                task.state = TaskState::Cancelled;
            }
            ended = ended.saturating_add(super::count(&reached));
        }
        if let (Some(first), true) = (self.tasks.first(), ended > 0) {
            decision.changes.push(Change::CloseTasks {
                run_id: first.run_id,
                count: ended,
            });
        }
        Ok(decision)
    }

    /// Whether the agent had it, or was the last that could do it.
    fn is_left(&self, task: &Task) -> bool {
        if task.state.is_final() {
            return false;
        }
        match task.agent_id {
            Some(agent) => agent == self.agent.id,
            None => !self.somebody_can(task),
        }
    }

    fn goes_back(&self, task: &Task) -> bool {
        let is_begun = task.state == TaskState::Running || task.attempts > 0;
        if let Some(pool) = task.pool {
            // Who can do it may come later.
            return !pool.is_demanded && !is_begun;
        }
        task.is_for_anybody() && !is_begun && self.somebody_can(task)
    }

    fn somebody_can(&self, task: &Task) -> bool {
        self.others.iter().any(|agent| {
            agent.id != self.agent.id
                && agent.state != AgentState::Terminated
                && agent.ending().is_none()
                && agent.capabilities.satisfies(&task.required_capabilities)
        })
    }

    /// Ends a task and what needs it; says which tasks these are.
    fn end(
        &self,
        mut task: Task,
        siblings: &[Task],
        moment: Moment<'_>,
        decision: &mut Decision,
    ) -> Result<Vec<TaskId>, IllegalTransition> {
        let why = if task.agent_id.is_some() {
            format!("its agent '{}' was terminated", self.agent.name)
        } else {
            let name = &self.agent.name;
            format!("'{name}' was terminated, and no other agent can do it")
        };
        let event = if task.state == TaskState::Running {
            task.end_badly(&why, moment)?
        } else {
            let reason = CancelReason::AgentEnded;
            task.cancel(reason, &why, moment)?.severity(Severity::Error)
        };
        decision.events.push(event);
        let mut reached = task.spread(siblings, CancelReason::DependencyFailed, moment, decision);
        reached.push(task.id);
        decision.changes.push(Change::update(task));
        Ok(reached)
    }
}

fn back_to_the_pool(mut task: Task, moment: Moment<'_>) -> Result<Decision, IllegalTransition> {
    let why = "its agent was terminated before it began";
    if task.state != TaskState::Queued {
        use crate::StateMachine as _;
        task.state = task.state.step(TaskState::Queued)?;
    }
    let told = format!("{} went back to the queue: {why}", task.name);
    let event = task.event(moment, EventType::TaskRetried, told);
    task.agent_id = None;
    Ok(Decision::default()
        .with(Change::update(task))
        .telling(event))
}
