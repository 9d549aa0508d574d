//! Time and identity as ports: the rules never read a clock or draw a random number themselves.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A moment in UTC, whole microseconds: the precision that both databases keep.
pub type Timestamp = DateTime<Utc>;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment, cut to whole microseconds.
    fn now(&self) -> Timestamp;

    /// Time since some moment before the program began. It does not go back, and it goes on while the
    /// machine sleeps or the process is stopped: leases are judged by it. A clock that has no such time
    /// tells the time of day.
    fn elapsed(&self) -> Duration {
        let millis = self.now().timestamp_millis();
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

/// Makes ids.
pub trait IdSource: Send + Sync + std::fmt::Debug {
    /// A new UUIDv7 (RFC 9562), greater than every one this source gave before.
    fn uuid(&self) -> Uuid;
}

/// The time and the ids that one decision uses.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When the decision is taken.
    pub now: Timestamp,
    /// Where its ids come from.
    pub ids: &'a dyn IdSource,
}

/// Ids that tests know beforehand.
#[cfg(test)]
pub(crate) mod counted {
    use std::sync::atomic::{AtomicU64, Ordering};

    use uuid::Uuid;

    use super::IdSource;

    /// Counts from 1,000 on.
    #[derive(Debug, Default)]
    pub(crate) struct Ids(AtomicU64);

    impl IdSource for Ids {
        fn uuid(&self) -> Uuid {
            Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1_000)
        }
    }
}
