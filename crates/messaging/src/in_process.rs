//! The bus of a single machine.

mod index;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use index::Index;

use crate::{Bus, MAX_PAYLOAD_BYTES, Pattern, QueueLimits, Subject, Subscription, subscription};

/// Carries messages within this process: a publisher puts them into its readers' queues itself, so
/// they are there when [`Bus::publish`] returns. Dropping the bus ends its subscriptions.
pub struct InProcessBus {
    limits: QueueLimits,
    readers: Arc<RwLock<Index>>,
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
        read(&self.readers).len()
    }

    /// Notes for every reader that messages were lost on their way here, nobody knows how many: its
    /// next message says so. For a bus that feeds this one from elsewhere.
    pub fn note_gap(&self) {
        read(&self.readers).for_all(|feed| feed.note_lost(1));
    }
}

#[async_trait]
impl Bus for InProcessBus {
    fn publish(&self, subject: &Subject, payload: Arc<[u8]>) {
        let readers = read(&self.readers);
        if payload.len() > MAX_PAYLOAD_BYTES {
            tracing::warn!(%subject, bytes = payload.len(), limit = MAX_PAYLOAD_BYTES, "a message is too large for the bus and is lost");
            readers.for_each(subject, |feed| feed.note_lost(1));
        } else {
            readers.for_each(subject, |feed| feed.deliver(subject, &payload));
        }
    }

    async fn subscribe(&self, pattern: &Pattern) -> Subscription {
        let mut readers = write(&self.readers);
        let number = readers.next_number();
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

/// No code of a caller runs under the lock, so a poisoned one is taken as it is.
fn read(readers: &RwLock<Index>) -> RwLockReadGuard<'_, Index> {
    readers.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`read`], to change.
fn write(readers: &RwLock<Index>) -> RwLockWriteGuard<'_, Index> {
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
