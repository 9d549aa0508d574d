//! The single writer: the jobs of many callers in one transaction, answered after COMMIT.
//!
//! An fsync costs far more than a statement, so callers that arrive while a transaction is under
//! way share the next one. They run boldly first: without what only a failing job needs, because
//! that costs more than a failure that hardly ever comes. When one fails, all of them run again
//! with care, each in a savepoint, and that one is rolled back alone.
//! What a database does when it is in trouble is tried again here, so that a caller sees an error
//! only when nothing of its job was written (or when even that could not be found out).

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use fusion_persistence::{
    Batch, Claim, Claimed, Committed, Error, Lease, PoolAnswer, PoolClaim, Prune, Result,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::events::index;
use crate::failure::Failure;
use crate::session::{Outcome, Session};

mod gathering;
mod job;
mod nodes;
mod transaction;

use gathering::{gather, receive};
use job::{Done, Work, Written};
use transaction::{Ran, claimants, finish, part};

pub(crate) use job::Job;

/// Jobs in one transaction at most.
const GROUP: usize = 64;

/// Jobs waiting for the writer before callers wait too.
const QUEUE: usize = 1_024;

/// Groups that run with care after a job failed: failures come in swarms.
const CAREFUL_GROUPS: u32 = 16;

/// How often a job is tried when other transactions or a lost connection are in the way.
const TRIES: u32 = 5;

/// How long a job is tried before its caller is told that the database is away. One try may take
/// longer.
const TRY_FOR: Duration = Duration::from_secs(5);

/// The wait before the second try; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// The wait between two looks at what became of a COMMIT.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What became of a COMMIT that was not done.
const BROKEN: &str = "the connection broke before the commit was done";

/// How long an interrupted COMMIT is looked for before its callers are told that nobody knows.
const LOOK_FOR: Duration = Duration::from_secs(180);

/// A hand on the writer; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// The writer's end of the queue.
pub(crate) type Jobs = mpsc::Receiver<Job>;

impl Writer {
    /// A hand on a writer that still has to be started: [`work`] does its work.
    pub(crate) fn new() -> (Self, Jobs) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        (Self { jobs }, queue)
    }

    pub(crate) async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        match self.ask(Work::Commit(batch)).await? {
            Done::Committed(committed) => Ok(committed),
            Done::Claimed(_) | Done::Taken(_) | Done::Count(_) | Done::Node(_) => Err(mixed_up()),
        }
    }

    pub(crate) async fn claim(&self, claim: Claim) -> Result<Option<Claimed>> {
        match self.ask(Work::Claim(Box::new(claim))).await? {
            Done::Claimed(claimed) => Ok(claimed.map(|claimed| *claimed)),
            Done::Committed(_) | Done::Taken(_) | Done::Count(_) | Done::Node(_) => Err(mixed_up()),
        }
    }

    pub(crate) async fn take(&self, claim: PoolClaim) -> Result<PoolAnswer> {
        match self.ask(Work::Take(Box::new(claim))).await? {
            Done::Taken(answer) => Ok(answer),
            Done::Committed(_) | Done::Claimed(_) | Done::Count(_) | Done::Node(_) => {
                Err(mixed_up())
            }
        }
    }

    pub(crate) async fn extend(&self, lease: Lease) -> Result<u64> {
        self.count(Work::Extend(lease)).await
    }

    pub(crate) async fn prune(&self, old: Prune) -> Result<u64> {
        self.count(Work::Prune(old)).await
    }

    async fn count(&self, work: Work) -> Result<u64> {
        match self.ask(work).await? {
            Done::Count(count) => Ok(count),
            Done::Committed(_) | Done::Claimed(_) | Done::Taken(_) | Done::Node(_) => {
                Err(mixed_up())
            }
        }
    }

    async fn ask(&self, work: Work) -> Result<Done> {
        let (answer, answered) = oneshot::channel();
        self.jobs
            .send(Job { work, answer })
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

fn closed() -> Error {
    Error::Unusable {
        reason: "the store is closed".to_owned(),
    }
}

fn mixed_up() -> Error {
    crate::error::corrupt("an answer of the writer")
}

/// Writes until every hand on the writer is gone.
pub(crate) async fn work<S: Session>(mut session: S, mut queue: Jobs) {
    let mut group = Vec::with_capacity(GROUP);
    let mut open = Open {
        session: &mut session,
        // What an earlier process left is indexed with the first commit.
        unindexed: index::DUE_AFTER,
        careful_groups: 0,
    };
    let mut callers = 0;
    let mut is_awake = false;
    while receive(&mut group, &mut queue, &mut is_awake).await > 0 {
        gather(&mut group, callers, &mut queue);
        callers = group.len();
        write(&mut open, std::mem::take(&mut group), &mut queue).await;
    }
}

/// The session, and what is known of the log.
struct Open<'s, S> {
    session: &'s mut S,
    /// Events since the index of the log was brought up to date.
    unindexed: usize,
    /// How many of the next groups run with care.
    careful_groups: u32,
}

