//! Tasks that are begun anew: after a failed attempt, or for another round.

use std::time::Duration;

use serde_json::{Value, json};

use crate::transition::StateMachine as _;
use crate::{
    Agent, Change, Course, Decision, EventType, IllegalTransition, Moment, Severity, Task,
    TaskState,
};

/// Why a task is begun anew, and what it leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub enum Again<'a> {
    /// It failed and is tried again.
    Attempt {
        /// Why it failed.
        error: &'a str,
        /// Attempts in all.
        max_attempts: u32,
        /// How long nobody claims it, from the commit on.
        wait: Duration,
    },
    /// It ended well and is to be done once more.
    Round {
        /// What it made.
        outputs: Value,
        /// Rounds in all.
        max: u32,
    },
}

impl Task {
    /// A running task goes back to the queue to be begun anew: with a conversation of its own, in the
    /// same workspace. `journal` is the last entry of its journal so far.
    ///
    /// The store gives the task back under the fence first; this decides the rest.
    ///
    /// # Errors
    /// The task is not leased.
    pub fn begin_anew(
        &self,
        agent: Agent,
        why: Again<'_>,
        journal: u32,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let mut next = self.clone();
        next.state = self.state.step(TaskState::Queued)?;
        // The row was given back before this is written.
        next.version += 1;
        next.output_artifacts = None;
        next.course.journal_from = journal;
        next.course.renewals = self.course.renewals.saturating_add(1);
        let mut postponed = None;
        let event = match why {
            Again::Attempt {
                error,
                max_attempts,
                wait,
            } => {
                let failures = self.course.failures.saturating_add(1);
                next.course.failures = failures;
                next.course.last_error = Some(error.to_owned());
                let number = failures.saturating_add(1);
                let reason = format!("attempt {number} of {max_attempts}");
                let seconds = wait.as_secs();
                let told = format!(
                    "{} failed, {reason} follows in {seconds} s: {error}",
                    self.name
                );
                let event = self.event(moment, EventType::TaskRetried, told);
                postponed = Some(Change::Postpone {
                    task_id: self.id,
                    wait,
                    reason,
                });
                event.severity(Severity::Warning).data(json!({
                    "task_id": self.id, "step": self.name, "attempt": number, "wait_s": seconds,
                    "error": error,
                }))
            }
            Again::Round { outputs, max } => {
                let rounds = self.course.rounds.saturating_add(1);
                next.course = Course {
                    rounds,
                    previous: Some(outputs),
                    failures: 0,
                    last_error: None,
                    ..next.course
                };
                let number = rounds.saturating_add(1);
                let told = format!("{} goes into round {number} of {max}", self.name);
                self.event(moment, EventType::TaskRetried, told)
                    .data(json!({
                        "task_id": self.id, "step": self.name, "round": number,
                    }))
            }
        };
        let mut decision = Decision::default()
            .with(Change::update(next))
            .telling(event);
        decision.changes.extend(postponed);
        decision.changes.extend(agent.put_down(moment));
        Ok(decision)
    }
}
