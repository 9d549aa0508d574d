//! Questions to people: asked when a step's turn has come, answered once, and never by an agent.
//!
//! A task that has to ask is claimed by nobody from its creation on. Who drives its run asks when its
//! needs are met, with the hash of what is approved; an answer makes the task claimable or ends it.
//! The worker that claims it compares the hash with what it is about to do.

use std::time::Duration;

use data_encoding::HEXLOWER;
use fusion_core::{
    Approval, ApprovalId, ApprovalState, Change, Coded, Decision, ErrorCode, OnExpiry, Question,
    Run, StepSpec, Task, TaskState,
};
use fusion_persistence::{ApprovalFilter, Batch, Page, Repository};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::brief;
use crate::expression_context::task_context;
use crate::plan::Plan;
use crate::races::Races;
use crate::worker::Job;
use crate::{Ask, Coordinator, Result};

/// Questions of a task or a run that are looked at.
const QUESTIONS: u32 = 1_000;

/// Questions that are given up in one go.
const AT_ONCE: u32 = 500;

/// The longest message of a question, in bytes; and of what is answered to it.
pub const MAX_WORDS: usize = 16 * 1024;

/// What a person answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub approves: bool,
    /// What they say to it; the reason of a no.
    pub comment: Option<String>,
    /// The hash of what they saw: an answer to something else is refused.
    pub seen: Option<String>,
}

/// What a worker may do that has claimed a task which had to ask.
pub(crate) enum Permission {
    Given,
    /// The answer was to something else, or there is none.
    Missing,
    /// The question can't be made.
    Fault(String),
}

