//! Tasks that are stopped by a person, or by the end of what they need.

use crate::{CancelReason, Change, Decision, IllegalTransition, Moment, Task, TaskState};

impl Task {
    /// A person stops a task, and with it what needs it in its run. The agent at work on it is not
    /// part of the decision: its worker finds out, and puts it down once nothing of the work is left.
    ///
    /// `siblings` are the tasks of the same run; `reason` is what the person said, and stays with the task.
    ///
    /// # Errors
    /// The task has ended.
    pub fn stop(
        mut self,
        siblings: &[Self],
        reason: Option<&str>,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        let mut decision = Decision::default();
        let why = match reason {
            Some(reason) => format!("a person cancelled it: {reason}"),
            None => "a person cancelled it".to_owned(),
        };
        let event = self.cancel(CancelReason::Requested, &why, moment)?;
        decision.events.push(event);
        let reached = self.spread(siblings, CancelReason::Requested, moment, &mut decision);
        decision.changes.push(Change::CloseTasks {
            run_id: self.run_id,
            count: super::count(&reached).saturating_add(1),
        });
        decision.changes.push(Change::update(self.clone()));
        Ok((self, decision))
    }

    /// A queued task will never run, because `needed`, a task of another run, has not ended well.
    ///
    /// # Errors
    /// The task is not queued.
    pub fn give_up(
        mut self,
        needed: &Self,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        if self.state != TaskState::Queued {
            return Err(IllegalTransition::refused(self.state, TaskState::Cancelled));
        }
        let ended = match needed.state {
            TaskState::Cancelled => "was cancelled",
            TaskState::Queued
            | TaskState::Assigned
            | TaskState::Running
            | TaskState::Completed
            | TaskState::Failed => "failed",
        };
        let why = format!("it needs '{}' ({}), which {ended}", needed.name, needed.id);
        let event = self.cancel(CancelReason::DependencyFailed, &why, moment)?;
        let decision = Decision::default()
            .with(Change::CloseTasks {
                run_id: self.run_id,
                count: 1,
            })
            .with(Change::update(self.clone()))
            .telling(event);
        Ok((self, decision))
    }

    /// Its priority is changed, while nobody has begun it.
    ///
    /// # Errors
    /// The task is not queued.
    pub fn prioritise(
        mut self,
        priority: i32,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        if self.state != TaskState::Queued {
            return Err(IllegalTransition::refused(self.state, TaskState::Queued));
        }
        self.priority = priority;
        let told = format!("{} has priority {priority} now", self.name);
        let event = self.event(moment, crate::EventType::TaskQueued, told);
        let change = Change::update(self.clone());
        self.version += 1;
        Ok((self, Decision::default().with(change).telling(event)))
    }
}
