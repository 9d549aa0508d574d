//! What happens inside one transaction: the jobs one by one, then what all of them tell.

use fusion_core::{AgentId, Change, NewEvent, NewOutboxEntry};
use fusion_persistence::{Committed, Error, Listeners};

use super::job::{Done, Job, Work, Written};
use super::{Care, Open};
use crate::claim::IdleAgents;
use crate::counts::Counts;
use crate::events::{self, index};
use crate::failure::{self, Failure};
use crate::session::{Outcome, Session};
use crate::{agents, apply, claim, mail, nodes, outbox, pool_claim, prune};

/// What became of a job inside a transaction that is still open.
pub(super) enum Ran {
    Done(Done, Option<NewEvent>),
    Refused(Error),
    Again(Error),
}

/// Writes what the jobs count together, appends what they tell, and commits.
pub(super) async fn finish<S: Session>(
    open: &mut Open<'_, S>,
    written: &mut [Written],
) -> failure::Result<Outcome> {
    if written.iter().all(Written::is_nothing) {
        open.session.roll_back().await;
        return Ok(Outcome::Done);
    }
    count(open.session, written).await?;
    claim_next(open.session, written).await?;
    let new = append(open.session, written).await?;
    let unindexed = if open.unindexed + new >= index::DUE_AFTER {
        fill_index(open.session).await?
    } else {
        open.unindexed + new
    };
    fail::fail_point!("persistence_sql::before_commit", |_| std::process::abort());
    let outcome = open.session.commit().await?;
    fail::fail_point!("persistence_sql::after_commit", |_| std::process::abort());
    open.unindexed = unindexed;
    Ok(outcome)
}

/// Brings the index of the event log up to date; gives how many events are to be counted as missing from
/// it. An index that can't be written must not hold up the commits: searches read what it lacks.
async fn fill_index<S: Session>(session: &mut S) -> failure::Result<usize> {
    session.control("SAVEPOINT log_index").await?;
    let filled = index::fill(session).await;
    if let Err(failure @ (Failure::Lost(_) | Failure::Contended(_))) = filled {
        return Err(failure);
    }
    if filled.is_err() {
        session.control("ROLLBACK TO SAVEPOINT log_index").await?;
    }
    session.control("RELEASE SAVEPOINT log_index").await?;
    Ok(match filled {
        Ok(true) => index::DUE_AFTER,
        Ok(false) => 0,
        Err(failure) => {
            tracing::error!(
                error = fusion_core::error_chain(&Error::from(failure)),
                "the newest events were not indexed"
            );
            0
        }
    })
}

/// Writes what the jobs count together.
async fn count(session: &mut impl Session, written: &[Written]) -> failure::Result<()> {
    let mut counts = Counts::default();
    for job in written {
        counts.add(job.changes());
    }
    counts.write(session).await
}

/// Gives the jobs the tasks that they ask for, now that all successors are released.
async fn claim_next(session: &mut impl Session, written: &mut [Written]) -> failure::Result<()> {
    for job in written {
        if let Some(wanted) = job.then() {
            let given = claim::claim(session, wanted, &mut IdleAgents::default()).await?;
            job.give(given);
        }
    }
    Ok(())
}

/// Appends the outbox entries, the mail and the events of all jobs, in their order; says how many
/// events.
async fn append(session: &mut impl Session, written: &mut [Written]) -> failure::Result<usize> {
    let entries: Vec<&NewOutboxEntry> = written.iter().flat_map(Written::outbox).collect();
    outbox::append(session, &entries).await?;
    let changes: Vec<&[Change]> = written.iter().map(Written::changes).collect();
    let settled = mail::write(session, &changes).await?;
    for (job, told) in written.iter_mut().zip(settled) {
        job.told.extend(told);
    }
    let told: Vec<&NewEvent> = written.iter().flat_map(Written::events).collect();
    let count = told.len();
    let mut last = events::append(session, &told).await?;
    // Under the lock of the event log: who subscribed before these events is seen.
    let listeners: Vec<&Listeners> = written.iter().filter_map(Written::listeners).collect();
    agents::expect_listeners(session, &listeners).await?;
    for job in written {
        let own = u64::try_from(job.events().count()).unwrap_or_default();
        last += own;
        if let Done::Committed(committed) = &mut job.done
            && own > 0
        {
            committed.last_seq = last;
        }
    }
    Ok(count)
}

/// The agents that the jobs of a group claim for, looked up together where no job is thought to fail.
pub(super) async fn claimants<S: Session>(
    session: &mut S,
    jobs: &[Job],
    care: Care,
) -> failure::Result<IdleAgents> {
    let ids: Vec<AgentId> = jobs.iter().filter_map(|job| job.work.claimant()).collect();
    if ids.len() < 2 || care != Care::Bold {
        return Ok(IdleAgents::default());
    }
    IdleAgents::look_up(session, &ids).await
}

/// Runs one job. An error means that the whole transaction is gone.
pub(super) async fn part<S: Session>(
    session: &mut S,
    work: &Work,
    care: Care,
    agents: &mut IdleAgents,
) -> Result<Ran, Error> {
    if care == Care::Savepoints {
        session.control("SAVEPOINT job").await?;
    }
    let ran = run(session, work, care, agents).await;
    if let Err(Failure::Lost(error)) = ran {
        return Err(error);
    }
    if care == Care::Savepoints {
        if ran.is_err() {
            session.control("ROLLBACK TO SAVEPOINT job").await?;
        }
        session.control("RELEASE SAVEPOINT job").await?;
    }
    let failure = match ran {
        Ok((done, claimed)) => return Ok(Ran::Done(done, claimed)),
        Err(failure) => failure,
    };
    let is_contended = matches!(failure, Failure::Contended(_));
    let error = failure.into();
    Ok(if is_contended {
        Ran::Again(error)
    } else {
        Ran::Refused(error)
    })
}

/// Writes the rows of a job; a claim gives its event too.
async fn run<S: Session>(
    session: &mut S,
    work: &Work,
    care: Care,
    agents: &mut IdleAgents,
) -> failure::Result<(Done, Option<NewEvent>)> {
    let done = match work {
        Work::Commit(batch) => {
            agents.forget(&batch.decision.changes);
            apply::apply(session, batch, care).await?;
            if batch.dry_run {
                return Err(Error::DryRun.into());
            }
            Done::Committed(Committed::default())
        }
        Work::Claim(wanted) => {
            return Ok(match claim::claim(session, wanted, agents).await? {
                Some((claimed, event)) => (Done::Claimed(Some(Box::new(claimed))), Some(event)),
                None => (Done::Claimed(None), None),
            });
        }
        Work::Take(wanted) => {
            let (answer, event) = pool_claim::take(session, wanted, agents).await?;
            return Ok((Done::Taken(answer), event));
        }
        Work::Extend(lease) => Done::Count(claim::extend(session, *lease).await?),
        Work::Node(work) => Done::Node(nodes::run(session, work).await?),
        Work::Prune(old) => Done::Count(prune::prune(session, *old).await?),
    };
    Ok((done, None))
}