impl Coordinator {
    /// Asks for the tasks of a run whose turn has come.
    pub(crate) async fn ask_people(&self, plan: &Plan) -> Result<()> {
        if plan.asking.is_empty() {
            return Ok(());
        }
        let tasks = self.parts.store.tasks_named(plan.run.id, &plan.asking);
        for task in tasks.await?.into_iter().filter(Task::has_to_ask) {
            let decision = self.asking(plan, task).await?;
            match self.commit(Batch::free(decision)).await {
                // Another process has just asked.
                Err(error) if error.is_conflict() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// What is done for a task that has to ask. One that will not run, or can't, asks nobody: the
    /// worker that claims it says why.
    async fn asking(&self, plan: &Plan, task: Task) -> Result<Decision> {
        let step = plan.step(&task.name)?;
        let context = self.values_of(plan, step, &task).await?;
        let wake = || Ok(Decision::default().with(Change::WakeTask(task.id)));
        let runs = step
            .condition
            .as_ref()
            .map(|condition| fusion_workflow_file::condition(condition, &context));
        if !matches!(runs, None | Some(Ok(true))) {
            return wake();
        }
        let Ok(Some(question)) = question(step, &context) else {
            return wake();
        };
        let asked = self.questions_of(&task).await?;
        let same = |asked: &&Approval| {
            asked.state == ApprovalState::Pending && asked.subject_hash == question.hash
        };
        if let Some(approval) = asked.iter().find(same) {
            return Ok(Decision::default().with(task.waits_for(approval)));
        }
        Ok(task.ask(question, self.moment()))
    }

    /// The values that the expressions of an asking step name.
    async fn values_of(&self, plan: &Plan, step: &StepSpec, task: &Task) -> Result<Value> {
        let mut named = brief::steps_named(step);
        if let Some(approval) = &step.approval {
            named.extend(fusion_workflow_file::steps_named_in(&approval.message));
        }
        let names: Vec<String> = named.into_iter().collect();
        let tasks = self.parts.store.tasks_named(task.run_id, &names).await?;
        Ok(task_context(&plan.run, &tasks, task))
    }

    async fn questions_of(&self, task: &Task) -> Result<Vec<Approval>> {
        let filter = ApprovalFilter {
            task: Some(task.id),
            ..ApprovalFilter::default()
        };
        Ok(self
            .parts
            .store
            .list(&filter, Page::first(QUESTIONS))
            .await?)
    }

    /// Whether a person said yes to just what a worker is about to do.
    pub(crate) async fn permission(&self, job: &Job<'_>) -> Result<Permission> {
        // Items, rounds and further attempts are what the answer to their step was about.
        let course = &job.task.course;
        if course.item.is_some() || course.renewals > 0 {
            return Ok(Permission::Given);
        }
        let context = self.values_of(job.plan, job.step, &job.task).await?;
        let wanted = match question(job.step, &context) {
            Ok(Some(question)) => question.hash,
            Ok(None) => return Ok(Permission::Given),
            Err(why) => return Ok(Permission::Fault(why)),
        };
        let asked = self.questions_of(&job.task).await?;
        let is_yes =
            |it: &Approval| it.state == ApprovalState::Approved && it.subject_hash == wanted;
        Ok(if asked.iter().any(is_yes) {
            Permission::Given
        } else {
            Permission::Missing
        })
    }

    /// Gives a task back that must ask first.
    pub(crate) async fn give_back_to_ask(&self, job: &Job<'_>) -> Result<()> {
        let decision = job.task.ask_again(self.moment())?;
        self.commit(Batch::release(job.fence, decision)).await
    }

    /// Takes a person's answer: the first one stands. `by` is who answers, which no agent can.
    ///
    /// # Errors
    /// There is no such question, it was answered or has expired, it is about something else than
    /// was seen, its task has ended, a no has no reason, or the store fails.
    pub async fn answer_approval(
        &self,
        id: ApprovalId,
        answer: &Answer,
        by: &str,
        ask: Ask,
    ) -> Result<Approval> {
        self.expire_approvals().await?;
        let store = &self.parts.store;
        let mut races = Races::new();
        loop {
            let approval: Approval = store.get(id).await?;
            let task: Task = store.get(approval.task_id).await?;
            check(&approval, &task, answer)?;
            let moment = self.moment();
            let comment = answer.comment.as_deref();
            let (answered, decision) = if answer.approves {
                approval.approve(&task, by, comment, moment)?
            } else {
                let siblings: Vec<Task> = store.tasks_of_run(task.run_id).await?;
                let words = (by, comment.unwrap_or_default());
                approval.reject(task, &siblings, words, moment)?
            };
            let done = if answer.approves {
                "approved"
            } else {
                "rejected"
            };
            let place = ("approval", id.uuid());
            let batch = ask.clone().batch(done, decision, place, moment);
            match self.commit(batch).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(error) => return Err(error),
                Ok(()) => return Ok(answered),
            }
        }
    }

    /// Gives up the questions that nobody answered in time, by the clock of the database.
    ///
    /// # Errors
    /// The store fails.
    pub async fn expire_approvals(&self) -> Result<usize> {
        let mut expired = 0;
        loop {
            let overdue = self.parts.store.overdue_approvals(AT_ONCE).await?;
            if overdue.is_empty() {
                return Ok(expired);
            }
            let before = expired;
            for approval in overdue {
                expired += usize::from(self.expire(approval).await?);
            }
            // Others are at work on what is left: the next heartbeat looks again.
            if expired == before {
                return Ok(expired);
            }
        }
    }

    async fn expire(&self, approval: Approval) -> Result<bool> {
        let store = &self.parts.store;
        let task: Task = store.get(approval.task_id).await?;
        if matches!(task.state, TaskState::Assigned | TaskState::Running) {
            return Ok(false);
        }
        let siblings: Vec<Task> = store.tasks_of_run(task.run_id).await?;
        let on_expiry = self.on_expiry(&task).await?;
        let decision = approval.expire(task, &siblings, on_expiry, self.moment())?;
        match self.commit(Batch::free(decision)).await {
            // A person was quicker, or a sibling moved: it is looked at again.
            Err(error) if error.lost_a_race() => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }

    async fn on_expiry(&self, task: &Task) -> Result<OnExpiry> {
        let run: Run = self.parts.store.get(task.run_id).await?;
        let workflow = self.parts.store.get(run.workflow_id).await?;
        let step = workflow.definition.step(&task.name);
        let approval = step.and_then(|step| step.approval.as_ref());
        Ok(approval.map_or(OnExpiry::Reject, |approval| approval.on_expiry))
    }

    /// What closes the open questions of a run that ends.
    pub(crate) async fn lapse_approvals(&self, run: &Run) -> Result<Vec<Change>> {
        let filter = ApprovalFilter {
            run: Some(run.id),
            states: vec![ApprovalState::Pending],
            ..ApprovalFilter::default()
        };
        let pending: Vec<Approval> = self
            .parts
            .store
            .list(&filter, Page::first(QUESTIONS))
            .await?;
        let lapsed = pending
            .into_iter()
            .map(|approval| approval.lapse("its run was cancelled", self.moment()));
        Ok(lapsed.collect::<std::result::Result<_, _>>()?)
    }
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum AnswerFault {
    /// Another was first, or it expired.
    #[error("approval {id} was {state} already{}", by.as_ref().map_or_else(String::new, |by| format!(" by {by}")))]
    Answered {
        /// The question.
        id: ApprovalId,
        /// How it stands.
        state: ApprovalState,
        /// Who answered.
        by: Option<String>,
    },
    /// The question is about something else by now.
    #[error("approval {id} is about something else than was seen: look at it again")]
    OtherSubject {
        /// The question.
        id: ApprovalId,
    },
    /// There is nothing left to decide.
    #[error("the step that approval {id} is about has ended")]
    Ended {
        /// The question.
        id: ApprovalId,
    },
    /// A no says why.
    #[error("a rejection needs a reason of at most {MAX_WORDS} bytes")]
    NoReason,
}

impl Coded for AnswerFault {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Answered { .. } | Self::OtherSubject { .. } | Self::Ended { .. } => {
                ErrorCode::Conflict
            }
            Self::NoReason => ErrorCode::InvalidInput,
        }
    }
}

fn check(
    approval: &Approval,
    task: &Task,
    answer: &Answer,
) -> std::result::Result<(), AnswerFault> {
    let id = approval.id;
    let is_other = |seen: &String| *seen != approval.subject_hash;
    if approval.state != ApprovalState::Pending {
        return Err(AnswerFault::Answered {
            id,
            state: approval.state,
            by: approval.resolved_by.clone(),
        });
    }
    if answer.seen.as_ref().is_some_and(is_other) {
        return Err(AnswerFault::OtherSubject { id });
    }
    if task.state.is_final() {
        return Err(AnswerFault::Ended { id });
    }
    let words = answer.comment.as_deref().unwrap_or_default();
    if words.len() > MAX_WORDS || (!answer.approves && words.trim().is_empty()) {
        return Err(AnswerFault::NoReason);
    }
    Ok(())
}

/// What is approved beside the question. Of a list it is what its items are asked, as it is written,
/// and the list.
fn subject(step: &StepSpec, context: &Value) -> std::result::Result<Value, String> {
    let what = match (&step.command, &step.call) {
        (Some(_), _) => "command",
        (None, Some(_)) => "workflow",
        (None, None) => "prompt",
    };
    let Some(foreach) = &step.foreach else {
        let asked = brief::asked(step, context)?;
        let mut subject = json!({ "step": step.id, what: asked });
        if let (Some(call), Value::Object(subject)) = (&step.call, &mut subject) {
            let with = brief::given(call, context)?;
            subject.insert("with".to_owned(), Value::Object(with));
        }
        return Ok(subject);
    };
    let items = fusion_workflow_file::render(&foreach.items, context)
        .map_err(|error| format!("`foreach` can't be evaluated: {error}"))?;
    let mut subject = json!({ "step": step.id, what: step.asked(), "items": items });
    if let (Some(call), Value::Object(subject)) = (&step.call, &mut subject) {
        subject.insert("with".to_owned(), Value::Object(call.with.clone()));
    }
    Ok(subject)
}

/// What a step asks; `None` for one that asks nobody.
fn question(step: &StepSpec, context: &Value) -> std::result::Result<Option<Question>, String> {
    let Some(approval) = &step.approval else {
        return Ok(None);
    };
    let message = fusion_workflow_file::render_text(&approval.message, context)
        .map_err(|error| format!("the message of its approval can't be made: {error}"))?;
    if message.len() > MAX_WORDS {
        return Err(format!(
            "the message of its approval has {} bytes and the limit is {MAX_WORDS}",
            message.len()
        ));
    }
    let subject = subject(step, context)?;
    let whole = json!({ "message": message, "subject": subject });
    Ok(Some(Question {
        hash: HEXLOWER.encode(&Sha256::digest(whole.to_string())),
        message,
        subject,
        expires: approval.expires_seconds.map(Duration::from_secs),
    }))
}
