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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fusion_core::Coded;
    use fusion_persistence::Error;
    use fusion_testkit::shared_postgres;
    use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, Statement};

    use super::Readers;
    use crate::error::trying;

    #[tokio::test]
    async fn a_reader_of_a_mute_server_is_told_to_try_later_and_later_ones_are_served() {
        let mut options = ConnectOptions::new(shared_postgres().unwrap());
        let brief = Duration::from_millis(200);
        options
            .test_before_acquire(true)
            .acquire_timeout(brief)
            .idle_timeout(None)
            .max_lifetime(None);
        let readers = Readers {
            pool: Database::connect(options).await.unwrap(),
            answer_within: brief,
        };
        let ask = async |sql: &str| {
            let statement = Statement::from_string(DbBackend::Postgres, sql);
            let answer = readers.query_one_raw(statement).await;
            answer.map_err(trying("read a row"))
        };
        let error = ask("SELECT 1 FROM pg_sleep(20)").await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        // The connection that was mute is found out first.
        let mut served = ask("SELECT 1").await;
        for _ in 0..10 {
            if served.is_ok() {
                break;
            }
            served = ask("SELECT 1").await;
        }
        assert!(served.unwrap().is_some());
    }
}