impl<S> Open<'_, S> {
    /// How the next group runs.
    const fn next_care(&mut self, jobs: usize) -> Care {
        if self.careful_groups == 0 {
            return Care::Bold;
        }
        self.careful_groups -= 1;
        Care::of(jobs)
    }
}

/// How the jobs of a transaction run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// As if none could fail: when one does, all run again in another way.
    Bold,
    /// One job, whose failure is told as it is.
    Alone,
    /// Each in a savepoint: a failure is told as it is, and takes nothing else with it.
    Savepoints,
}

impl Care {
    /// Of so many jobs that may fail.
    const fn of(jobs: usize) -> Self {
        if jobs > 1 {
            Self::Savepoints
        } else {
            Self::Alone
        }
    }
}

/// Answers a group of jobs, each once it is durable or refused.
async fn write<S: Session>(open: &mut Open<'_, S>, mut group: Vec<Job>, queue: &mut Jobs) {
    let give_up = Instant::now() + TRY_FOR;
    let mut tries = 0;
    while !group.is_empty() {
        tries += 1;
        let attempt = attempt(open, group).await;
        let (left, why) = match attempt {
            Attempt::Over(left) => left,
            Attempt::TooBold(jobs) => {
                tries -= 1;
                group = jobs;
                continue;
            }
            Attempt::Unknown(written) => {
                settle(open.session, written, queue).await;
                return;
            }
            Attempt::Apart(jobs) => {
                for job in jobs {
                    Box::pin(write(open, vec![job], queue)).await;
                }
                return;
            }
        };
        if tries == TRIES || left.is_empty() || Instant::now() >= give_up {
            refuse(left, &why);
            return;
        }
        group = left;
        sleep(FIRST_WAIT * 2_u32.pow(tries - 1)).await;
    }
}

/// How one transaction went.
enum Attempt {
    /// These jobs were not written and not answered, for this reason.
    Over((Vec<Job>, Why)),
    /// The COMMIT was interrupted.
    Unknown(Vec<Written>),
    /// One of them failed where none was expected to: the transaction was rolled back.
    TooBold(Vec<Job>),
    /// What they have in common was refused: each is to be tried in a transaction of its own.
    Apart(Vec<Job>),
}

/// Why jobs were not written: makes an error for each of them.
type Why = Box<dyn Fn() -> Error + Send>;

fn why(error: Error) -> Why {
    let told = error
        .source()
        .map_or_else(|| error.to_string(), fusion_core::error_chain);
    if let Error::Unusable { reason } = error {
        return Box::new(move || Error::Unusable {
            reason: reason.clone(),
        });
    }
    let is_full = matches!(error, Error::DiskFull { .. });
    Box::new(move || {
        let source = told.clone().into();
        if is_full {
            Error::DiskFull { source }
        } else {
            let action = "write";
            Error::Unavailable { action, source }
        }
    })
}

/// What became of the jobs of a transaction that is still open.
struct Results {
    written: Vec<Written>,
    refused: Vec<(Job, Error)>,
    /// Others were in the way of these, and how.
    again: Vec<Job>,
    reason: Why,
}

impl Results {
    fn new(jobs: usize) -> Self {
        Self {
            written: Vec::with_capacity(jobs),
            refused: Vec::new(),
            again: Vec::new(),
            reason: why(Error::Unavailable {
                action: "write",
                source: BROKEN.into(),
            }),
        }
    }

    /// All jobs; their order is kept as long as none failed.
    fn into_jobs(self) -> Vec<Job> {
        let written = self.written.into_iter().map(|written| written.job);
        let refused = self.refused.into_iter().map(|(job, _)| job);
        written.chain(refused).chain(self.again).collect()
    }
}

/// Runs a group of jobs in one transaction.
async fn attempt<S: Session>(open: &mut Open<'_, S>, group: Vec<Job>) -> Attempt {
    let group = match nodes::keep_alone(open.session, group).await {
        Ok(group) => group,
        Err(attempt) => return attempt,
    };
    // One that is only tried ends as a failure does, and is none of its neighbours' trouble.
    let care = if group.iter().any(|job| job.work.is_tried()) {
        Care::of(group.len())
    } else {
        open.next_care(group.len())
    };
    if let Err(failure) = open.session.begin().await {
        return Attempt::Over((group, why(failure.into())));
    }
    let mut results = match run_all(open, group, care).await {
        Ok(results) => results,
        Err(given_up) => return given_up,
    };
    match finish(open, &mut results.written).await {
        Ok(Outcome::Done) => {
            for Written { job, done, .. } in results.written {
                tell(job, Ok(done));
            }
            for (job, error) in results.refused {
                tell(job, Err(error));
            }
            Attempt::Over((results.again, results.reason))
        }
        Ok(Outcome::Unknown) => {
            let Results {
                written,
                refused,
                again,
                reason,
            } = results;
            // What a neighbour wrote may be why they were refused.
            refuse(refused.into_iter().map(|(job, _)| job).collect(), &reason);
            refuse(again, &reason);
            Attempt::Unknown(written)
        }
        Err(failure) => {
            open.session.roll_back().await;
            not_committed(results.into_jobs(), failure)
        }
    }
}

