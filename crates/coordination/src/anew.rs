//! Tasks that are begun anew: another attempt after a failure, another round of a repeat.

use fusion_agents::{Failure, Record};
use fusion_core::{Again, ErrorCode, OnMax};
use fusion_persistence::Batch;
use serde_json::Value;

use crate::expression_context::with_round;
use crate::journal::TaskJournal;
use crate::races::Races;
use crate::worker::Job;
use crate::{Coordinator, Result};

/// What follows a round that ended well.
pub(crate) enum AfterRound {
    /// The task is done.
    Done,
    /// It is done once more: another of so many rounds.
    Another(u32),
    /// It fails.
    Failed(Failure),
}

/// Whether and how a task that failed is tried again.
pub(crate) fn another_attempt<'f>(
    job: &Job<'_>,
    failure: &Failure,
    error: &'f str,
) -> Option<Again<'f>> {
    if !failure.is_worth_a_retry() {
        return None;
    }
    let retry = job.step.retry?;
    let failures = job.task.course.failures.saturating_add(1);
    Some(Again::Attempt {
        error,
        max_attempts: retry.max_attempts,
        wait: retry.wait_after(failures)?,
    })
}

impl Coordinator {
    /// Whether a step with `repeat` has reached what it repeats for.
    pub(crate) async fn after_round(&self, job: &Job<'_>, outputs: &Value) -> Result<AfterRound> {
        let Some(repeat) = &job.step.repeat else {
            return Ok(AfterRound::Done);
        };
        let named = fusion_workflow_file::steps_named_in_condition(&repeat.until);
        let mut context = self.context(job, named.into_iter().collect()).await?;
        with_round(&mut context, outputs);
        let failed = |code, message| {
            AfterRound::Failed(Failure {
                code,
                message,
                help: None,
            })
        };
        let round = job.task.course.rounds.saturating_add(1);
        Ok(
            match fusion_workflow_file::condition(&repeat.until, &context) {
                Ok(true) => AfterRound::Done,
                Ok(false) if round < repeat.max => AfterRound::Another(repeat.max),
                Ok(false) if repeat.on_max == OnMax::Continue => AfterRound::Done,
                Ok(false) => failed(
                    ErrorCode::InvalidInput,
                    format!("`until: {}` is false after {round} rounds", repeat.until),
                ),
                Err(error) => failed(
                    ErrorCode::InvalidInput,
                    format!("`until` can't be evaluated: {error}"),
                ),
            },
        )
    }

    /// Commits that a task goes back to the queue to be begun anew.
    pub(crate) async fn begin_anew(
        &self,
        job: &Job<'_>,
        journal: &TaskJournal<'_>,
        unrecorded: Vec<Record>,
        why: &Again<'_>,
    ) -> Result<()> {
        let begun = unrecorded.iter().filter_map(|record| match record {
            Record::Begin(entry) => Some(entry.seq),
            Record::Update(_)
            | Record::Send(_)
            | Record::Acknowledge(_)
            | Record::Subscriptions(_)
            | Record::Anew(_) => None,
        });
        let begun = begun.max().unwrap_or(0);
        let last_words = journal.decide(unrecorded).await;
        let stored = self.parts.store.journal(job.task.id).await?;
        let last = stored.last().map_or(0, |entry| entry.seq).max(begun);
        let mut races = Races::new();
        loop {
            let (agent, moment) = (journal.agent(), self.moment());
            let mut decision = last_words.clone();
            decision.merge(job.task.begin_anew(agent, why.clone(), last, moment)?);
            match self.commit(Batch::release(job.fence, decision)).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
            journal.look_again().await?;
        }
    }
}
