//! The writing connection to PostgreSQL.

use fusion_persistence::{Error, Kept, Lease};
use sea_orm::prelude::Uuid;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, FromQueryResult,
    Statement, TransactionTrait, Value,
};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::{ANSWER_WITHIN, answered};
use crate::error::corrupt;
use crate::failure::{Failure, Result, of_postgres};
use crate::fault;
use crate::location::ServerUrl;
use crate::nodes;
use crate::session::{Outcome, Readable, Session};
use crate::store::unsigned;

const REGISTER: &str = "INSERT INTO writers (id, last_commit, started_at)
  VALUES (gen_random_uuid(), 0, clock_timestamp()) RETURNING id";

/// Numbers a commit in the row of its writer. The number is how an interrupted COMMIT is told apart.
const NUMBER_COMMIT: &str = "UPDATE writers SET last_commit = $2 WHERE id = $1";

/// Waits for a transaction that may still be under way, and makes sure that it can't commit any
/// more unless it has: it has numbered the same row.
const SETTLE: &str = "UPDATE writers SET last_commit = $2 + 1 WHERE id = $1 AND last_commit < $2";

const LAST_COMMIT: &str = "SELECT last_commit FROM writers WHERE id = $1";

/// The one connection of this process that writes.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    url: ServerUrl,
    /// Of one connection.
    pool: DatabaseConnection,
    transaction: Option<DatabaseTransaction>,
    id: Uuid,
    commits: i64,
}

impl PostgresSession {
    /// Registers a writer.
    pub(crate) async fn open(url: &ServerUrl, pool: DatabaseConnection) -> Result<Self> {
        const ACTION: &str = "register with the database";
        let asked = pool.query_one_raw(statement(REGISTER, []));
        let row = answered(ANSWER_WITHIN, ACTION, asked).await?;
        let row = row.ok_or_else(|| corrupt("writer"))?;
        let id = row
            .try_get_by_index(0)
            .map_err(|error| of_postgres(ACTION, error))?;
        Ok(Self {
            url: url.clone(),
            pool,
            transaction: None,
            id,
            commits: 0,
        })
    }

    fn open_transaction(&self, action: &'static str) -> Result<&DatabaseTransaction> {
        fault::inject(action)?;
        self.transaction.as_ref().ok_or_else(|| {
            Failure::Lost(Error::Unavailable {
                action,
                source: "the transaction is gone".into(),
            })
        })
    }

    /// What the server said, if it did. A connection that broke or is mute is not used again, not even
    /// to end it, and neither is its pool: it may wait for it a long time.
    async fn heard<T>(
        &mut self,
        action: &'static str,
        answer: std::result::Result<std::result::Result<T, DbErr>, Elapsed>,
    ) -> Result<T> {
        let failure = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => of_postgres(action, error),
            Err(silence) => Failure::Lost(Error::Unavailable {
                action,
                source: Box::new(silence),
            }),
        };
        if matches!(failure, Failure::Lost(_)) {
            self.transaction = None;
            self.pool = super::connect_later(&self.url).await?;
        }
        Err(failure)
    }
}

