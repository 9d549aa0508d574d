//! The adapter.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fusion_messaging::{
    Bus, InProcessBus, MAX_PAYLOAD_BYTES, Pattern, QueueLimits, Subject, Subscription,
};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::incoming::Incoming;
use crate::link::{Link, State};
use crate::outbox::Outbox;
use crate::{Address, Backoff, Error, Namespace};

/// How long callers wait for the server after the bus was opened, and for it to take what was said.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a bus behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the names of all its channels begin with.
    pub namespace: Namespace,
    /// What a subscription keeps for a reader that is behind.
    pub queues: QueueLimits,
    /// What waits for a server that is slow or gone.
    pub outbox: QueueLimits,
    /// When a server that is gone is tried again.
    pub backoff: Backoff,
}

impl Default for Settings {
    /// 10,000 messages and 4 MiB may wait for the server: enough for any pause that a hint outlives.
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            queues: QueueLimits::default(),
            outbox: QueueLimits {
                messages: 10_000,
                bytes: 4 * 1_024 * 1_024,
            },
            backoff: Backoff::default(),
        }
    }
}

/// Carries messages among all processes that share a server and a name space.
///
/// Readers in this process are fed directly, whatever the server does; what others say comes through
/// it. A publisher only puts its message into a bounded queue, which a task of the bus sends on. When
/// the server is away, the bus tries again by itself, for ever, and listens again; the next message
/// of each reader then marks the gap ([`lost_before`](fusion_messaging::Received::lost_before)), also
/// where none was meant for it: nobody knows what was missed.
///
/// Dropping the bus ends its subscriptions and its connection.
pub struct RedisBus {
    readers: Arc<InProcessBus>,
    outbox: Arc<Outbox>,
    state: watch::Receiver<State>,
    /// When callers no longer wait for the first attempt.
    patient_until: Instant,
    place: String,
    _closing: DropGuard,
}

impl RedisBus {
    /// A bus that begins to connect. `origin` names it to the others and must be its own: they drop
    /// what comes again under the same name. Its task runs on `tracker` until it is dropped.
    #[must_use]
    pub fn open(address: Address, settings: Settings, origin: Uuid, tracker: &TaskTracker) -> Self {
        let readers = Arc::new(InProcessBus::new(settings.queues));
        let outbox = Arc::new(Outbox::new(settings.outbox));
        let (sender, state) = watch::channel(State::Connecting);
        let closing = CancellationToken::new();
        let place = address.to_string();
        let incoming = Incoming {
            own: origin,
            namespace: settings.namespace.clone(),
            readers: Arc::downgrade(&readers),
            expected: Mutex::default(),
        };
        let link = Link {
            address,
            namespace: settings.namespace,
            backoff: settings.backoff,
            incoming: Arc::new(incoming),
            outbox: Arc::clone(&outbox),
            state: sender,
            closing: closing.clone(),
        };
        tracker.spawn(link.keep());
        Self {
            readers,
            outbox,
            state,
            patient_until: Instant::now() + PATIENCE,
            place,
            _closing: closing.drop_guard(),
        }
    }

    /// What is wrong with the server, if anything is. Waits for the first attempt to reach it, until a
    /// second after the bus was opened at most.
    pub async fn fault(&self) -> Option<Error> {
        self.first_attempt().await;
        match &*self.state.borrow() {
            State::Connecting => Some(Error::TooSlow {
                place: self.place.clone(),
                seconds: PATIENCE.as_secs(),
            }),
            State::Listening => None,
            State::Away(fault) => Some(fault.clone()),
        }
    }

    async fn first_attempt(&self) {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| *state != State::Connecting);
        // Too slow or gone with the runtime: whoever asks goes on without it.
        timeout_at(self.patient_until, known).await.ok();
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn publish(&self, subject: &Subject, payload: Arc<[u8]>) {
        if payload.len() > MAX_PAYLOAD_BYTES {
            self.outbox.skip();
        } else {
            self.outbox.push(subject, &payload);
        }
        self.readers.publish(subject, payload);
    }

    async fn subscribe(&self, pattern: &Pattern) -> Subscription {
        self.first_attempt().await;
        self.readers.subscribe(pattern).await
    }

    async fn flush(&self) {
        self.first_attempt().await;
        let is_listening = *self.state.borrow() == State::Listening;
        if is_listening {
            timeout(PATIENCE, self.outbox.settled()).await.ok();
        }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("place", &self.place)
            .field("state", &*self.state.borrow())
            .field("subscriptions", &self.readers.subscriptions())
            .finish_non_exhaustive()
    }
}
