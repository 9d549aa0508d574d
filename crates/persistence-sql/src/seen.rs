//! The rows that lists gave lately. A row that is read again as it was, cell by cell, is given as the value
//! that was made of it then: its JSON is not parsed again, and what was written of it is there (ADR 0052).

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_persistence::{Result, Seen};
use lru::LruCache;
use sea_orm::prelude::Uuid;
use sea_orm::{EntityTrait, Iterable, ModelTrait, Value};

use crate::table::Stored;

/// Bytes of cells that are kept at most; what was made of them takes some four times as much.
const MOST: usize = 2 * 1024 * 1024;

/// Bytes of cells of a row that is kept at most.
const LARGEST: usize = 16 * 1024;

/// A row of a table, by the name of what it holds.
type Key = (&'static str, Uuid);

/// A row as it was read, and what was made of it.
struct Row<T: Stored> {
    stored: <T::Table as EntityTrait>::Model,
    seen: Arc<Seen<T>>,
}

/// Rows that were read, those that were given last.
pub(crate) struct Recent(Mutex<Rows>);

struct Rows {
    /// Each with its bytes.
    rows: LruCache<Key, (usize, Box<dyn Any + Send + Sync>)>,
    bytes: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(Rows {
            rows: LruCache::unbounded(),
            bytes: 0,
        }))
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

impl Recent {
    /// What these rows are.
    pub(crate) fn seen<T: Stored>(
        &self,
        rows: Vec<<T::Table as EntityTrait>::Model>,
    ) -> Result<Vec<Arc<Seen<T>>>> {
        let known: Vec<_> = {
            let mut recent = self.lock();
            rows.iter().map(|row| recent.known::<T>(row)).collect()
        };
        let mut new = Vec::new();
        let mut all = Vec::with_capacity(rows.len());
        for (row, known) in rows.into_iter().zip(known) {
            let seen = match known {
                Some(seen) => seen,
                None => {
                    let seen = Arc::new(Seen::new(T::from_row(row.clone())?));
                    new.push((row, Arc::clone(&seen)));
                    seen
                }
            };
            all.push(seen);
        }
        if !new.is_empty() {
            let mut recent = self.lock();
            for (stored, seen) in new {
                recent.keep::<T>(stored, seen);
            }
        }
        Ok(all)
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Each change under the lock leaves whole rows; a panic between two costs a count of bytes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// What was made of a row that was just this.
    fn known<T: Stored>(&mut self, row: &<T::Table as EntityTrait>::Model) -> Option<Arc<Seen<T>>> {
        let (_, known) = self.rows.get(&key::<T>(row)?)?;
        let known = known.downcast_ref::<Row<T>>()?;
        (known.stored == *row).then(|| Arc::clone(&known.seen))
    }

    fn keep<T: Stored>(&mut self, stored: <T::Table as EntityTrait>::Model, seen: Arc<Seen<T>>) {
        let Some(key) = key::<T>(&stored) else {
            return;
        };
        let bytes = bytes::<T>(&stored);
        let before = self.rows.pop(&key);
        self.bytes -= before.map_or(0, |(bytes, _)| bytes);
        if bytes > LARGEST {
            return;
        }
        self.bytes += bytes;
        self.rows
            .put(key, (bytes, Box::new(Row::<T> { stored, seen })));
        while self.bytes > MOST {
            let Some((_, (bytes, _))) = self.rows.pop_lru() else {
                return;
            };
            self.bytes -= bytes;
        }
    }
}

fn key<T: Stored>(row: &<T::Table as EntityTrait>::Model) -> Option<Key> {
    let Value::Uuid(id) = row.get(T::ID) else {
        return None;
    };
    Some((T::NAME, id?))
}

/// The bytes of the cells of a row; those of a fixed size count as if they were text.
fn bytes<T: Stored>(row: &<T::Table as EntityTrait>::Model) -> usize {
    const FIXED: usize = 32;
    let columns = <T::Table as EntityTrait>::Column::iter();
    let cells = columns.map(|column| {
        let value = row.get(column);
        if let Value::String(Some(text)) = value {
            text.len()
        } else if let Value::Bytes(Some(bytes)) = value {
            bytes.len()
        } else {
            FIXED
        }
    });
    cells.sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fusion_core::{Capability, CapabilityId, Timestamp};
    use fusion_persistence::{CapabilityFilter, Find, Page, Seen, WriteRepository};
    use serde_json::json;
    use tokio_util::task::TaskTracker;
    use uuid::Uuid;

    use super::{LARGEST, MOST};
    use crate::{Location, SqlStore};

    fn capability(number: u128, description: String) -> Capability {
        Capability {
            id: CapabilityId::from_uuid(Uuid::from_u128(number)),
            name: format!("c{number}"),
            description,
            category: String::new(),
            metadata: json!({ "a": [1] }),
            created_at: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }

    async fn fresh() -> SqlStore {
        let tracker = TaskTracker::new();
        SqlStore::open(&Location::Memory, &tracker).await.unwrap()
    }

    async fn seen(store: &SqlStore) -> Vec<Arc<Seen<Capability>>> {
        let all = CapabilityFilter::default();
        store.page_seen(&all, Page::first(1_000)).await.unwrap()
    }

    fn are_the_same(one: &[Arc<Seen<Capability>>], two: &[Arc<Seen<Capability>>]) -> Vec<bool> {
        let pairs = one.iter().zip(two);
        pairs.map(|(one, two)| Arc::ptr_eq(one, two)).collect()
    }

    #[tokio::test]
    async fn a_row_is_made_once_until_it_changes() {
        let store = fresh().await;
        for number in [1, 2] {
            let new = capability(number, "as it was".to_owned());
            store.create(new).await.unwrap();
        }
        let first = seen(&store).await;
        let again = seen(&store).await;
        store
            .update(capability(2, "another".to_owned()))
            .await
            .unwrap();
        let changed = seen(&store).await;
        assert_eq!(
            (
                are_the_same(&first, &again),
                are_the_same(&first, &changed),
                changed[0].description.as_str()
            ),
            (vec![true, true], vec![false, true], "another")
        );
    }

    #[tokio::test]
    async fn what_is_kept_has_its_limits() {
        let store = fresh().await;
        let large = LARGEST / 2;
        let rows = MOST / large + 1;
        for number in 1..=rows {
            let new = capability(number as u128, "x".repeat(large));
            store.create(new).await.unwrap();
        }
        store
            .create(capability(rows as u128 + 1, "x".repeat(LARGEST)))
            .await
            .unwrap();
        let (first, again) = (seen(&store).await, seen(&store).await);
        let kept = store.recent().lock();
        let bytes: usize = kept.rows.iter().map(|(_, (bytes, _))| bytes).sum();
        assert_eq!((kept.bytes, first.len()), (bytes, rows + 1));
        assert!(bytes <= MOST && bytes > MOST - 2 * large, "{bytes}");
        assert!(!Arc::ptr_eq(&first[0], &again[0]), "it is too large");
    }
}
