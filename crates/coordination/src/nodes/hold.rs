//! Until when this process may believe that it holds its leases, by its own clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_core::{Decision, PauseAt};
use fusion_persistence::{Batch, Error, Fence, Guard};

use crate::{Coordinator, Result};

/// How often it is looked whether the time is over.
const LOOK: Duration = Duration::from_millis(250);

/// The time until which this process holds what it holds, and what it was refused.
#[derive(Debug)]
pub(super) struct Hold {
    /// Milliseconds of `Clock::elapsed`. No end where nobody keeps leases.
    until: AtomicU64,
    refused: AtomicU64,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            until: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
        }
    }
}

impl Hold {
    /// The leases were kept with a heartbeat that was sent at this time. The rest of a lease is for
    /// clocks that differ, and for what has to be stopped.
    pub(super) fn renew(&self, sent: Duration, lease: Duration) {
        let until = sent.saturating_add(lease * 7 / 10);
        self.until.store(millis(until), Ordering::Release);
    }

    fn is_over(&self, now: Duration) -> bool {
        millis(now) > self.until.load(Ordering::Acquire)
    }
}

/// For the control of the storm over nodes only: what a process lost, it does not hear of then.
pub(super) fn is_fence_off() -> bool {
    fail::fail_point!("coordination::fence_off", |_| true);
    false
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Coordinator {
    /// Writes of this process that were refused because their lease was lost.
    #[must_use]
    pub fn refused_writes(&self) -> u64 {
        self.part.hold.refused.load(Ordering::Relaxed)
    }

    /// Counts and tells a write that came too late: another process has what it is about.
    pub(crate) fn note_refusal(&self, guard: Guard, error: &Error) {
        let is_of_holder = match guard {
            Guard::Held(_) | Guard::Release(_) | Guard::Driven(_) => true,
            // Whoever takes something back may come too late.
            Guard::Free | Guard::Rescue(_) | Guard::Expired(_) => false,
        };
        if is_of_holder && matches!(error, Error::Fenced { .. } | Error::NotDriver { .. }) {
            let refused = self.part.hold.refused.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(%error, refused, "a write under a lost lease was refused");
        }
    }

    /// Whether this process could not keep its leases for so long that others may have them. Never where
    /// it owns the store.
    pub(crate) fn is_out_of_time(&self) -> bool {
        let is_node = self.options.node.is_some() && !is_fence_off();
        is_node && self.part.hold.is_over(self.parts.clock.elapsed())
    }

    /// Before an effect is started: keeps the leases first where they may be lost, and makes sure that
    /// this one is not.
    ///
    /// # Errors
    /// It is lost, or the store fails.
    pub(crate) async fn make_sure(&self, fence: Fence) -> Result<()> {
        if !self.is_out_of_time() {
            return Ok(());
        }
        self.keep_leases().await?;
        self.commit(Batch::fenced(fence, Decision::default())).await
    }

    /// Stops what agents do here whenever the leases could not be kept in time.
    pub(crate) async fn fence_itself(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_out_of_time() && self.crew.size() > 0 {
                tracing::warn!("the leases could not be kept: all work of this process is stopped");
                self.crew.stop_all(PauseAt::Now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Hold;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_hold_ends_after_seven_tenths_of_the_lease_since_the_heartbeat_was_sent() {
        let hold = Hold::default();
        assert!(!hold.is_over(at(1_000_000)), "nobody keeps leases yet");
        hold.renew(at(100), at(10));
        assert!(!hold.is_over(at(107)));
        assert!(hold.is_over(at(108)));
        hold.renew(at(108), at(10));
        assert!(!hold.is_over(at(108)));
    }
}
