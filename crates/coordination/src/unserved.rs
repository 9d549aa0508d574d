//! Tasks that go back to the queue unfinished: tried again, postponed, or until the run is resumed.

use std::time::Duration;

use fusion_agents::{Failure, Record};
use fusion_core::{Decision, ErrorCode, EventType, Usage};
use fusion_persistence::Batch;
use serde_json::json;

use crate::journal::TaskJournal;
use crate::plan::{LONGEST_WAIT, Next};
use crate::races::Races;
use crate::worker::Job;
use crate::{Coordinator, Error, Result};

/// How long a task of its own is put off that can't be done now: its provider wants a person first, say.
pub(crate) const REST: Duration = Duration::from_secs(60);

/// What is written of work that is given back.
pub(crate) struct Unfinished {
    /// The last outcomes.
    pub(crate) unrecorded: Vec<Record>,
    /// What calls cost that gave no turn.
    pub(crate) lost: Usage,
    /// How long nobody is to take it up.
    pub(crate) wait: Option<Duration>,
}

impl Coordinator {
    /// A task that its provider did not serve: where a limit is over by itself it waits for that, and
    /// the run goes on with what else there is.
    ///
    /// # Errors
    /// [`Error::Unserved`] when the run has to stop; else as a commit.
    pub(crate) async fn unserved(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        failure: Failure,
        unfinished: Unfinished,
    ) -> Result<()> {
        let next = match job.plan.next(job.task.id, failure.code, unfinished.wait) {
            // No run that others wait for stops: it is put off alone.
            // Over its own limit it goes on when that is raised, which wakes it.
            Next::Stop if is_over_its_own(job, journal, failure.code) => Next::Later(LONGEST_WAIT),
            Next::Again | Next::Stop if job.plan.run.is_standalone => Next::Later(REST),
            next @ (Next::Again | Next::Later(_) | Next::Stop) => next,
        };
        if next == Next::Stop {
            // Before the task is back in the queue: nobody is to ask the provider again.
            job.stop.cancel();
        }
        let wait = match next {
            Next::Later(wait) => Some(wait),
            Next::Again | Next::Stop => None,
        };
        let unfinished = Unfinished { wait, ..unfinished };
        self.give_back(job, journal, unfinished, &failure.message)
            .await?;
        if is_over_its_own(job, journal, failure.code) {
            self.tell_stopped(job, &failure.message, true).await?;
        } else if is_of_standing_agent(job, failure.code) {
            let help = failure.help.as_ref();
            let way = help.map(|help| format!("; {help}")).unwrap_or_default();
            self.tell_stopped(job, &format!("{}{way}", failure.message), false)
                .await?;
        }
        match next {
            Next::Again | Next::Later(_) => Ok(()),
            Next::Stop => Err(Error::Unserved {
                step: job.step.id.clone(),
                code: failure.code,
                message: failure.message,
                help: failure.help,
            }),
        }
    }

    /// Tells which run waits for more than it may cost: its agent belongs to none, so what was told of the
    /// agent does not name it. `is_own` says that the limit is that of a task of its own.
    async fn tell_stopped(&self, job: &Job<'_>, why: &str, is_own: bool) -> Result<()> {
        let mut event = job
            .task
            .event(self.moment(), EventType::BudgetExceeded, why.to_owned());
        if let Some(data) = event.data.as_object_mut() {
            data.insert("is_own".to_owned(), json!(is_own));
        }
        self.commit(Batch::free(Decision::default().telling(event)))
            .await
    }

    /// Commits that a task goes back to the queue. An agent that was held meanwhile stays held.
    pub(crate) async fn give_back(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        unfinished: Unfinished,
        why: &str,
    ) -> Result<()> {
        // A task that was not begun yet has an agent that never left `idle`.
        let began = !journal.discard_opening();
        let mut last_words = journal.decide(unfinished.unrecorded).await;
        last_words.changes.extend(journal.booking(unfinished.lost));
        let mut races = Races::new();
        loop {
            let mut decision = last_words.clone();
            let agent = began.then(|| journal.agent());
            decision.merge(match unfinished.wait {
                None => job.task.take_back(agent, why, self.moment())?,
                Some(wait) => job.task.postpone(agent, wait, why, self.moment())?,
            });
            match self.commit(Batch::release(job.fence, decision)).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
            journal.look_again().await?;
        }
    }
}

/// Whether a task of its own has used up what it may cost itself.
fn is_over_its_own(job: &Job<'_>, journal: &TaskJournal<'_>, code: ErrorCode) -> bool {
    let is_limited = !job.plan.run.raised.run.is_empty() && !journal.is_refused_around();
    code == ErrorCode::OverBudget && job.plan.run.is_standalone && is_limited
}

/// Whether a budget stopped what a standing agent does: for a message, or of its own.
fn is_of_standing_agent(job: &Job<'_>, code: ErrorCode) -> bool {
    code == ErrorCode::OverBudget && job.agent.run_id.is_none()
}
