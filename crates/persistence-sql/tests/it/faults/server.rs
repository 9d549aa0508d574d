//! PostgreSQL goes away and comes back.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use fusion_persistence::{EventReader, Patience, Patient};
use fusion_persistence_sql::SqlStore;
use fusion_testkit::Postgres;
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::load::{LONGEST_WAIT, Load};
use super::races::waiting;

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
    work_goes_on(&own, load).await;
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
    all_are_refused(&own, &load).await;
    let own = own.server(Postgres::resume).await;
    work_goes_on(&own, load).await;
}

/// The same when it is not a COMMIT that gets no answer, but a statement before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_mute_within_a_transaction_loses_nothing() {
    let own = Own::start().await;
    let load = Load::start(&own.store);
    load.each_acknowledged(20).await;
    let raw = crate::raw::connect(&own.server.url()).await;
    let lock = raw.begin().await.unwrap();
    lock.execute_unprepared("UPDATE event_streams SET last_seq = last_seq WHERE name = 'main'")
        .await
        .unwrap();
    let began = Instant::now();
    while waiting(&raw).await == 0 {
        assert!(began.elapsed() < LONGEST_WAIT, "nobody waits for the lock");
    }
    let own = own.server(Postgres::pause).await;
    all_are_refused(&own, &load).await;
    let own = own.server(Postgres::resume).await;
    lock.rollback().await.unwrap();
    work_goes_on(&own, load).await;
}

async fn all_are_refused(own: &Own, load: &Load) {
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
}

async fn work_goes_on(own: &Own, load: Load) {
    let back = Instant::now();
    load.each_acknowledged(1).await;
    assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
    load.each_acknowledged(20).await;
    load.end(&own.store).await;
}