/// Runs the jobs one after the other in the open transaction. An error means that it was rolled back.
async fn run_all<S: Session>(
    open: &mut Open<'_, S>,
    group: Vec<Job>,
    care: Care,
) -> std::result::Result<Results, Attempt> {
    let Ok(mut agents) = claimants(open.session, &group, care).await else {
        return Err(too_bold(open, group).await);
    };
    let mut results = Results::new(group.len());
    let mut jobs = group.into_iter();
    while let Some(job) = jobs.next() {
        match part(open.session, &job.work, care, &mut agents).await {
            Ok(Ran::Done(done, claimed)) => results.written.push(Written {
                job,
                done,
                told: claimed.into_iter().collect(),
            }),
            Ok(Ran::Refused(_) | Ran::Again(_)) if care == Care::Bold => {
                let before = results.into_jobs().into_iter();
                return Err(too_bold(open, before.chain([job]).chain(jobs).collect()).await);
            }
            Ok(Ran::Refused(error)) => results.refused.push((job, error)),
            Ok(Ran::Again(error)) => {
                results.reason = why(error);
                results.again.push(job);
            }
            Err(lost) => {
                open.session.roll_back().await;
                let before = results.into_jobs().into_iter();
                return Err(over(before.chain([job]).chain(jobs).collect(), lost));
            }
        }
    }
    Ok(results)
}

/// Gives a transaction up whose jobs, in their order, are to run with care.
async fn too_bold<S: Session>(open: &mut Open<'_, S>, jobs: Vec<Job>) -> Attempt {
    open.session.roll_back().await;
    open.careful_groups = CAREFUL_GROUPS;
    Attempt::TooBold(jobs)
}

/// What to do with the jobs of a transaction that was not committed.
fn not_committed(mut jobs: Vec<Job>, failure: Failure) -> Attempt {
    let is_of_one = matches!(
        failure,
        Failure::Refused(_) | Failure::Unique(_) | Failure::Reference(_)
    );
    if is_of_one && jobs.len() > 1 {
        return Attempt::Apart(jobs);
    }
    match jobs.pop() {
        Some(only) if is_of_one => {
            tell(only, Err(failure.into()));
            Attempt::Over((Vec::new(), why(mixed_up())))
        }
        last => {
            jobs.extend(last);
            over(jobs, failure.into())
        }
    }
}

/// What is left after a lost transaction: nothing when trying again makes no sense.
fn over(left: Vec<Job>, error: Error) -> Attempt {
    let transient = matches!(error, Error::Unavailable { .. });
    let reason = why(error);
    if transient {
        return Attempt::Over((left, reason));
    }
    refuse(left, &reason);
    Attempt::Over((Vec::new(), reason))
}

/// Finds out what became of an interrupted COMMIT. Other callers are not kept waiting meanwhile.
async fn settle<S: Session>(session: &mut S, written: Vec<Written>, queue: &mut Jobs) {
    let give_up = Instant::now() + LOOK_FOR;
    let committed = loop {
        match session.was_committed().await {
            Ok(committed) => break Some(committed),
            Err(Failure::Refused(_)) => break None,
            Err(_) if Instant::now() >= give_up => break None,
            Err(failure) => {
                let reason = why(failure.into());
                while let Ok(job) = queue.try_recv() {
                    tell(job, Err(reason()));
                }
                sleep(BETWEEN_LOOKS).await;
            }
        }
    };
    for Written { job, done, .. } in written {
        let answer = match committed {
            Some(true) => Ok(done),
            Some(false) => Err(Error::Unavailable {
                action: "commit",
                source: BROKEN.into(),
            }),
            None => Err(Error::OutcomeUnknown),
        };
        tell(job, answer);
    }
}

/// Answers jobs that were not written.
fn refuse(jobs: Vec<Job>, reason: &Why) {
    for job in jobs {
        tell(job, Err(reason()));
    }
}

fn tell(job: Job, answer: Result<Done>) {
    // A caller that has gone away does not want the answer.
    drop(job.answer.send(answer));
}
