//! The yardstick: what a commit of the store writes, on the bare driver with prepared statements.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
    TransactionTrait,
};
use uuid::Uuid;

const TAKE: &str =
    "UPDATE event_streams SET last_seq = last_seq + 1 WHERE name = 'main' RETURNING last_seq";

const INSERT: &str = "INSERT INTO events (seq, id, timestamp, event_type, severity, source_component, run_id, data, message, message_queue_topic)
  VALUES (?, ?, '2026-11-23T12:00:00.000001+00:00', 'system.error', 'info', 'coordination', ?, '{}', ?, ?)";

/// As long as the topic of an event of a run.
const TOPIC: &str = "workflow.00000000-0000-0000-0000-000000000007.events";

/// A bare connection with the settings of the store's writer.
pub(crate) struct Sqlite {
    connection: Connection,
    number: u128,
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;",
            )
            .unwrap();
        Self {
            connection,
            number: 1 << 100,
        }
    }

    fn append(&mut self) {
        self.number += 1;
        let seq: i64 = self
            .connection
            .prepare_cached(TAKE)
            .unwrap()
            .query_row([], |row| row.get(0))
            .unwrap();
        let (id, run) = (Uuid::from_u128(self.number), Uuid::from_u128(7));
        self.connection
            .prepare_cached(INSERT)
            .unwrap()
            .execute(params![
                seq,
                id.as_bytes(),
                run.as_bytes(),
                "a message of usual length",
                TOPIC
            ])
            .unwrap();
    }

    fn control(&self, sql: &str) {
        self.connection
            .prepare_cached(sql)
            .unwrap()
            .execute([])
            .unwrap();
    }

    pub(crate) fn single_commits(&mut self, count: usize) -> Vec<Duration> {
        (0..count)
            .map(|_| {
                let start = Instant::now();
                self.control("BEGIN IMMEDIATE");
                self.append();
                self.control("COMMIT");
                start.elapsed()
            })
            .collect()
    }

    /// Commits a second when `group` of them share a transaction, each in a savepoint.
    pub(crate) fn grouped_commits(&mut self, count: usize, group: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..count / group {
            self.control("BEGIN IMMEDIATE");
            for _ in 0..group {
                self.control("SAVEPOINT job");
                self.append();
                self.control("RELEASE SAVEPOINT job");
            }
            self.control("COMMIT");
        }
        per_second(count, start.elapsed())
    }
}

/// A bare connection to a server.
pub(crate) struct Server {
    pub(crate) connection: DatabaseConnection,
    number: u128,
}

impl Server {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(1)
            .sqlx_logging(false)
            .idle_timeout(None)
            .max_lifetime(None);
        Self {
            connection: Database::connect(options).await.unwrap(),
            number: 1 << 100,
        }
    }

    pub(crate) async fn single_commits(&mut self, count: usize) -> Vec<Duration> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            let transaction = self.connection.begin().await.unwrap();
            let take = Statement::from_string(DbBackend::Postgres, TAKE);
            let seq: i64 = transaction
                .query_one_raw(take)
                .await
                .unwrap()
                .unwrap()
                .try_get_by_index(0)
                .unwrap();
            self.number += 1;
            let id = Uuid::from_u128(self.number);
            let insert = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "INSERT INTO events (seq, id, timestamp, event_type, severity, source_component, run_id, data, message, message_queue_topic)
                 VALUES ($1, $2, clock_timestamp(), 'system.error', 'info', 'coordination', $3, '{}', $4, $5)",
                [seq.into(), id.into(), Uuid::from_u128(7).into(), "a message of usual length".into(), TOPIC.into()],
            );
            transaction.execute_raw(insert).await.unwrap();
            transaction.commit().await.unwrap();
            times.push(start.elapsed());
        }
        times
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.connection.execute_unprepared(sql).await.unwrap();
    }
}

pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}
