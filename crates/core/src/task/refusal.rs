//! Tasks that end before anybody began them, because a person did not let them.

use crate::{
    CancelReason, Change, Decision, IllegalTransition, Moment, StateMachine as _, Task, TaskState,
};

impl Task {
    /// A queued task fails, and with it everything that needs it. The store knows no shorter way than
    /// three moves. `siblings` are the tasks of the same run.
    ///
    /// # Errors
    /// It is not queued.
    pub(crate) fn refuse(
        mut self,
        why: &str,
        siblings: &[Self],
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut decision = Decision::default();
        for state in [TaskState::Assigned, TaskState::Running] {
            self.state = self.state.step(state)?;
            decision.changes.push(Change::update(self.clone()));
            self.version += 1;
        }
        let event = self.end_badly(why, moment)?;
        decision.events.push(event);
        let reached = self.end_for_others(siblings, moment, &mut decision);
        decision.changes.push(self.closed(&reached));
        Ok(decision.with(Change::update(self)))
    }

    /// A queued task is skipped, and with it everything that needs it.
    ///
    /// # Errors
    /// It is not queued.
    pub(crate) fn pass_over(
        mut self,
        why: &str,
        siblings: &[Self],
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut decision = Decision::default();
        let reason = CancelReason::DependencySkipped;
        let reached = self.spread(siblings, reason, moment, &mut decision);
        let why = format!("skipped: {why}");
        let event = self.cancel(CancelReason::NotApproved, &why, moment)?;
        decision.events.insert(0, event);
        decision.changes.push(self.closed(&reached));
        Ok(decision.with(Change::update(self)))
    }
}
