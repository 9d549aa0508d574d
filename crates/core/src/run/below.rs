//! Runs that steps of other runs wait for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::transition::StateMachine as _;
use crate::{
    Budget, Change, Decision, EventType, IllegalTransition, Moment, Run, RunId, Task, TaskId,
    TaskState, run_subject,
};

/// How long a step waits for a run that may take as long as it wants: its end wakes the step.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);

/// The step of a run that waits for another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run above.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// The name of the task: the step, or an item of it.
    pub step: String,
}

/// What a person gave a run beyond the budgets of its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// In the place of the run's own.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub run: Budget,
    /// In the place of that of all runs of its workflow.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub total: Budget,
}

impl Raise {
    /// One of the run itself.
    #[must_use]
    pub fn of_run(run: Budget) -> Self {
        Self {
            run,
            total: Budget::default(),
        }
    }

    /// Whether nothing was given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.run.is_empty() && self.total.is_empty()
    }
}

impl Run {
    /// Lets the step go on that waits for it: part of the commit that ends it, before all else, so that
    /// whoever writes the task and this run takes them in the same order.
    pub(super) fn wake_parent(&self) -> Decision {
        let parent = self.parent.iter();
        Decision {
            changes: parent.map(|it| Change::WakeTask(it.task_id)).collect(),
            ..Decision::default()
        }
    }

    /// The subject of the run above it, once it has ended.
    pub(crate) fn heard_above(&self) -> Option<String> {
        let parent = self.parent.as_ref().filter(|_| self.state.is_final())?;
        Some(run_subject(parent.run_id))
    }

    /// What a person gives it beyond its budgets; what is not named stays. `None` when it has that.
    #[must_use]
    pub fn raise_budgets(mut self, more: Raise) -> Option<Decision> {
        let raise = Raise {
            run: more.run.over(self.raised.run),
            total: more.total.over(self.raised.total),
        };
        if raise == self.raised {
            return None;
        }
        self.raised = raise;
        Some(Decision::default().with(Change::update(self)))
    }
}

impl Task {
    /// A leased task returns to the queue and waits for the end of a run, or until `wait` is over, counted
    /// by the clock of the database.
    ///
    /// The store gives the task back under the fence first; this decides the rest.
    ///
    /// # Errors
    /// The task is not leased.
    pub fn await_run(
        &self,
        child: &Run,
        wait: Option<Duration>,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut next = self.clone();
        next.state = self.state.step(TaskState::Queued)?;
        // The row was given back before this is written.
        next.version += 1;
        next.started_at.get_or_insert(moment.now);
        next.course.child = Some(child.id);
        if self.is_for_anybody() {
            next.agent_id = None;
        }
        let reason = format!("run {} of workflow '{}'", child.id, child.workflow_name);
        let told = format!("{} waits for {reason}", self.name);
        let event = self.event(moment, EventType::TaskRetried, told);
        let event = event.data(json!({
            "task_id": self.id, "step": self.name, "child_run_id": child.id,
        }));
        Ok(Decision::default()
            .with(Change::update(next))
            .with(Change::Postpone {
                task_id: self.id,
                wait: wait.unwrap_or(FOR_EVER),
                reason,
            })
            .telling(event))
    }

    /// The subject of the run that its work was, once it has ended: nobody waits for that any more.
    pub(crate) fn heard_below(&self) -> Option<String> {
        let child = self.course.child.filter(|_| self.state.is_final())?;
        Some(run_subject(child))
    }
}

#[cfg(test)]
mod tests;
