//! The contract of the store on SQLite in memory.

use fusion_persistence::{EventFilter, EventReader};
use fusion_persistence_sql::{Location, SqlStore};
use tokio_util::task::TaskTracker;

struct InMemory {
    store: SqlStore,
}

async fn fresh() -> InMemory {
    InMemory {
        store: SqlStore::open(&Location::Memory, &TaskTracker::new())
            .await
            .unwrap(),
    }
}

fusion_persistence::store_conformance!(fresh);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_nothing_to_look_at_beside_a_database_in_memory() {
    assert!(
        SqlStore::open_to_read(&Location::Memory)
            .await
            .unwrap()
            .is_none()
    );
    let (one, other) = (fresh().await, fresh().await);
    let everything = EventFilter::default();
    for store in [one.store, other.store] {
        assert_eq!(store.events_after(&everything, 0, 1).await.unwrap(), []);
    }
}
