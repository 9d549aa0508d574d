//! Time and identity as ports: the rules never read a clock or draw a random number themselves.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A moment in UTC, whole microseconds: the precision that both databases keep.
pub type Timestamp = DateTime<Utc>;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment, cut to whole microseconds.
    fn now(&self) -> Timestamp;
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
