//! Every statement of the writer fails once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fusion_persistence_sql::{Location, SqlStore};
use sea_orm::ConnectionTrait;
use tokio_util::task::TaskTracker;

use super::script::{Beside, play};

const STATEMENT: &str = "persistence_sql::statement";

/// Empties all tables of a database but those that the open store lives on.
const EMPTY: &str = "DO $$ DECLARE name text; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
    AND tablename NOT IN ('seaql_migrations', 'writers', 'event_streams')
  LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
  UPDATE event_streams SET last_seq = 0; END $$";

/// A store that can be made empty again.
enum Stage {
    InMemory,
    OnServer(SqlStore, sea_orm::DatabaseConnection),
}

impl Stage {
    async fn on_server() -> Self {
        let url = crate::postgres::empty_database().await;
        let raw = crate::raw::connect(&url).await;
        Self::OnServer(crate::postgres::open(&url).await, raw)
    }

    /// An empty store.
    async fn set(&self) -> SqlStore {
        match self {
            Self::InMemory => SqlStore::open(&Location::Memory, &TaskTracker::new())
                .await
                .unwrap(),
            Self::OnServer(store, raw) => {
                raw.execute_unprepared(EMPTY).await.unwrap();
                store.clone()
            }
        }
    }

    /// Plays the script once for each of its statements, which fails in the given way.
    async fn fail_each(&self, kind: &str) {
        let states = Mutex::new(Vec::new());
        let beside = match kind {
            "full" => Beside::Again(&states),
            _ => Beside::Nothing,
        };
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let store = self.set().await;
        fail::cfg_callback(STATEMENT, move || {
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        let right = play(&store, Beside::Note(&states)).await;
        let statements = made.load(Ordering::Relaxed);
        println!("{statements} statements");
        assert!(statements > 80, "{statements} are too few for the script");
        for number in 0..statements {
            let store = self.set().await;
            fail::cfg(STATEMENT, &format!("{number}*off->1*return({kind})->off")).unwrap();
            let played = play(&store, beside).await;
            assert!(
                played == right,
                "statement {number}: {}",
                first_difference(&played, &right)
            );
        }
        fail::remove(STATEMENT);
    }
}

fn first_difference(played: &str, right: &str) -> String {
    let mut lines = played.lines().zip(right.lines());
    let differ = lines.find(|(played, right)| played != right);
    format!("{differ:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_with_other_transactions_at_any_statement_is_not_seen_on_sqlite() {
    Stage::InMemory.fail_each("contended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_with_other_transactions_at_any_statement_is_not_seen_on_postgresql() {
    let stage = Stage::on_server().await;
    stage.fail_each("contended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_lost_at_any_statement_is_not_seen_on_sqlite() {
    Stage::InMemory.fail_each("lost").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_lost_at_any_statement_is_not_seen_on_postgresql() {
    let stage = Stage::on_server().await;
    stage.fail_each("lost").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_at_any_statement_leaves_nothing_of_its_call_on_sqlite() {
    Stage::InMemory.fail_each("full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_at_any_statement_leaves_nothing_of_its_call_on_postgresql() {
    let stage = Stage::on_server().await;
    stage.fail_each("full").await;
}
