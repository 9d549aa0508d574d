//! The contract of the store on a SQLite file, and what only a file can show.

use std::time::Duration;

use fusion_core::{Coded, Decision, ErrorCode, EventId, EventType, NewEvent, Severity, Timestamp};
use fusion_persistence::{Batch, Claim, Error, EventFilter, EventReader, Lease, Prune, Store};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

pub(crate) struct OnFile {
    pub(crate) store: SqlStore,
    pub(crate) dir: TempDir,
}

fn location(dir: &TempDir) -> Location {
    Location::File(dir.path().join("fusion.db"), Durability::Full)
}

pub(crate) async fn open(dir: TempDir) -> Result<OnFile, Error> {
    let store = SqlStore::open(&location(&dir), &TaskTracker::new()).await?;
    Ok(OnFile { store, dir })
}

async fn fresh() -> OnFile {
    open(TempDir::new().unwrap()).await.unwrap()
}

fusion_persistence::store_conformance!(fresh);

fn refusal(dir: TempDir) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime
        .block_on(open(dir))
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_file_that_is_no_database_is_refused_with_the_way_out() {
    let dir = TempDir::new().unwrap();
    std::fs::write(
        dir.path().join("fusion.db"),
        "not a database, but long enough to be read as one".repeat(100),
    )
    .unwrap();
    assert_eq!(
        refusal(dir),
        "the database file is damaged or is not a database: move it away or restore a backup, \
         or use another --data-dir"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("fusion.db");
    let location = location(&dir);
    let tracker = TaskTracker::new();
    let first = SqlStore::open(&location, &tracker).await.unwrap();
    first.close().await.unwrap();
    tracker.close();
    tracker.wait().await;
    let raw = crate::raw::connect(format!("sqlite:{}", path.display())).await;
    raw.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m9999_future', 0)")
        .await
        .unwrap();
    raw.close().await.unwrap();
    let refused = SqlStore::open(&location, &TaskTracker::new())
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the database was written by a newer fusion-kit (its schema has step m9999_future): \
         use that version, or another --data-dir"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_database_opens_again_with_everything_in_it() {
    let dir = TempDir::new().unwrap();
    let tracker = TaskTracker::new();
    let first = SqlStore::open(&location(&dir), &tracker).await.unwrap();
    first.close().await.unwrap();
    tracker.close();
    tracker.wait().await;
    let second = open(dir).await.unwrap();
    let everything = EventFilter::default();
    let events = second.store.events_after(&everything, 0, 1).await.unwrap();
    assert_eq!(events, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_one_owner_at_a_time() {
    let dir = TempDir::new().unwrap();
    let tracker = TaskTracker::new();
    let first = SqlStore::open(&location(&dir), &tracker).await.unwrap();
    let refused = SqlStore::open(&location(&dir), &TaskTracker::new())
        .await
        .unwrap_err();
    let path = dir.path().join("fusion.db");
    assert_eq!(
        refused.to_string(),
        format!(
            "another process works with the database {}: wait until it is done, or stop it",
            path.display()
        )
    );
    first
        .commit(Batch::free(Decision::default()))
        .await
        .unwrap();
    drop(first);
    tracker.close();
    tracker.wait().await;
    let second = SqlStore::open(&location(&dir), &TaskTracker::new())
        .await
        .unwrap();
    second
        .commit(Batch::free(Decision::default()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_one_owner_by_whatever_path_it_is_reached() {
    let dir = TempDir::new().unwrap();
    let _first = SqlStore::open(&location(&dir), &TaskTracker::new())
        .await
        .unwrap();
    let [file, folder] = ["link.db", "folder"].map(|name| dir.path().join(name));
    std::os::unix::fs::symlink(dir.path().join("fusion.db"), &file).unwrap();
    std::os::unix::fs::symlink(dir.path(), &folder).unwrap();
    for path in [file, folder.join("fusion.db")] {
        let other = Location::File(path.clone(), Durability::Full);
        let refused = SqlStore::open(&other, &TaskTracker::new()).await;
        let told = refused.unwrap_err().to_string();
        assert!(told.starts_with("another process works with"), "{told}");
    }
}

fn told(number: u128) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(Uuid::from_u128(number)),
        timestamp: Timestamp::from_timestamp(1, 0).unwrap(),
        event_type: EventType::SystemStarted,
        severity: Severity::Info,
        source_agent_id: None,
        source_component: "test".to_owned(),
        run_id: None,
        data: serde_json::json!({}),
        message: format!("word{number} told"),
        message_queue_topic: None,
    }
}

fn telling(numbers: std::ops::Range<u128>) -> Batch {
    Batch::free(Decision {
        events: numbers.map(told).collect(),
        ..Decision::default()
    })
}

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert_eq!(
        answer.unwrap_err().to_string(),
        "the database was opened for reading only"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_beside_the_owner_sees_what_it_commits_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let nothing = SqlStore::open_to_read(&location(&dir)).await.unwrap();
    assert!(nothing.is_none(), "there is no file yet");
    let OnFile { store, dir } = open(dir).await.unwrap();
    let beside = SqlStore::open_to_read(&location(&dir)).await.unwrap();
    let beside = beside.unwrap();
    let all = EventFilter::default();
    for number in 0..3_u64 {
        let seen = beside.events_after(&all, number, 10).await.unwrap();
        assert_eq!(seen, []);
        store
            .commit(telling(number.into()..(number + 1).into()))
            .await
            .unwrap();
        let seen = beside.events_after(&all, number, 10).await.unwrap();
        assert_eq!(seen.len(), 1);
    }
    let lease = Lease {
        owner: Uuid::nil().into(),
        duration: Duration::from_secs(1),
    };
    let claim = Claim {
        agent: Uuid::nil().into(),
        run: Uuid::nil().into(),
        capability_sets: vec![],
        lease,
        driver: None,
        event: told(9),
    };
    is_refused(beside.commit(telling(9..10)).await);
    is_refused(beside.claim_task(claim).await);
    is_refused(beside.extend_leases(lease).await);
    is_refused(beside.prune(Prune::default()).await);
    let refused = beside.commit(telling(9..10)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidInput);
    assert_eq!(store.events_after(&all, 0, 10).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_index_has_of_an_event_goes_with_it() {
    let OnFile { store, dir } = fresh().await;
    let url = format!("sqlite:{}", dir.path().join("fusion.db").display());
    index_goes_with_its_events(&store, &url).await;
}

/// Also on PostgreSQL. `url` leads to the database of the store.
pub(crate) async fn index_goes_with_its_events(store: &SqlStore, url: &str) {
    let raw = crate::raw::connect(url).await;
    let indexed = async || {
        let counts = Statement::from_string(
            raw.get_database_backend(),
            "SELECT (SELECT count(*) FROM event_words), (SELECT count(*) FROM event_keys),
               (SELECT count(*) FROM event_pieces)",
        );
        let row = raw.query_one_raw(counts).await.unwrap().unwrap();
        [0, 1, 2].map(|place| row.try_get_by_index::<i64>(place).unwrap())
    };
    store.commit(telling(0..1_200)).await.unwrap();
    assert_eq!(
        indexed().await,
        [1_200, 1_200, 3],
        "each has a key: its type"
    );
    let old = Prune {
        events_before: Timestamp::from_timestamp(2, 0),
        limit: 500,
        ..Prune::default()
    };
    for (deleted, left, pieces) in [(500, 700, 2), (500, 200, 1), (200, 0, 0), (0, 0, 0)] {
        assert_eq!(store.prune(old).await.unwrap(), deleted);
        assert_eq!(indexed().await, [left, left, pieces]);
    }
    raw.close().await.unwrap();
}
