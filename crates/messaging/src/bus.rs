//! The port.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Pattern, Subject, Subscription};

/// The largest payload that a bus carries: 1 MiB. Hints are small; something large is put into the
/// store, and its id is published.
pub const MAX_PAYLOAD_BYTES: usize = 1_024 * 1_024;

/// Carries hints from whoever changed something to whoever may want to look.
///
/// # Contract
///
/// **A bus may lose everything.** What happened is in the store; a message only says that looking
/// now is worth while. Losing one costs latency, never correctness: whoever depends on a subject
/// registers for it, then looks in the store, then waits, and looks again after a while even if
/// nothing came.
///
/// What every bus keeps, however many messages it loses:
///
/// - **Order.** What one publisher publishes one after another reaches one subscription in that
///   order. Nothing is promised between publishers or between subscriptions.
/// - **No copies.** A message reaches each subscription whose pattern names its subject at most
///   once, and no other. A subscription never hears what was published through the same bus before
///   it was made; what other processes said may come as late as the way between them makes it.
/// - **Readers harm nobody.** The queue of a subscription is bounded
///   ([`QueueLimits`](crate::QueueLimits)). A reader that
///   is slow, stuck or gone costs neither the publisher time nor other readers messages: its own
///   queue drops the oldest, and [`Received::lost_before`](crate::Received::lost_before) counts them.
/// - **The same patterns.** [`Pattern::matches`] decides, on every bus.
/// - **The same size.** A payload over [`MAX_PAYLOAD_BYTES`] is lost on every bus, by itself, and
///   counted by the readers that it was for.
///
/// The rules are tested by the `conformance` module (cargo feature `conformance`), which each
/// bus's tests run.
#[async_trait]
pub trait Bus: std::fmt::Debug + Send + Sync {
    /// Says `payload` under `subject`. Returns at once, whatever the readers do, and can't fail: a
    /// bus that can't deliver logs it and loses the message.
    fn publish(&self, subject: &Subject, payload: Arc<[u8]>);

    /// Begins to listen. Once this returns, messages published from then on are heard, so that a
    /// look in the store after it misses nothing; a bus that can't reach its server returns all
    /// the same and listens as soon as it can. Dropping the subscription ends it.
    async fn subscribe(&self, pattern: &Pattern) -> Subscription;

    /// Waits until what was published so far has left this process or is lost, for a second at most.
    /// For a process that is about to end; a bus that hands messages over at once has nothing to do.
    async fn flush(&self) {}
}
