//! Reads the end of the event log once for all who follow it.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use fusion_api_types::api::Frame;
use fusion_core::Event;
use fusion_messaging::{Bus, Subscription};
use fusion_persistence::{EventFilter, Reader};
use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::views;

/// Events that are kept in mind. Who is further behind reads the store.
pub(crate) const KEPT: usize = 4_096;

/// Events that are read at once.
const AT_ONCE: u32 = 500;

/// How often the log is looked at for those who follow it when the bus says nothing: another process may
/// have written. Without followers nobody looks, nor listens to the bus.
const LOOK: Duration = Duration::from_millis(250);

/// The wait after the store did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// After a hint, this long for those that come with it: a look for each would read the log more often
/// than it grows.
const GATHER: Duration = Duration::from_millis(5);

/// The same for each that follows the log: whatever comes meanwhile is sent to it in one write.
const GATHER_FOR_EACH: Duration = Duration::from_micros(50);

/// That long at most.
const GATHER_AT_MOST: Duration = Duration::from_millis(60);

/// How long hints are gathered for so many who follow the log.
fn gathering(readers: usize) -> Duration {
    let readers = u32::try_from(readers).unwrap_or(u32::MAX);
    let for_all = GATHER_FOR_EACH.saturating_mul(readers);
    for_all.clamp(GATHER, GATHER_AT_MOST)
}

/// An event, and what all who follow the log are told of it: written once, however many they are.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) event: Event,
    line: OnceLock<Line>,
}

impl Told {
    pub(crate) const fn new(event: Event) -> Self {
        Self {
            event,
            line: OnceLock::new(),
        }
    }

    /// The frame of the event.
    pub(crate) fn line(&self) -> Line {
        let line = self.line.get_or_init(|| {
            Line::of(&Frame::Event {
                event: Box::new(views::event(self.event.clone())),
            })
        });
        line.clone()
    }
}

/// A frame as it is sent, and the place that the stream goes on after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `None` for what has no place in the log.
    pub(crate) seq: Option<u64>,
    pub(crate) text: Utf8Bytes,
}

impl Line {
    pub(crate) fn of(frame: &Frame) -> Self {
        let seq = match frame {
            Frame::Hello { seq, .. } | Frame::Bookmark { seq } | Frame::Shutdown { seq } => {
                Some(*seq)
            }
            Frame::Event { event } => Some(event.seq),
            Frame::Lagged { from, .. } => Some(*from),
            Frame::Delta { .. } => None,
        };
        // Frames hold nothing that JSON has no form for.
        let text = serde_json::to_string(frame).unwrap_or_default();
        Self {
            seq,
            text: text.into(),
        }
    }
}

/// The end of the event log.
pub(crate) struct Hub {
    reader: Arc<dyn Reader>,
    bus: Arc<dyn Bus>,
    recent: Mutex<VecDeque<Arc<Told>>>,
    /// Place of the newest event that was read; `None` before the first look.
    head: watch::Sender<Option<u64>>,
    /// Somebody follows the log from now on.
    joined: Notify,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Hub {
    pub(crate) fn new(reader: Arc<dyn Reader>, bus: Arc<dyn Bus>) -> Self {
        Self {
            reader,
            bus,
            recent: Mutex::default(),
            head: watch::Sender::new(None),
            joined: Notify::new(),
        }
    }

    /// How many follow the log.
    pub(crate) fn readers(&self) -> usize {
        self.head.receiver_count()
    }

    /// Says when there is something new.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<u64>> {
        let head = self.head.subscribe();
        self.joined.notify_one();
        head
    }

    /// The events after a place, the oldest first; `None` when that place is not kept in mind.
    pub(crate) fn after(&self, place: u64, most: usize) -> Option<Vec<Arc<Told>>> {
        let recent = self.recent();
        let first = recent.front()?.event.seq;
        let skipped = usize::try_from((place + 1).checked_sub(first)?).ok()?;
        Some(
            recent
                .iter()
                .skip(skipped)
                .take(most)
                .map(Arc::clone)
                .collect(),
        )
    }

    /// Follows the log until the server stops, while anybody follows it here. A store that is away is
    /// waited for.
    pub(crate) async fn follow(&self, stopping: &CancellationToken) {
        let Ok(everything) = "*".parse() else {
            return;
        };
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.joined.notified() => {}
            }
            let mut hints = self.bus.subscribe(&everything).await;
            while self.readers() > 0 {
                let pause = self.pause_after(self.read().await);
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = self.joined.notified() => {}
                    () = self.called(&mut hints) => {}
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// How long nobody looks without a hint.
    fn pause_after(&self, read: fusion_persistence::Result<()>) -> Duration {
        match read {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(%error, "the event log can't be followed");
                PAUSE
            }
        }
    }

