//! The single writer: the jobs of many callers in one transaction, answered after COMMIT.
//!
//! SQLite allows one writer at a time and an fsync costs far more than a statement, so
//! callers that arrive while a transaction is under way share the next one. Each of them runs
//! in a savepoint: one that fails is rolled back alone.

use fusion_persistence::{Batch, Claim, Claimed, Committed, Error, Lease, Result};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::map;
use crate::{apply, claim};

/// Jobs in one transaction at most.
const GROUP: usize = 64;

/// Jobs waiting for the writer before callers wait too.
const QUEUE: usize = 1_024;

/// A hand on the writer; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
enum Job {
    Commit(Box<Batch>, oneshot::Sender<Result<Committed>>),
    Claim(Box<Claim>, oneshot::Sender<Result<Option<Claimed>>>),
    Extend(Lease, oneshot::Sender<Result<u64>>),
}

/// Sends an answer that waited for the COMMIT. An error of the transaction overrules a success.
type Answer = Box<dyn FnOnce(Option<Error>) + Send>;

/// A job that was run.
struct Ran {
    answer: Answer,
    /// The transaction is gone with it.
    lost: Option<Lost>,
}

impl Writer {
    /// Starts the writer on its connection. It ends when every hand on it is gone.
    pub(crate) fn start(connection: DatabaseConnection, tracker: &TaskTracker) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tracker.spawn(work(connection, queue));
        Self { jobs }
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.ask(|answer| Job::Commit(Box::new(batch), answer))
            .await
    }

    pub(crate) async fn claim(&self, claim: Claim) -> Result<Option<Claimed>> {
        self.ask(|answer| Job::Claim(Box::new(claim), answer)).await
    }

    pub(crate) async fn extend(&self, lease: Lease) -> Result<u64> {
        self.ask(|answer| Job::Extend(lease, answer)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::Unusable {
            reason: "the store is closed".to_owned(),
        };
        self.jobs.send(job(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn work(connection: DatabaseConnection, mut queue: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut group, GROUP).await > 0 {
        write(&connection, std::mem::take(&mut group)).await;
    }
}

/// Runs a group of jobs in one transaction and answers them.
async fn write(connection: &DatabaseConnection, group: Vec<Job>) {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = match connection.begin_with_options(immediate).await {
        Ok(transaction) => transaction,
        Err(error) => return refuse(group, || map("open a transaction", error.clone())),
    };
    let has_company = group.len() > 1;
    let mut answers = Vec::with_capacity(group.len());
    let mut jobs = group.into_iter();
    let mut lost = None;
    while lost.is_none()
        && let Some(job) = jobs.next()
    {
        let ran = run(&transaction, job, has_company).await;
        answers.push(ran.answer);
        lost = ran.lost;
    }
    let failed: Option<Box<dyn Fn() -> Error + Send>> = match lost {
        Some(lost) => {
            roll_back(transaction).await;
            Some(Box::new(move || lost.error()))
        }
        None => {
            let failed = commit(transaction).await.err();
            failed.map(|error| Box::new(move || map("commit", error.clone())) as Box<_>)
        }
    };
    for answer in answers {
        answer(failed.as_ref().map(|error| error()));
    }
    if let Some(error) = failed {
        refuse(jobs.collect(), error);
    }
}

/// Why a transaction was lost with the job that was run last.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// SQLite rolls everything back when the disk is full.
    DiskFull,
    /// The job failed, and there was no savepoint to go back to.
    JobFailed,
}

impl Lost {
    fn to(error: &Error) -> Self {
        if matches!(error, Error::DiskFull { .. }) {
            Self::DiskFull
        } else {
            Self::JobFailed
        }
    }

    /// For the jobs that were lost with it.
    fn error(self) -> Error {
        let source = "another batch of the same transaction failed".into();
        match self {
            Self::DiskFull => Error::DiskFull { source },
            Self::JobFailed => Error::Unavailable {
                action: "commit",
                source,
            },
        }
    }
}

async fn commit(transaction: DatabaseTransaction) -> std::result::Result<(), DbErr> {
    fail::fail_point!("persistence_sql::before_commit", |_| std::process::abort());
    transaction.commit().await?;
    fail::fail_point!("persistence_sql::after_commit", |_| std::process::abort());
    Ok(())
}

/// Gives a transaction up.
async fn roll_back(transaction: DatabaseTransaction) {
    if let Err(error) = transaction.rollback().await {
        // SQLite has rolled it back by itself: on a full disk, for example.
        tracing::debug!(%error, "a transaction was gone before it was rolled back");
    }
}

async fn run(transaction: &DatabaseTransaction, job: Job, has_company: bool) -> Ran {
    match job {
        Job::Commit(batch, to) => ran(
            to,
            part(transaction, has_company, async |part| {
                apply::apply(part, *batch).await
            })
            .await,
        ),
        Job::Claim(wanted, to) => ran(
            to,
            part(transaction, has_company, async |part| {
                claim::claim(part, *wanted).await
            })
            .await,
        ),
        Job::Extend(lease, to) => ran(
            to,
            part(transaction, has_company, async |part| {
                claim::extend(part, lease).await
            })
            .await,
        ),
    }
}

fn ran<T: Send + 'static>(
    to: oneshot::Sender<Result<T>>,
    (found, lost): (Result<T>, Option<Lost>),
) -> Ran {
    let answer: Answer = Box::new(move |failed| {
        let result = found.and_then(|done| failed.map_or(Ok(done), Err));
        // A caller that has gone away does not want the answer.
        drop(to.send(result));
    });
    Ran { answer, lost }
}

/// Runs one job. In company it has a savepoint, so that its failure takes nothing else with it;
/// alone it fails with the transaction.
async fn part<T>(
    transaction: &DatabaseTransaction,
    has_company: bool,
    job: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
) -> (Result<T>, Option<Lost>) {
    if !has_company {
        let found = job(transaction).await;
        let lost = found.as_ref().err().map(Lost::to);
        return (found, lost);
    }
    let savepoint = match transaction.begin().await {
        Ok(savepoint) => savepoint,
        Err(error) => return gone(map("open a savepoint", error)),
    };
    match job(&savepoint).await {
        Ok(done) => match savepoint.commit().await {
            Ok(()) => (Ok(done), None),
            Err(error) => gone(map("close a savepoint", error)),
        },
        Err(error) => match savepoint.rollback().await {
            Ok(()) => (Err(error), None),
            Err(_) => gone(error),
        },
    }
}

fn gone<T>(error: Error) -> (Result<T>, Option<Lost>) {
    let lost = Lost::to(&error);
    (Err(error), Some(lost))
}

/// Answers jobs that were not tried.
fn refuse(group: Vec<Job>, why: impl Fn() -> Error) {
    for job in group {
        // A caller that has gone away does not want the answer.
        match job {
            Job::Commit(_, to) => drop(to.send(Err(why()))),
            Job::Claim(_, to) => drop(to.send(Err(why()))),
            Job::Extend(_, to) => drop(to.send(Err(why()))),
        }
    }
}

#[cfg(test)]
mod tests;
