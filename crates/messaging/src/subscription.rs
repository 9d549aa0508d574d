//! A reader's end of a bus, and the bounded queue behind it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Subject;

/// A message as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What it is about.
    pub subject: Subject,
    /// What was said; shared with the other readers.
    pub payload: Arc<[u8]>,
    /// How many messages for this reader were lost between the one before and this one. A gap of
    /// unknown size (a server that was away) counts as one.
    pub lost_before: u64,
}

/// How much a subscription keeps for a reader that is behind. The oldest message goes when either
/// limit is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages kept at most.
    pub messages: usize,
    /// Bytes of payload kept at most; a larger message is lost by itself.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// 1,000 messages and 4 MiB: hints are small, and a reader this far behind should look in the
    /// store instead.
    fn default() -> Self {
        Self {
            messages: 1_000,
            bytes: 4 * 1_024 * 1_024,
        }
    }
}

/// Makes the two ends of one subscription: a bus keeps the [`Feed`] and hands out the
/// [`Subscription`]. `on_drop` runs once, when the reader has dropped its end.
pub fn subscription(
    limits: QueueLimits,
    on_drop: impl FnOnce() + Send + Sync + 'static,
) -> (Feed, Subscription) {
    let queue = Arc::new(Queue {
        limits,
        backlog: Mutex::default(),
        arrived: Notify::new(),
    });
    let feed = Feed {
        queue: Arc::clone(&queue),
    };
    let reader = Subscription {
        queue,
        on_drop: Some(Box::new(on_drop)),
    };
    (feed, reader)
}

/// The bus's end of a subscription. Dropping it lets the reader take what is queued, then ends it.
pub struct Feed {
    queue: Arc<Queue>,
}

impl Feed {
    /// Queues a message. Never waits: when the queue is full the oldest message is lost.
    pub fn deliver(&self, subject: &Subject, payload: &Arc<[u8]>) {
        self.queue.lock().push(subject, payload, self.queue.limits);
        self.queue.arrived.notify_one();
    }

    /// Notes that messages were lost on their way here, which the next message will say. `count` is
    /// one when nobody knows how many.
    pub fn note_lost(&self, count: u64) {
        self.queue.lock().lost += count;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.arrived.notify_one();
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// The reader's end of a subscription. Dropping it ends the subscription.
pub struct Subscription {
    queue: Arc<Queue>,
    on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Subscription {
    /// Waits for the next message. `None` says that the bus is gone and everything that it queued
    /// was read. Giving up the wait (a timeout, a `select!`) loses no message.
    pub async fn recv(&mut self) -> Option<Received> {
        loop {
            {
                let mut backlog = self.queue.lock();
                let next = backlog.pop();
                if next.is_some() || backlog.is_closed {
                    return next;
                }
            }
            self.queue.arrived.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

struct Queue {
    limits: QueueLimits,
    backlog: Mutex<Backlog>,
    /// One reader waits here, so one permit is enough.
    arrived: Notify,
}

#[derive(Default)]
struct Backlog {
    messages: VecDeque<Received>,
    bytes: usize,
    /// Lost behind the last message of the queue: the next one to come says it.
    lost: u64,
    is_closed: bool,
}

impl Queue {
    /// A panic elsewhere can't leave a backlog half changed, so a poisoned lock is taken as it is.
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    fn push(&mut self, subject: &Subject, payload: &Arc<[u8]>, limits: QueueLimits) {
        if payload.len() > limits.bytes || limits.messages == 0 {
            self.lost += 1;
            return;
        }
        self.bytes += payload.len();
        self.messages.push_back(Received {
            subject: subject.clone(),
            payload: Arc::clone(payload),
            lost_before: std::mem::take(&mut self.lost),
        });
        while self.messages.len() > limits.messages || self.bytes > limits.bytes {
            let lost = self.pop().map_or(0, |oldest| oldest.lost_before + 1);
            if let Some(next) = self.messages.front_mut() {
                next.lost_before += lost;
            }
        }
    }

    fn pop(&mut self) -> Option<Received> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload.len();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, QueueLimits, Subscription, subscription};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll, Waker};

    fn pair(messages: usize, bytes: usize) -> (Feed, Subscription) {
        subscription(QueueLimits { messages, bytes }, || {})
    }

    fn deliver(feed: &Feed, payload: &str) {
        feed.deliver(
            &"task.queued".parse().unwrap(),
            &Arc::from(payload.as_bytes()),
        );
    }

    /// Everything that is there now, as `payload` and what was lost before it.
    fn drain(reader: &mut Subscription) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        while let Poll::Ready(Some(message)) =
            std::pin::pin!(reader.recv()).poll(&mut Context::from_waker(Waker::noop()))
        {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            all.push((payload, message.lost_before));
        }
        all
    }

    fn expected(messages: &[(&str, u64)]) -> Vec<(String, u64)> {
        messages
            .iter()
            .map(|(payload, lost)| ((*payload).to_owned(), *lost))
            .collect()
    }

    #[test]
    fn a_full_queue_loses_its_oldest_and_the_next_message_says_how_many() {
        let (feed, mut reader) = pair(2, 100);
        for payload in ["a", "b", "c", "d", "e"] {
            deliver(&feed, payload);
        }
        assert_eq!(drain(&mut reader), expected(&[("d", 3), ("e", 0)]));
        deliver(&feed, "f");
        assert_eq!(drain(&mut reader), expected(&[("f", 0)]));
    }

    #[test]
    fn the_limit_of_bytes_loses_as_many_of_the_oldest_as_it_takes() {
        let (feed, mut reader) = pair(100, 5);
        for payload in ["aa", "bb", "cccc"] {
            deliver(&feed, payload);
        }
        assert_eq!(drain(&mut reader), expected(&[("cccc", 2)]));
    }

    #[test]
    fn a_message_over_the_limit_is_lost_alone() {
        let (feed, mut reader) = pair(100, 3);
        for payload in ["a", "dddd", "b"] {
            deliver(&feed, payload);
        }
        assert_eq!(drain(&mut reader), expected(&[("a", 0), ("b", 1)]));
    }

    #[test]
    fn what_was_lost_on_the_way_is_said_by_the_next_message_even_if_that_is_lost() {
        let (feed, mut reader) = pair(1, 100);
        deliver(&feed, "a");
        feed.note_lost(4);
        deliver(&feed, "b");
        deliver(&feed, "c");
        assert_eq!(drain(&mut reader), expected(&[("c", 6)]));
    }

    #[tokio::test]
    async fn a_reader_takes_what_is_queued_before_it_ends() {
        let (feed, mut reader) = pair(2, 100);
        deliver(&feed, "a");
        drop(feed);
        assert!(reader.recv().await.is_some());
        assert_eq!(reader.recv().await, None);
        assert_eq!(reader.recv().await, None);
    }

    #[test]
    fn dropping_the_reader_tells_the_bus_once() {
        let told = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&told);
        let (_feed, reader) = subscription(QueueLimits::default(), move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        drop(reader);
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
}
