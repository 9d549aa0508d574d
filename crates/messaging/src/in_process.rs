//! The bus of a single machine.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use crate::{Bus, Feed, Pattern, QueueLimits, Subject, Subscription, subscription};

/// Carries messages within this process: a publisher puts them into its readers' queues itself, so
/// they are there when [`Bus::publish`] returns. Dropping the bus ends its subscriptions.
pub struct InProcessBus {
    limits: QueueLimits,
    readers: Arc<RwLock<Readers>>,
}

impl InProcessBus {
    /// A bus that nobody listens to yet. Each subscription gets a queue with these limits.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            readers: Arc::default(),
        }
    }

    /// How many subscriptions it feeds.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        let readers = read(&self.readers);
        readers
            .by_subject
            .values()
            .map(BTreeMap::len)
            .sum::<usize>()
            + readers.by_pattern.len()
    }
}

#[async_trait]
impl Bus for InProcessBus {
    fn publish(&self, subject: &Subject, payload: Arc<[u8]>) {
        let readers = read(&self.readers);
        if let Some(feeds) = readers.by_subject.get(subject.as_str().as_bytes()) {
            for feed in feeds.values() {
                feed.deliver(subject, &payload);
            }
        }
        for (pattern, feed) in readers.by_pattern.values() {
            if pattern.matches(subject) {
                feed.deliver(subject, &payload);
            }
        }
    }

    async fn subscribe(&self, pattern: &Pattern) -> Subscription {
        let mut readers = write(&self.readers);
        readers.last += 1;
        let number = readers.last;
        // Weak: a reader does not keep the bus alive.
        let shared = Arc::downgrade(&self.readers);
        let key = pattern.clone();
        let (feed, reader) = subscription(self.limits, move || {
            if let Some(readers) = shared.upgrade() {
                write(&readers).remove(number, &key);
            }
        });
        readers.add(number, pattern, feed);
        reader
    }
}

impl fmt::Debug for InProcessBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessBus")
            .field("subscriptions", &self.subscriptions())
            .finish()
    }
}

/// The feeds, each under a number of its own. Most readers name one subject (the inbox of an
/// agent): these are found by that subject, so that a publisher tries only the real patterns.
#[derive(Default)]
struct Readers {
    last: u64,
    by_subject: HashMap<Box<[u8]>, BTreeMap<u64, Feed>>,
    by_pattern: BTreeMap<u64, (Pattern, Feed)>,
}

impl Readers {
    fn add(&mut self, number: u64, pattern: &Pattern, feed: Feed) {
        if let Some(subject) = pattern.literal() {
            self.by_subject
                .entry(subject)
                .or_default()
                .insert(number, feed);
        } else {
            self.by_pattern.insert(number, (pattern.clone(), feed));
        }
    }

    fn remove(&mut self, number: u64, pattern: &Pattern) {
        let Some(subject) = pattern.literal() else {
            self.by_pattern.remove(&number);
            return;
        };
        if let Some(feeds) = self.by_subject.get_mut(&subject) {
            feeds.remove(&number);
            if feeds.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

/// No code of a caller runs under the lock, so a poisoned one is taken as it is.
fn read(readers: &RwLock<Readers>) -> RwLockReadGuard<'_, Readers> {
    readers.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`read`], to change.
fn write(readers: &RwLock<Readers>) -> RwLockWriteGuard<'_, Readers> {
    readers.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::InProcessBus;
    use crate::{Bus, QueueLimits};
    use std::sync::Arc;

    crate::bus_conformance!(|limits| std::future::ready(InProcessBus::new(limits)));

    #[tokio::test]
    async fn a_dropped_subscription_leaves_nothing_behind() {
        let bus = InProcessBus::new(QueueLimits::default());
        for pattern in ["agent.1.inbox", "agent.1.inbox", "agent.*"] {
            let pattern = pattern.parse().unwrap();
            let first = bus.subscribe(&pattern).await;
            let second = bus.subscribe(&pattern).await;
            assert_eq!(bus.subscriptions(), 2);
            drop(first);
            assert_eq!(bus.subscriptions(), 1);
            drop(second);
            assert_eq!(bus.subscriptions(), 0);
        }
    }

    #[tokio::test]
    async fn a_reader_that_never_reads_costs_a_bounded_queue() {
        let limits = QueueLimits {
            messages: 4,
            bytes: 1_024,
        };
        let bus = InProcessBus::new(limits);
        let mut reader = bus.subscribe(&"load.*".parse().unwrap()).await;
        let payload: Arc<[u8]> = Arc::from([7_u8; 16]);
        for _ in 0..10_000 {
            bus.publish(&"load.tick".parse().unwrap(), Arc::clone(&payload));
        }
        // One here and one for each queued message: the others are gone.
        assert_eq!(Arc::strong_count(&payload), 1 + limits.messages);
        assert_eq!(reader.recv().await.unwrap().lost_before, 9_996);
    }
}
