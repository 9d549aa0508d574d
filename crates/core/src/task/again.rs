//! Tasks that are begun anew: after a failed attempt, or for another round.

use std::time::Duration;

use serde_json::{Value, json};

use crate::transition::StateMachine as _;
use crate::{
    Agent, Change, Course, Decision, EventType, IllegalTransition, Moment, NewEvent, Question,
    Severity, Task, TaskState,
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
    /// Who was at it got stuck, and another agent is to do it from its beginning.
    HandOver {
        /// Why it got stuck.
        error: &'a str,
        /// Who is to do it.
        to: &'a Agent,
    },
    /// Who was at it got stuck, and a person says whether it is tried again.
    Help {
        /// Why it got stuck.
        error: &'a str,
        /// What the person is asked.
        question: Question,
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
        let child = next.course.child.take();
        next.course.child_before = child.filter(|_| matches!(why, Again::Attempt { .. }));
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
                let reason = format!("attempt {} of {max_attempts}", failures.saturating_add(1));
                let event = next.tried_again(error, &reason, wait, moment);
                postponed = Some(Change::Postpone {
                    task_id: self.id,
                    wait,
                    reason,
                });
                event
            }
            Again::HandOver { error, to } => {
                next.agent_id = Some(to.id);
                next.course.handed_on.push(agent.id);
                next.course.failures = 0;
                next.course.last_error = Some(error.to_owned());
                self.handed_over(&agent, to, error, moment)
            }
            Again::Help { error, question } => {
                next.course.failures = self.course.failures.saturating_add(1);
                next.course.last_error = Some(error.to_owned());
                next.course.is_help_asked = true;
                let mut decision = next.ask(question, moment);
                decision.changes.extend(agent.put_down(moment));
                return Ok(decision);
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
                next.goes_on(max, moment)
            }
        };
        let mut decision = Decision::default()
            .with(Change::update(next))
            .telling(event);
        decision.changes.extend(postponed);
        decision.changes.extend(agent.put_down(moment));
        Ok(decision)
    }

    /// `self` with the failure counted.
    fn tried_again(
        &self,
        error: &str,
        reason: &str,
        wait: Duration,
        moment: Moment<'_>,
    ) -> NewEvent {
        let (number, seconds) = (self.course.failures.saturating_add(1), wait.as_secs());
        let told = format!(
            "{} failed, {reason} follows in {seconds} s: {error}",
            self.name
        );
        self.event(moment, EventType::TaskRetried, told)
            .severity(Severity::Warning)
            .data(json!({
                "task_id": self.id, "step": self.name, "attempt": number, "wait_s": seconds,
                "error": error,
            }))
    }

    /// `self` with the round counted.
    fn goes_on(&self, max: u32, moment: Moment<'_>) -> NewEvent {
        let number = self.course.rounds.saturating_add(1);
        let told = format!("{} goes into round {number} of {max}", self.name);
        self.event(moment, EventType::TaskRetried, told)
            .data(json!({
                "task_id": self.id, "step": self.name, "round": number,
            }))
    }

    fn handed_over(&self, from: &Agent, to: &Agent, error: &str, moment: Moment<'_>) -> NewEvent {
        let told = format!(
            "{} is given to {}, because {} got stuck: {error}",
            self.name, to.name, from.name
        );
        let event = self.event(moment, EventType::TaskRetried, told);
        event.severity(Severity::Warning).data(json!({
            "task_id": self.id, "step": self.name, "from": from.id, "to": to.id, "error": error,
        }))
    }

    /// What a person answered is told to who tries it again.
    pub(crate) fn heard(&self, words: Option<&str>) -> Option<Change> {
        let error = self.course.last_error.as_ref();
        let error = error.filter(|_| self.course.is_help_asked)?;
        let mut next = self.clone();
        next.course.last_error = Some(format!("{error}. A person answers: {}", words?));
        Some(Change::update(next))
    }
}
