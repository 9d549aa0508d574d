//! Servers, buses and what is said on them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fusion_messaging::{Bus, Pattern, QueueLimits, Received, Subject, Subscription};
use fusion_messaging_redis::{Backoff, RedisBus, Settings};
use fusion_testkit::{Redis, redis_binaries};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How long anything may take: far more than it needs on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn server() -> Redis {
    Redis::start(&redis_binaries().unwrap()).unwrap()
}

/// Tries soon again, and otherwise as usual.
pub(crate) fn settings() -> Settings {
    Settings {
        backoff: Backoff {
            first: Duration::from_millis(20),
            longest: Duration::from_millis(200),
        },
        ..Settings::default()
    }
}

pub(crate) fn bus_at(url: &str, settings: Settings, origin: u128) -> RedisBus {
    let address = url.parse().unwrap();
    let origin = Uuid::from_u128(origin);
    RedisBus::open(address, settings, origin, &TaskTracker::new())
}

pub(crate) fn bus(server: &Redis, origin: u128) -> RedisBus {
    bus_at(&server.url(), settings(), origin)
}

pub(crate) fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

pub(crate) async fn listen(bus: &impl Bus, pattern: &str) -> Subscription {
    bus.subscribe(&pattern.parse().unwrap()).await
}

pub(crate) fn say(bus: &impl Bus, subject: &str, payload: &str) {
    bus.publish(&subject.parse().unwrap(), Arc::from(payload.as_bytes()));
}

pub(crate) async fn next(reader: &mut Subscription) -> Received {
    let message = tokio::time::timeout(LIMIT, reader.recv()).await;
    message.expect("a message in time").expect("a bus")
}

/// The next message as text, and what was lost before it.
pub(crate) async fn heard(reader: &mut Subscription) -> (String, u64) {
    let message = next(reader).await;
    let text = String::from_utf8(message.payload.to_vec()).unwrap();
    (text, message.lost_before)
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn until_back(bus: &RedisBus) {
    until("the server is back", async || bus.fault().await.is_none()).await;
}

pub(crate) async fn until_away(bus: &RedisBus) {
    until("the server is away", async || bus.fault().await.is_some()).await;
}

/// Two buses that share a server, as one: what is said on the first is heard on the second, so that
/// everything goes through the server.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) speaker: RedisBus,
    pub(crate) listener: RedisBus,
    /// Tells by its answers that the server has handed over everything before them.
    pub(crate) server: Redis,
}

impl Pair {
    pub(crate) fn new(queues: QueueLimits) -> Self {
        let server = server();
        let settings = Settings {
            queues,
            ..settings()
        };
        Self {
            speaker: bus_at(&server.url(), settings.clone(), 1),
            listener: bus_at(&server.url(), settings, 2),
            server,
        }
    }
}

#[async_trait]
impl Bus for Pair {
    fn publish(&self, subject: &Subject, payload: Arc<[u8]>) {
        self.speaker.publish(subject, payload);
    }

    /// What was said before is on the other side before the subscription is made.
    async fn subscribe(&self, pattern: &Pattern) -> Subscription {
        let mut mark = self.listener.subscribe(&"mark".parse().unwrap()).await;
        say(&self.speaker, "mark", "");
        next(&mut mark).await;
        self.listener.subscribe(pattern).await
    }
}
