//! How a person is asked, and what an answer does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Approval, ApprovalId, ApprovalState, Change, Decision, EventType, IllegalTransition, Moment,
    NewEvent, OnExpiry, Severity, StateMachine as _, Task, TaskWait, Timestamp,
};

/// Why a task waits that has not asked yet: the needs of its step come first.
const UNASKED: &str = "a person is asked before it begins";

/// How long an asked task waits: an answer ends it, or the expiry of the question.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);

/// What is asked, with what it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The message, its expressions put in.
    pub message: String,
    /// What an answer is about: the prompt or the command of the step, and the like.
    pub subject: Value,
    /// SHA-256 of message and subject, in hex.
    pub hash: String,
    /// After how long it expires.
    pub expires: Option<Duration>,
}

impl Task {
    /// The wait of a new task that has to ask: nobody claims it before it was answered.
    #[must_use]
    pub fn unasked() -> TaskWait {
        TaskWait {
            // The last moment that has four digits for its year.
            until: Timestamp::from_timestamp_millis(253_402_300_799_000).unwrap_or_default(),
            reason: UNASKED.to_owned(),
        }
    }

    /// Whether it has to ask now: all that it needs has ended well.
    #[must_use]
    pub fn has_to_ask(&self) -> bool {
        let is_unasked = |wait: &TaskWait| wait.reason == UNASKED;
        self.state == crate::TaskState::Queued
            && self.unmet_dependencies == 0
            && self.waiting.as_ref().is_some_and(is_unasked)
    }

    /// Asks a person; the task waits for the answer without a worker. Refused by the store when
    /// another has just asked.
    #[must_use]
    pub fn ask(self, question: Question, moment: Moment<'_>) -> Decision {
        let approval = Approval {
            id: ApprovalId::from_uuid(moment.ids.uuid()),
            task_id: self.id,
            run_id: Some(self.run_id),
            question: question.message,
            subject: question.subject,
            subject_hash: question.hash,
            requested_by: self.agent_id,
            state: ApprovalState::Pending,
            requested_at: moment.now,
            expires_at: question.expires.map(|expires| moment.now + expires),
            resolved_at: None,
            resolved_by: None,
            comment: None,
            version: 1,
        };
        let told = format!("{} asks: {}", self.name, approval.question);
        let event = approval
            .event(&self, EventType::ApprovalRequested, told, moment)
            .severity(Severity::Warning);
        let waits = self.waits_for(&approval);
        Decision::default()
            .with(Change::update(self))
            .with(Change::create(approval))
            .with(waits)
            .telling(event)
    }

    /// Lets it wait for a question that was asked before.
    #[must_use]
    pub fn waits_for(&self, approval: &Approval) -> Change {
        Change::Postpone {
            task_id: self.id,
            wait: FOR_EVER,
            reason: format!("approval {}: {}", approval.id, approval.question),
        }
    }

    /// A leased task whose answer does not count any more goes back, and asks again.
    ///
    /// # Errors
    /// It is not leased.
    pub fn ask_again(&self, moment: Moment<'_>) -> Result<Decision, IllegalTransition> {
        let decision = self.take_back(None, UNASKED, moment)?;
        Ok(decision.with(Change::Postpone {
            task_id: self.id,
            wait: FOR_EVER,
            reason: UNASKED.to_owned(),
        }))
    }
}

impl Approval {
    /// A person says yes: the task can be claimed.
    ///
    /// # Errors
    /// It was answered or has expired.
    pub fn approve(
        self,
        task: &Task,
        by: &str,
        comment: Option<&str>,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        let told = format!("{} was approved by {by}", task.name);
        let comment = comment.map(str::to_owned);
        let heard = task.heard(comment.as_deref());
        let (approval, mut decision) =
            self.resolve(ApprovalState::Approved, (by, comment), (task, told), moment)?;
        decision.changes.extend(heard);
        let decision = decision.with(Change::WakeTask(task.id));
        Ok((approval, decision))
    }

    /// A person says no: the task fails with the reason, and with it what needs it.
    ///
    /// # Errors
    /// It was answered or has expired.
    pub fn reject(
        self,
        task: Task,
        siblings: &[Task],
        (by, reason): (&str, &str),
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        let told = format!("{} was rejected by {by}: {reason}", task.name);
        let comment = Some(reason.to_owned());
        let state = ApprovalState::Rejected;
        let (approval, mut decision) = self.resolve(state, (by, comment), (&task, told), moment)?;
        let why = format!("rejected by {by}: {reason}");
        decision.merge(task.refuse(&why, siblings, moment)?);
        Ok((approval, decision))
    }

    /// Nobody answered in time: the task fails or is skipped.
    ///
    /// # Errors
    /// It was answered or has expired.
    pub fn expire(
        self,
        task: Task,
        siblings: &[Task],
        on_expiry: OnExpiry,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        let told = format!("{}: nobody answered in time", task.name);
        let state = ApprovalState::Expired;
        let (_, mut decision) = self.resolve(state, ("", None), (&task, told), moment)?;
        if !task.state.is_final() {
            let why = "nobody approved it in time";
            decision.merge(match on_expiry {
                OnExpiry::Reject => task.refuse(why, siblings, moment)?,
                OnExpiry::Skip => task.pass_over(why, siblings, moment)?,
            });
        }
        Ok(decision)
    }

    /// Its run or its task ended before it was answered.
    ///
    /// # Errors
    /// It was answered or has expired.
    pub fn lapse(mut self, why: &str, moment: Moment<'_>) -> Result<Change, IllegalTransition> {
        self.state = self.state.step(ApprovalState::Expired)?;
        self.resolved_at = Some(moment.now);
        self.comment = Some(why.to_owned());
        Ok(Change::update(self))
    }

    fn resolve(
        mut self,
        state: ApprovalState,
        (by, comment): (&str, Option<String>),
        (task, told): (&Task, String),
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        self.state = self.state.step(state)?;
        self.resolved_at = Some(moment.now);
        self.resolved_by = (!by.is_empty()).then(|| by.to_owned());
        self.comment = comment;
        let event = self.event(task, EventType::ApprovalResolved, told, moment);
        let decision = Decision::default()
            .with(Change::update(self.clone()))
            .telling(event);
        self.version += 1;
        Ok((self, decision))
    }

    fn event(
        &self,
        task: &Task,
        event_type: EventType,
        told: String,
        moment: Moment<'_>,
    ) -> NewEvent {
        task.event(moment, event_type, told).data(json!({
            "approval_id": self.id, "task_id": task.id, "step": task.name, "state": self.state,
            "question": self.question, "subject_hash": self.subject_hash, "by": self.resolved_by,
        }))
    }
}