    /// Waits until the bus says something.
    async fn called(&self, hints: &mut Subscription) {
        if hints.recv().await.is_none() {
            // The bus is gone, and says nothing any more.
            return pending().await;
        }
        sleep(gathering(self.readers())).await;
        // They all say the same: look.
        while hints.recv().now_or_never().flatten().is_some() {}
    }

    /// Reads what is new.
    async fn read(&self) -> fusion_persistence::Result<()> {
        let known = *self.head.borrow();
        // Most looks find nothing: this costs a fraction of what reading no events does.
        let last = self.reader.event_bounds().await?.last;
        let mut head = known.unwrap_or(last);
        if known == Some(last) {
            return Ok(());
        }
        if last.saturating_sub(head) > KEPT as u64 {
            // Told while nobody followed: more than is kept in mind.
            self.recent().clear();
            head = last;
        }
        loop {
            let new = self
                .reader
                .events_after(&EventFilter::default(), head, AT_ONCE)
                .await?;
            let is_whole = new.len() < AT_ONCE as usize;
            if let Some(last) = new.last() {
                head = last.seq;
                self.keep(new);
            }
            self.head.send_if_modified(|told| {
                let is_new = *told != Some(head);
                *told = Some(head);
                is_new
            });
            if is_whole {
                return Ok(());
            }
        }
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Arc<Told>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, new: Vec<Event>) {
        let mut recent = self.recent();
        recent.extend(new.into_iter().map(|event| Arc::new(Told::new(event))));
        let over = recent.len().saturating_sub(KEPT);
        recent.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use fusion_core::{Decision, EventId, EventType, NewEvent, Severity, Timestamp};
    use fusion_messaging::{Bus, InProcessBus, QueueLimits};
    use fusion_persistence::{Batch, Store};
    use fusion_persistence_sql::{Location, SqlStore};
    use serde_json::json;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;
    use uuid::Uuid;

    use super::{Hub, KEPT, gathering};

    fn telling(number: u128) -> Batch {
        let event = NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(number)),
            timestamp: Timestamp::UNIX_EPOCH,
            event_type: EventType::ALL[0],
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "test".to_owned(),
            run_id: None,
            data: json!({}),
            message: String::new(),
            message_queue_topic: None,
        };
        Batch::free(Decision {
            events: vec![event],
            ..Decision::default()
        })
    }

    /// Until this is the newest event that those who follow know of.
    async fn reached(hub: &Hub, seq: u64) {
        let mut head = hub.watch();
        let reached = head.wait_for(|head| *head == Some(seq));
        let limit = Duration::from_secs(60);
        timeout(limit, reached).await.unwrap().unwrap();
    }

    #[test]
    fn the_more_follow_the_longer_hints_are_gathered_within_limits() {
        let milliseconds =
            [0, 1, 400, 1_000, 1_000_000].map(|readers| gathering(readers).as_millis());
        assert_eq!(milliseconds, [5, 5, 20, 50, 60]);
    }

    #[tokio::test]
    async fn who_joins_is_told_what_another_process_wrote_while_nobody_followed() {
        let tracker = TaskTracker::new();
        let store = SqlStore::open(&Location::Memory, &tracker).await.unwrap();
        let hub = Hub::new(
            Arc::new(store.clone()),
            Arc::new(InProcessBus::new(QueueLimits::default())),
        );
        let stopping = CancellationToken::new();
        let followed = async {
            reached(&hub, 0).await;
            for seq in 1..=3 {
                // No hint says so.
                store.commit(telling(u128::from(seq))).await.unwrap();
                reached(&hub, seq).await;
            }
            stopping.cancel();
        };
        tokio::join!(hub.follow(&stopping), followed);
        assert_eq!(hub.readers(), 0);
        assert_eq!(hub.after(0, 10).unwrap().len(), 3);
    }

    #[tokio::test]
    async fn nobody_listens_or_reads_while_nobody_follows_and_who_joins_late_reads_the_store() {
        let tracker = TaskTracker::new();
        let store = SqlStore::open(&Location::Memory, &tracker).await.unwrap();
        let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
        let hub = Hub::new(Arc::new(store.clone()), bus.clone());
        let stopping = CancellationToken::new();
        let listened = async |wanted: usize| {
            let until = async {
                while bus.subscriptions() != wanted {
                    bus.publish(&"any.thing".parse().unwrap(), Arc::from([]));
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(60), until).await.unwrap();
        };
        let followed = async {
            listened(0).await;
            let joined = hub.watch();
            listened(1).await;
            drop(joined);
            listened(0).await;
            let many = KEPT as u64 + 1;
            let mut told = Decision::default();
            for number in 1..=many {
                told.merge(telling(u128::from(number)).decision);
            }
            store.commit(Batch::free(told)).await.unwrap();
            reached(&hub, many).await;
            stopping.cancel();
            many
        };
        let ((), last) = tokio::join!(hub.follow(&stopping), followed);
        assert_eq!(
            (hub.after(0, 1).is_none(), hub.after(last, 1).is_none()),
            (true, true)
        );
    }
}
