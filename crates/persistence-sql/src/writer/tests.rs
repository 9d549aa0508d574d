use std::sync::atomic::{AtomicU64, Ordering};

use fusion_core::{Decision, EventType, IdSource, Moment, NewEvent, RunId, Timestamp};
use fusion_persistence::{Batch, Error, EventFilter, EventReader, Store};
use sea_orm::ConnectionTrait;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{Location, SqlStore};

#[derive(Debug)]
struct Ids(AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

fn telling(ids: &Ids, message: String) -> Batch {
    let moment = Moment {
        now: Timestamp::UNIX_EPOCH,
        ids,
    };
    let event = NewEvent::of_run(
        moment,
        EventType::SystemError,
        RunId::from_uuid(Uuid::nil()),
        message,
    );
    Batch::free(Decision::default().telling(event))
}

/// SQLite rolls a whole transaction back when the disk is full. Whatever shared it, only what
/// was acknowledged is there afterwards, and what is there was acknowledged.
#[tokio::test]
async fn a_full_disk_leaves_exactly_what_was_acknowledged() {
    let store = SqlStore::open(&Location::Memory, &TaskTracker::new())
        .await
        .unwrap();
    store
        .writing
        .execute_unprepared("PRAGMA max_page_count = 120")
        .await
        .unwrap();
    let ids = Ids(AtomicU64::new(1));
    let batches = (0..9).map(|number| {
        let size = if number == 4 { 2_000_000 } else { 10 };
        telling(&ids, format!("{number}{}", "x".repeat(size)))
    });
    let results = futures::future::join_all(batches.map(|batch| store.commit(batch))).await;
    assert!(
        matches!(results[4], Err(Error::DiskFull { .. })),
        "{:?}",
        results[4]
    );
    let acknowledged: Vec<String> = (0..9)
        .filter(|number| results[*number].is_ok())
        .map(|number| number.to_string())
        .collect();
    let events = store
        .events(EventFilter {
            after: 0,
            run: None,
            limit: 100,
        })
        .await
        .unwrap();
    let mut stored: Vec<String> = events
        .iter()
        .map(|event| event.event.message.chars().take(1).collect())
        .collect();
    stored.sort();
    assert_eq!(stored, acknowledged);
    store
        .commit(telling(&ids, "after".to_owned()))
        .await
        .unwrap();
}
