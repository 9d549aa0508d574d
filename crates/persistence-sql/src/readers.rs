//! The connections that read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_persistence::Result;
use sea_orm::{
    AccessMode, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, ExecResult, FromQueryResult, IsolationLevel, QueryResult, QuerySelect, QueryTrait,
    RuntimeErr, Select, Statement, TransactionTrait,
};
use tokio::time::timeout;

use crate::error::{corrupt, trying};
use crate::session::{Both, Readable};
use crate::sqlite::Near;
use crate::store::unsigned;

/// A database that says nothing for so long is taken for gone. Longer than a server works on any
/// statement of ours (`statement_timeout`), so that it is the network that is mute.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// Reads, and waits for no answer for ever: a connection can be cut so that neither end hears of it.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    pool: DatabaseConnection,
    /// Reads what is short in the thread of who asks.
    near: Option<Arc<Near>>,
    answer_within: Duration,
}

impl From<DatabaseConnection> for Readers {
    fn from(pool: DatabaseConnection) -> Self {
        Self {
            pool,
            near: None,
            answer_within: ANSWER_WITHIN,
        }
    }
}

impl Readers {
    /// Readers of a file that this process has at hand.
    pub(crate) fn near(pool: DatabaseConnection, near: Near) -> Self {
        Self {
            near: Some(Arc::new(near)),
            ..pool.into()
        }
    }

    /// The rows that a query gives, which are few as a rule and are found by a key. `action` completes
    /// "trying to ...".
    pub(crate) async fn rows<E: Readable>(
        &self,
        action: &'static str,
        query: Select<E>,
    ) -> Result<Vec<E::Model>> {
        let statement = query.build(self.get_database_backend());
        self.rows_by::<E>(action, statement).await
    }

    /// The same for a statement in plain SQL that gives every column of a table.
    pub(crate) async fn rows_by<E: Readable>(
        &self,
        action: &'static str,
        statement: Statement,
    ) -> Result<Vec<E::Model>> {
        if let Some(near) = &self.near
            && let Some(rows) = near.few::<E>(action, &statement)?
        {
            return Ok(rows);
        }
        self.all::<E>(action, statement).await
    }

    /// The rows that a query gives, which may be many.
    pub(crate) async fn list<E: Readable>(
        &self,
        action: &'static str,
        query: Select<E>,
    ) -> Result<Vec<E::Model>> {
        let statement = query.build(self.get_database_backend());
        self.all::<E>(action, statement).await
    }

    /// The rows that two queries give, as they are at one moment.
    pub(crate) async fn both<A: Readable, B: Readable>(
        &self,
        action: &'static str,
        one: Select<A>,
        other: Select<B>,
    ) -> Result<Both<A, B>> {
        let backend = self.get_database_backend();
        let (one, other) = (one.build(backend), other.build(backend));
        if let Some(near) = &self.near {
            return Ok(near.both::<A, B>(action, one, other).await?);
        }
        let moment = self.heard(self.moment()).await.map_err(trying(action))?;
        let one = self.heard(moment.query_all_raw(one)).await;
        let one = models::<A>(action, &one.map_err(trying(action))?)?;
        let other = self.heard(moment.query_all_raw(other)).await;
        let other = models::<B>(action, &other.map_err(trying(action))?)?;
        let left = self.heard(moment.rollback()).await;
        left.map_err(trying(action))?;
        Ok((one, other))
    }

    /// The database as it is at one moment.
    async fn moment(&self) -> std::result::Result<DatabaseTransaction, DbErr> {
        if self.get_database_backend() != DbBackend::Postgres {
            return self.pool.begin().await;
        }
        let (isolation, access) = (IsolationLevel::RepeatableRead, AccessMode::ReadOnly);
        let moment = self.pool.begin_with_config(Some(isolation), Some(access));
        moment.await
    }

    async fn all<E: Readable>(
        &self,
        action: &'static str,
        statement: Statement,
    ) -> Result<Vec<E::Model>> {
        if let Some(near) = &self.near {
            return Ok(near.all::<E>(action, statement).await?);
        }
        let rows = self.query_all_raw(statement).await;
        models::<E>(action, &rows.map_err(trying(action))?)
    }

    /// How many rows a query selects, which may be many. `id` is never null.
    pub(crate) async fn count<E: Readable>(
        &self,
        action: &'static str,
        query: Select<E>,
        id: E::Column,
    ) -> Result<u64> {
        let query = query.select_only().column_as(id.count(), "count");
        let statement = query.build(self.get_database_backend());
        let count = match &self.near {
            Some(near) => near.count(action, statement).await?,
            None => {
                let [count] = self.numbers(action, statement).await?;
                count
            }
        };
        unsigned(count.unwrap_or_default(), action)
    }

    /// The numbers in the one row that a statement gives, all of them of 64 bits.
    pub(crate) async fn numbers<const N: usize>(
        &self,
        action: &'static str,
        statement: Statement,
    ) -> Result<[Option<i64>; N]> {
        if let Some(near) = &self.near
            && let Some(numbers) = near.numbers(action, &statement)?
        {
            return Ok(numbers);
        }
        let row = self.query_one_raw(statement).await;
        let row = row.map_err(trying(action))?;
        let row = row.ok_or_else(|| corrupt(action))?;
        let mut numbers = [None; N];
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = row.try_get_by_index(place).map_err(trying(action))?;
        }
        Ok(numbers)
    }

    /// A number that changes with each commit of anybody, where it can be had at once.
    pub(crate) fn data_version(&self) -> Option<i64> {
        self.near.as_ref()?.data_version()
    }

    /// Readers who wait another time.
    #[cfg(test)]
    pub(crate) const fn waiting(pool: DatabaseConnection, answer_within: Duration) -> Self {
        Self {
            pool,
            near: None,
            answer_within,
        }
    }

    pub(crate) async fn close(self) -> std::result::Result<(), DbErr> {
        self.pool.close().await
    }

    async fn heard<T>(
        &self,
        answer: impl Future<Output = std::result::Result<T, DbErr>>,
    ) -> std::result::Result<T, DbErr> {
        let within = self.answer_within;
        timeout(within, answer).await.unwrap_or_else(|_| {
            let silence = format!("the database said nothing for {} s", within.as_secs_f64());
            Err(DbErr::Conn(RuntimeErr::Internal(silence)))
        })
    }
}

fn models<E: Readable>(action: &'static str, rows: &[QueryResult]) -> Result<Vec<E::Model>> {
    rows.iter()
        .map(|row| E::Model::from_query_result(row, "").map_err(trying(action)))
        .collect()
}

#[async_trait]
impl ConnectionTrait for Readers {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> std::result::Result<ExecResult, DbErr> {
        self.heard(self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> std::result::Result<ExecResult, DbErr> {
        self.heard(self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(
        &self,
        statement: Statement,
    ) -> std::result::Result<Option<QueryResult>, DbErr> {
        self.heard(self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(
        &self,
        statement: Statement,
    ) -> std::result::Result<Vec<QueryResult>, DbErr> {
        self.heard(self.pool.query_all_raw(statement)).await
    }
}
