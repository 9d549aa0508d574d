//! The single writer: the jobs of many callers in one transaction, answered after COMMIT.
//!
//! SQLite allows one writer at a time and an fsync costs far more than a statement, so
//! callers that arrive while a transaction is under way share the next one. Each job runs
//! in a savepoint: one that fails is rolled back alone.

use fusion_core::Task;
use fusion_persistence::{Batch, Claim, Committed, Error, Lease, Result};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::{map, trying};
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
    Claim(Box<Claim>, oneshot::Sender<Result<Option<Task>>>),
    Extend(Lease, oneshot::Sender<Result<u64>>),
}

/// Sends an answer that waited for the COMMIT; a failed COMMIT overrules it.
type Answer = Box<dyn FnOnce(Option<&DbErr>) + Send>;

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

    pub(crate) async fn claim(&self, claim: Claim) -> Result<Option<Task>> {
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
        Err(error) => return refuse(group, &error),
    };
    let mut answers = Vec::with_capacity(group.len());
    for job in group {
        answers.push(run(&transaction, job).await);
    }
    fail::fail_point!("persistence_sql::before_commit", |_| std::process::abort());
    let committed = transaction.commit().await;
    fail::fail_point!("persistence_sql::after_commit", |_| std::process::abort());
    for answer in answers {
        answer(committed.as_ref().err());
    }
}

async fn run(transaction: &DatabaseTransaction, job: Job) -> Answer {
    match job {
        Job::Commit(batch, to) => answer(
            to,
            alone(transaction, async |part| apply::apply(part, *batch).await).await,
        ),
        Job::Claim(wanted, to) => answer(
            to,
            alone(transaction, async |part| claim::claim(part, *wanted).await).await,
        ),
        Job::Extend(lease, to) => answer(
            to,
            alone(transaction, async |part| claim::extend(part, lease).await).await,
        ),
    }
}

fn answer<T: Send + 'static>(to: oneshot::Sender<Result<T>>, found: Result<T>) -> Answer {
    Box::new(move |failed| {
        let result = failed.map_or(found, |error| Err(map("commit", error.clone())));
        // A caller that has gone away does not want the answer.
        drop(to.send(result));
    })
}

/// Runs one job in a savepoint, so that its failure takes nothing else with it.
async fn alone<T>(
    transaction: &DatabaseTransaction,
    job: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
) -> Result<T> {
    let savepoint = transaction
        .begin()
        .await
        .map_err(trying("open a savepoint"))?;
    match job(&savepoint).await {
        Ok(done) => {
            savepoint
                .commit()
                .await
                .map_err(trying("close a savepoint"))?;
            Ok(done)
        }
        Err(error) => {
            savepoint
                .rollback()
                .await
                .map_err(trying("roll a savepoint back"))?;
            Err(error)
        }
    }
}

/// Answers jobs that could not be tried.
fn refuse(group: Vec<Job>, error: &DbErr) {
    let why = || map("open a transaction", error.clone());
    for job in group {
        // A caller that has gone away does not want the answer.
        match job {
            Job::Commit(_, to) => drop(to.send(Err(why()))),
            Job::Claim(_, to) => drop(to.send(Err(why()))),
            Job::Extend(_, to) => drop(to.send(Err(why()))),
        }
    }
}
