//! Which bus carries the messages.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fusion_api_types::{CheckView, Problem};
use fusion_core::IdSource;
use fusion_messaging::{Bus, InProcessBus, QueueLimits};
use fusion_messaging_redis::{Address, Namespace, RedisBus, Settings, probe};
use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

use super::CLOSING;
use crate::config::Config;
use crate::problems;

/// What the settings say of the bus, read and found to make sense.
#[derive(Debug, Clone)]
pub(crate) enum BusPlace {
    /// Nobody outside this process is meant.
    InProcess,
    /// A Redis server.
    Redis(Address, Namespace),
}

impl BusPlace {
    pub(crate) fn of(config: &Config) -> Result<Self, Problem> {
        let namespace = match &config.redis_namespace {
            None => Namespace::default(),
            Some(text) => text.parse().map_err(|error| problems::of_bus(&error))?,
        };
        match &config.redis_url {
            None => Ok(Self::InProcess),
            Some(url) => {
                let address = url.expose_secret().parse();
                let address = address.map_err(|error| problems::of_bus(&error))?;
                Ok(Self::Redis(address, namespace))
            }
        }
    }

    /// Begins to connect where there is something to connect to.
    pub(crate) fn open(self, ids: &dyn IdSource) -> OpenBus {
        let working = TaskTracker::new();
        match self {
            Self::InProcess => OpenBus {
                bus: Arc::new(InProcessBus::new(QueueLimits::default())),
                redis: None,
                working,
            },
            Self::Redis(address, namespace) => {
                let settings = Settings {
                    namespace,
                    ..Settings::default()
                };
                let redis = Arc::new(RedisBus::open(address, settings, ids.uuid(), &working));
                OpenBus {
                    bus: Arc::<RedisBus>::clone(&redis),
                    redis: Some(redis),
                    working,
                }
            }
        }
    }

    /// Tells other processes what a command has committed, where they share a bus. It waits for the
    /// server for a second or two at most; what is lost is seen at the next look.
    pub(crate) async fn tell(self, subjects: BTreeSet<String>, ids: &dyn IdSource) {
        if matches!(self, Self::InProcess) {
            return;
        }
        let open = self.open(ids);
        for subject in &subjects {
            match subject.parse() {
                Ok(subject) => open.bus.publish(&subject, Arc::default()),
                Err(error) => tracing::warn!(%error, "a topic is not a subject"),
            }
        }
        open.close().await;
    }

    /// Whether messages get through, for `verify`.
    pub(crate) async fn check(&self, ids: &dyn IdSource) -> CheckView {
        let (note, problem) = match self {
            Self::InProcess => (
                "within this process; REDIS_URL joins several".to_owned(),
                None,
            ),
            Self::Redis(address, namespace) => {
                match Box::pin(probe(address, namespace, ids.uuid())).await {
                    Ok(time) => (answers(address, time), None),
                    Err(error) => (String::new(), Some(problems::of_bus(&error))),
                }
            }
        };
        CheckView {
            name: "bus".to_owned(),
            note: problem.is_none().then_some(note),
            fault: problem.as_ref().map(|problem| problem.message.clone()),
            help: problem.and_then(|problem| problem.help),
        }
    }
}

/// For people.
impl fmt::Display for BusPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => f.write_str("in process"),
            Self::Redis(address, _) => write!(f, "Redis at {address}"),
        }
    }
}

fn answers(address: &Address, time: Duration) -> String {
    let millis = time.as_secs_f64() * 1_000.0;
    format!("Redis at {address} brought a message back in {millis:.1} ms")
}

/// A bus that may have a task of its own.
#[derive(Debug)]
pub(crate) struct OpenBus {
    bus: Arc<dyn Bus>,
    redis: Option<Arc<RedisBus>>,
    working: TaskTracker,
}

impl OpenBus {
    pub(crate) const fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    pub(crate) fn redis(&self) -> Option<Arc<RedisBus>> {
        self.redis.clone()
    }

    /// What a person should know: that other processes hear later.
    pub(crate) async fn notice(&self) -> Option<String> {
        let fault = self.redis.as_ref()?.fault().await?;
        Some(format!(
            "{fault}; other processes hear of this run when they look, which they do every second"
        ))
    }

    /// Hands over what was said last. The others who hold the bus have dropped it.
    pub(crate) async fn close(self) {
        self.bus.flush().await;
        let Self {
            bus,
            redis,
            working,
        } = self;
        drop((bus, redis));
        working.close();
        if tokio::time::timeout(CLOSING, working.wait()).await.is_err() {
            tracing::warn!("the bus was not closed cleanly");
        }
    }
}
