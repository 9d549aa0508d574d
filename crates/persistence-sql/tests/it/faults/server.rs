//! PostgreSQL goes away and comes back.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use fusion_persistence::{EventReader, Patience, Patient};
use fusion_persistence_sql::SqlStore;
use fusion_testkit::Postgres;

use super::load::{LONGEST_WAIT, Load};

/// How long work may take to go on once the server is back.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// A server of one's own, and a store on it.
struct Own {
    server: Postgres,
    store: SqlStore,
}

impl Own {
    async fn start() -> Self {
        let server = tokio::task::spawn_blocking(|| {
            Postgres::start(&fusion_testkit::postgres_binaries().unwrap()).unwrap()
        });
        let server = server.await.unwrap();
        let store = crate::postgres::open(&server.url()).await;
        Self { server, store }
    }

    /// Does something to the server that blocks.
    async fn server<E: Debug + 'static>(mut self, act: fn(&mut Postgres) -> Result<(), E>) -> Self {
        tokio::task::spawn_blocking(move || {
            act(&mut self.server).unwrap();
            self
        })
        .await
        .unwrap()
    }
}

const QUICK: Patience = Patience {
    first_wait: Duration::from_millis(50),
    longest_wait: Duration::from_millis(500),
    give_up_after: Duration::from_secs(60),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_under_load_keeps_exactly_what_was_acknowledged() {
    let own = Own::start().await;
    let load = Load::start(&own.store);
    load.each_acknowledged(20).await;
    let own = own.server(Postgres::stop_immediate).await;
    load.a_newcomer_is_refused(&own.store).await;
    let own = own.server(Postgres::start_again).await;
    let back = Instant::now();
    load.each_acknowledged(1).await;
    assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
    load.each_acknowledged(20).await;
    load.end(&own.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patient_callers_see_nothing_of_a_server_that_is_stopped_and_started() {
    let own = Own::start().await;
    let load = Load::start(&Patient::new(own.store.clone(), QUICK));
    load.each_acknowledged(20).await;
    let own = own.server(Postgres::stop_immediate).await;
    let own = own.server(Postgres::start_again).await;
    load.each_acknowledged(20).await;
    let own = own.server(Postgres::kill).await;
    let own = own.server(Postgres::start_again).await;
    load.each_acknowledged(20).await;
    assert_eq!(load.end(&own.store).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_mute_makes_callers_try_later_and_loses_nothing() {
    let own = Own::start().await;
    let load = Load::start(&own.store);
    load.each_acknowledged(20).await;
    let own = own.server(Postgres::pause).await;
    load.a_newcomer_is_refused(&own.store).await;
    let asked = Instant::now();
    own.store
        .event(fusion_core::EventId::from_uuid(uuid::Uuid::nil()))
        .await
        .unwrap_err();
    assert!(
        asked.elapsed() < LONGEST_WAIT,
        "a reader waited {:?}",
        asked.elapsed()
    );
    let own = own.server(Postgres::resume).await;
    let back = Instant::now();
    load.each_acknowledged(1).await;
    assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
    load.each_acknowledged(20).await;
    load.end(&own.store).await;
}
