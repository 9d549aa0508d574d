//! What a person can say about a run that has not ended: hold, go on, end.
//!
//! The word is a field beside the state, written in a commit of its own: it counts from then on, and
//! whoever works on the run obeys it. An end and a completion race for the version of the row, so that
//! one of them wins.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::transition::{StateMachine, text_enum};
use crate::{
    Agent, CancelReason, Change, Decision, EventType, IllegalTransition, Moment, NewEvent, PauseAt,
    Run, Severity, Task, TaskState, Timestamp, WorkflowState,
};

text_enum! {
    /// What becomes of a run that a person halted.
    HaltKind {
        /// Held once the calls in flight are ended.
        NextStep = "next_step",
        /// Held; the calls in flight are cut off, as by a crash.
        Now = "now",
        /// Ended; the calls in flight are cut off.
        Cancel = "cancel",
    }
}

impl From<PauseAt> for HaltKind {
    fn from(at: PauseAt) -> Self {
        match at {
            PauseAt::Now => Self::Now,
            PauseAt::NextStep => Self::NextStep,
        }
    }
}

/// A person's word that holds a run or ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// What was said.
    pub kind: HaltKind,
    /// Since when it counts.
    pub since: Timestamp,
    /// Who said it, for people.
    pub by: String,
    /// It was said of the run above it, and goes with that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_from_above: bool,
}

impl Run {
    /// Whether it is held: nothing of it is handed out.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let halt = self.halt.as_ref().map(|halt| halt.kind);
        matches!(halt, Some(HaltKind::NextStep | HaltKind::Now))
    }

    /// Whether it was told to end and has not ended yet.
    #[must_use]
    pub fn is_being_cancelled(&self) -> bool {
        let is_told = self
            .halt
            .as_ref()
            .is_some_and(|halt| halt.kind == HaltKind::Cancel);
        is_told && !self.state.is_final()
    }

    /// Holds it. Held already, it stays so under the first person's name, and `Now` still cuts off
    /// what a pause at the next step let end.
    ///
    /// # Errors
    /// It has ended or was told to end.
    pub fn pause(
        self,
        at: PauseAt,
        by: &str,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        self.hold(at, (by, false), moment)
    }

    /// Holds it with the run above it: it goes on when that one does.
    ///
    /// # Errors
    /// It has ended or was told to end.
    pub fn pause_from_above(
        self,
        at: PauseAt,
        by: &str,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        self.hold(at, (by, true), moment)
    }

    fn hold(
        mut self,
        at: PauseAt,
        (by, is_from_above): (&str, bool),
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        self.refuse_if_ending()?;
        let kind = HaltKind::from(at);
        if let Some(halt) = &mut self.halt {
            if halt.kind == kind || halt.kind == HaltKind::Now {
                return Ok((self, Decision::default()));
            }
            halt.kind = kind;
        } else {
            self.halt = Some(Halt {
                kind,
                since: moment.now,
                by: by.to_owned(),
                is_from_above,
            });
        }
        let told = format!("{} is paused by {by}", self.workflow_name);
        let event = self.said(moment, EventType::WorkflowPaused, by, told);
        Ok(self.written(event))
    }

    /// Lets it go on; one that is not held is told to go on all the same: its driver may be resting.
    ///
    /// # Errors
    /// It has ended or was told to end.
    pub fn release(
        mut self,
        by: &str,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        self.refuse_if_ending()?;
        let was_held = self.halt.take().is_some();
        let told = format!("{} goes on, says {by}", self.workflow_name);
        let event = self.said(moment, EventType::WorkflowResumed, by, told);
        if was_held {
            Ok(self.written(event))
        } else {
            Ok((self, Decision::default().telling(event)))
        }
    }

    /// Tells it to end: from now on it can't end in any other way.
    ///
    /// # Errors
    /// It has ended.
    pub fn order_cancel(
        mut self,
        by: &str,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        if self.state.is_final() {
            return Err(IllegalTransition::refused(
                self.state,
                WorkflowState::Cancelled,
            ));
        }
        if self.is_being_cancelled() {
            return Ok((self, Decision::default()));
        }
        self.halt = Some(Halt {
            kind: HaltKind::Cancel,
            since: moment.now,
            by: by.to_owned(),
            is_from_above: false,
        });
        let decision = Decision::default().with(Change::update(self.clone()));
        self.version += 1;
        Ok((self, decision))
    }

    /// Ends a run that was told to: its open tasks are cancelled, its agents end. A worker that still
    /// holds one of the tasks finds its lease gone.
    ///
    /// # Errors
    /// It was not told to end or has ended.
    pub fn cancel(
        mut self,
        tasks: &[Task],
        agents: Vec<Agent>,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let by = match &self.halt {
            Some(halt) if halt.kind == HaltKind::Cancel => halt.by.clone(),
            Some(_) | None => {
                return Err(IllegalTransition::refused(
                    self.state,
                    WorkflowState::Cancelled,
                ));
            }
        };
        let mut decision = self.wake_parent();
        if self.state == WorkflowState::Ready {
            self.state = self.state.step(WorkflowState::Running)?;
            decision.changes.push(Change::update(self.clone()));
            self.version += 1;
        }
        self.state = self.state.step(WorkflowState::Cancelled)?;
        self.completed_at = Some(moment.now);
        let why = format!("the run was cancelled by {by}");
        self.error_message = Some(format!("cancelled by {by}"));
        let open: Vec<&Task> = tasks.iter().filter(|task| !task.state.is_final()).collect();
        for task in &open {
            let mut task = (*task).clone();
            let event = task.cancel(CancelReason::Requested, &why, moment)?;
            decision.events.push(event);
            decision.changes.push(Change::update(task));
        }
        if !open.is_empty() {
            decision.changes.push(Change::CloseTasks {
                run_id: self.id,
                count: u32::try_from(open.len()).unwrap_or(u32::MAX),
            });
        }
        // A standing agent may work for another run.
        let works_here = |agent: &&Agent| {
            let is_leased = |task: &&&Task| task.state != TaskState::Queued;
            let mut leased = open.iter().filter(is_leased);
            agent.is_standing() && leased.any(|task| task.agent_id == Some(agent.id))
        };
        let freed = agents.iter().filter(works_here).cloned();
        decision
            .changes
            .extend(freed.filter_map(|agent| agent.put_down(moment)));
        self.end_agents(agents, moment, &mut decision)?;
        let told = format!("{} was cancelled by {by}", self.workflow_name);
        let event = self.said(moment, EventType::WorkflowCancelled, &by, told);
        Ok(decision
            .with(Change::update(self))
            .telling(event.severity(Severity::Warning)))
    }

    fn refuse_if_ending(&self) -> Result<(), IllegalTransition> {
        if self.state.is_final() || self.is_being_cancelled() {
            return Err(IllegalTransition::refused(
                self.state,
                WorkflowState::Running,
            ));
        }
        Ok(())
    }

    fn said(
        &self,
        moment: Moment<'_>,
        event_type: EventType,
        by: &str,
        message: String,
    ) -> NewEvent {
        self.event(moment, event_type, message)
            .data(json!({ "run_id": self.id, "workflow": self.workflow_name, "by": by }))
    }

    /// As it will be once this is committed, and what to commit.
    fn written(mut self, event: NewEvent) -> (Self, Decision) {
        let decision = Decision::default()
            .with(Change::update(self.clone()))
            .telling(event);
        self.version += 1;
        (self, decision)
    }
}

#[cfg(test)]
mod tests;
