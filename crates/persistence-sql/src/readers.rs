//! The connections that read.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use tokio::time::timeout;

/// A database that says nothing for so long is taken for gone. Longer than a server works on any
/// statement of ours (`statement_timeout`), so that it is the network that is mute.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// Reads, and waits for no answer for ever: a connection can be cut so that neither end hears of it.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    pool: DatabaseConnection,
    answer_within: Duration,
}

impl From<DatabaseConnection> for Readers {
    fn from(pool: DatabaseConnection) -> Self {
        Self {
            pool,
            answer_within: ANSWER_WITHIN,
        }
    }
}

impl Readers {
    /// Readers who wait another time.
    #[cfg(test)]
    pub(crate) const fn waiting(pool: DatabaseConnection, answer_within: Duration) -> Self {
        Self {
            pool,
            answer_within,
        }
    }

    pub(crate) async fn close(self) -> Result<(), DbErr> {
        self.pool.close().await
    }

    async fn heard<T>(&self, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let within = self.answer_within;
        timeout(within, answer).await.unwrap_or_else(|_| {
            let silence = format!("the database said nothing for {} s", within.as_secs_f64());
            Err(DbErr::Conn(RuntimeErr::Internal(silence)))
        })
    }
}

#[async_trait]
impl ConnectionTrait for Readers {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.heard(self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.heard(self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.heard(self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.heard(self.pool.query_all_raw(statement)).await
    }
}
