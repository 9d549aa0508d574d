//! What waits for the server, bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_messaging::{QueueLimits, Subject};
use tokio::sync::Notify;

/// Messages that are sent together at most.
const BATCH_MESSAGES: usize = 1_000;

/// Bytes of payload that are sent together, unless one message alone is larger.
const BATCH_BYTES: usize = 256 * 1_024;

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) subject: Subject,
    pub(crate) payload: Arc<[u8]>,
    /// Rises by one with everything that was said, whether it gets this far or not.
    pub(crate) number: u64,
}

/// The queue between publishers, who never wait, and the connection. When it is full, the oldest
/// message is lost.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: QueueLimits,
    waiting: Mutex<Waiting>,
    /// Wakes the connection's task, the only one that takes.
    arrived: Notify,
    /// Wakes those who wait until all is gone.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Outgoing>,
    bytes: usize,
    next: u64,
    lost: u64,
    /// Batches that were taken and are not settled.
    under_way: usize,
}

impl Outbox {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            waiting: Mutex::default(),
            arrived: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// Queues a message; one that is larger than the whole queue is lost.
    pub(crate) fn push(&self, subject: &Subject, payload: &Arc<[u8]>) {
        let mut waiting = self.lock();
        let number = waiting.number();
        if payload.len() > self.limits.bytes || self.limits.messages == 0 {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += payload.len();
        waiting.messages.push_back(Outgoing {
            subject: subject.clone(),
            payload: Arc::clone(payload),
            number,
        });
        while waiting.messages.len() > self.limits.messages || waiting.bytes > self.limits.bytes {
            waiting.pop();
            waiting.lost += 1;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Counts a message that is not sent: the number after it tells the others that it is missing.
    pub(crate) fn skip(&self) {
        self.lock().number();
    }

    /// Waits for messages and takes a batch of them, the oldest first. It counts as under way until
    /// [`sent`](Self::sent) is called once. Giving up the wait loses none.
    pub(crate) async fn take(&self) -> Vec<Outgoing> {
        loop {
            let batch = self.lock().take_batch();
            if !batch.is_empty() {
                return batch;
            }
            self.arrived.notified().await;
        }
    }

    /// A batch that was taken is gone; `lost` of its messages did not get through.
    pub(crate) fn sent(&self, lost: u64) {
        let mut waiting = self.lock();
        waiting.under_way = waiting.under_way.saturating_sub(1);
        waiting.lost += lost;
        drop(waiting);
        self.settled.notify_waiters();
    }

    /// How many were lost since this was asked last.
    pub(crate) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.lock().lost)
    }

    /// Waits until nothing waits and nothing is under way.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            {
                let waiting = self.lock();
                if waiting.messages.is_empty() && waiting.under_way == 0 {
                    return;
                }
            }
            settled.await;
        }
    }

    /// A panic elsewhere can't leave the queue half changed, so a poisoned lock is taken as it is.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    const fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload.len();
        Some(message)
    }

    fn take_batch(&mut self) -> Vec<Outgoing> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let Some(message) = self.pop() else {
                break;
            };
            bytes += message.payload.len();
            batch.push(message);
        }
        self.under_way += usize::from(!batch.is_empty());
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use fusion_messaging::{QueueLimits, Subject};

    use super::{BATCH_BYTES, BATCH_MESSAGES, Outbox};

    fn outbox(messages: usize, bytes: usize) -> Outbox {
        Outbox::new(QueueLimits { messages, bytes })
    }

    fn push(outbox: &Outbox, bytes: usize) {
        let subject: Subject = "task.queued".parse().unwrap();
        outbox.push(&subject, &Arc::from(vec![0; bytes]));
    }

    fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    /// The numbers that are taken next.
    fn taken(outbox: &Outbox) -> Option<Vec<u64>> {
        let batch = ready(outbox.take())?;
        Some(batch.iter().map(|message| message.number).collect())
    }

    #[test]
    fn a_full_queue_loses_its_oldest_and_counts_them() {
        let few = outbox(2, 100);
        (0..5).for_each(|_| push(&few, 1));
        assert_eq!(taken(&few), Some(vec![3, 4]));
        assert_eq!((few.take_lost(), few.take_lost()), (3, 0));

        let small = outbox(100, 5);
        [2, 2, 4, 6]
            .into_iter()
            .for_each(|bytes| push(&small, bytes));
        assert_eq!(taken(&small), Some(vec![2]));
        assert_eq!(small.take_lost(), 3);
    }

    #[test]
    fn what_is_skipped_leaves_a_gap_in_the_numbers() {
        let outbox = outbox(10, 100);
        push(&outbox, 1);
        outbox.skip();
        push(&outbox, 1);
        assert_eq!(taken(&outbox), Some(vec![0, 2]));
        assert_eq!(outbox.take_lost(), 0);
    }

    #[test]
    fn a_batch_is_bounded_in_messages_and_in_bytes() {
        let outbox = outbox(10_000, 100 * BATCH_BYTES);
        (0..=BATCH_MESSAGES).for_each(|_| push(&outbox, 1));
        assert_eq!(
            taken(&outbox).map(|batch| batch.len()),
            Some(BATCH_MESSAGES)
        );
        assert_eq!(taken(&outbox).map(|batch| batch.len()), Some(1));
        (0..3).for_each(|_| push(&outbox, BATCH_BYTES));
        assert_eq!(taken(&outbox).map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn it_is_settled_when_nothing_waits_and_nothing_is_under_way() {
        let outbox = outbox(10, 100);
        let is_settled = || ready(outbox.settled()).is_some();
        assert!(is_settled());
        push(&outbox, 1);
        assert!(!is_settled());
        assert_eq!(taken(&outbox), Some(vec![0]));
        assert!(!is_settled());
        push(&outbox, 1);
        assert_eq!(taken(&outbox), Some(vec![1]));
        outbox.sent(1);
        assert!(!is_settled());
        outbox.sent(0);
        assert!(is_settled());
        assert_eq!(outbox.take_lost(), 1);
        assert_eq!(taken(&outbox), None);
    }
}