fn statement(sql: &'static str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

impl Session for PostgresSession {
    fn backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn keep_node(&mut self, lease: Lease) -> Result<Option<Kept>> {
        const ACTION: &str = "extend leases";
        fault::inject(ACTION)?;
        let keeping = nodes::keeping(self.backend().into(), lease)?;
        let asked = timeout(ANSWER_WITHIN, self.pool.query_one_raw(keeping)).await;
        let row = self.heard(ACTION, asked).await?;
        let row = row.ok_or_else(|| corrupt("number of leases"))?;
        let counted = row.try_get_many_by_index();
        let (tasks, runs): (i64, i64) = counted.map_err(|error| of_postgres(ACTION, error))?;
        Ok(Some(Kept {
            tasks: unsigned(tasks, "number of leases")?,
            runs: unsigned(runs, "number of leases")?,
        }))
    }

    async fn begin(&mut self) -> Result<()> {
        const ACTION: &str = "open a transaction";
        fault::inject(ACTION)?;
        let opened = timeout(ANSWER_WITHIN, self.pool.begin()).await;
        self.transaction = Some(self.heard(ACTION, opened).await?);
        Ok(())
    }

    async fn commit(&mut self) -> Result<Outcome> {
        const ACTION: &str = "commit";
        // Even numbers are commits; the odd one after each says that it was settled as not done.
        self.commits += 2;
        let number = statement(NUMBER_COMMIT, [self.id.into(), self.commits.into()]);
        self.execute(ACTION, number).await?;
        let transaction = self
            .transaction
            .take()
            .ok_or_else(|| corrupt("transaction"))?;
        let done = timeout(ANSWER_WITHIN, transaction.commit()).await;
        match self.heard(ACTION, done).await {
            Ok(()) => Ok(Outcome::Done),
            Err(Failure::Lost(_)) => Ok(Outcome::Unknown),
            Err(refused) => Err(refused),
        }
    }

    async fn roll_back(&mut self) {
        const ACTION: &str = "roll back";
        if let Some(transaction) = self.transaction.take() {
            let done = timeout(ANSWER_WITHIN, transaction.rollback()).await;
            if let Err(failure) = self.heard(ACTION, done).await {
                tracing::debug!(?failure, "a transaction was gone before it was rolled back");
            }
        }
    }

    async fn was_committed(&mut self) -> Result<bool> {
        const ACTION: &str = "look what became of a commit";
        let settle = statement(SETTLE, [self.id.into(), self.commits.into()]);
        let settled = timeout(ANSWER_WITHIN, self.pool.execute_raw(settle)).await;
        if self.heard(ACTION, settled).await?.rows_affected() == 1 {
            return Ok(false);
        }
        let look = statement(LAST_COMMIT, [self.id.into()]);
        let row = timeout(ANSWER_WITHIN, self.pool.query_one_raw(look)).await;
        let row = self.heard(ACTION, row).await?;
        let last: Option<i64> = row
            .map(|row| row.try_get_by_index(0))
            .transpose()
            .map_err(|error| of_postgres(ACTION, error))?;
        match last.map(|last| last - self.commits) {
            Some(0) => Ok(true),
            // Settled by an earlier look whose answer was lost.
            Some(1) => Ok(false),
            // The row is gone or belongs to the future: another database is in its place.
            Some(_) | None => Err(Failure::Refused(Error::OutcomeUnknown)),
        }
    }

    async fn control(&mut self, statement: &'static str) -> Result<()> {
        let asked = self
            .open_transaction(statement)?
            .execute_unprepared(statement);
        let done = timeout(ANSWER_WITHIN, asked).await;
        self.heard(statement, done).await.map(|_| ())
    }

    async fn execute(&mut self, action: &'static str, statement: Statement) -> Result<u64> {
        let asked = self.open_transaction(action)?.execute_raw(statement);
        let done = timeout(ANSWER_WITHIN, asked).await;
        Ok(self.heard(action, done).await?.rows_affected())
    }

    async fn rows<E: Readable>(
        &mut self,
        action: &'static str,
        statement: Statement,
    ) -> Result<Vec<E::Model>> {
        let asked = self.open_transaction(action)?.query_all_raw(statement);
        let rows = timeout(ANSWER_WITHIN, asked).await;
        self.heard(action, rows)
            .await?
            .iter()
            .map(|row| E::Model::from_query_result(row, ""))
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| of_postgres(action, error))
    }

    async fn number(&mut self, action: &'static str, statement: Statement) -> Result<Option<i64>> {
        let asked = self.open_transaction(action)?.query_one_raw(statement);
        let row = timeout(ANSWER_WITHIN, asked).await;
        self.heard(action, row)
            .await?
            .map(|row| row.try_get_by_index(0))
            .transpose()
            .map_err(|error| of_postgres(action, error))
    }
}
