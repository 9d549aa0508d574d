//! Deletes what is too old to keep, beside the live traffic.

use std::time::Duration;

use fusion_core::error_chain;
use fusion_persistence::Prune;
use tokio_util::sync::CancellationToken;

use crate::{Coordinator, Result};

/// Rows deleted in one commit: little enough that others hardly wait for it.
const AT_ONCE: u32 = 500;

/// The rest between two commits, so that the live traffic comes first.
const REST: Duration = Duration::from_millis(50);

/// The wait until there may be something to delete again.
const PERIOD: Duration = Duration::from_hours(1);

impl Coordinator {
    /// Deletes old events, messages, metrics and idempotency keys, and snapshots that nobody needs, now and
    /// once an hour, until `stop`.
    pub async fn keep_tidy(&self, stop: &CancellationToken) {
        loop {
            self.forget_what_ended().await;
            let next = match self.tidy().await {
                Ok(0) => PERIOD,
                Ok(_) => REST,
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "old rows were not deleted");
                    PERIOD
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    async fn forget_what_ended(&self) {
        self.forget_old_nodes().await;
        self.forget_snapshots().await;
    }

    /// Deletes one batch of what is too old; says how many rows.
    ///
    /// # Errors
    /// The store fails.
    pub async fn tidy(&self) -> Result<u64> {
        let now = self.parts.clock.now();
        let retention = self.options.retention;
        // A time too far back to be written keeps everything.
        let before = retention
            .and_then(|kept| now.checked_sub_signed(chrono::Duration::from_std(kept).ok()?));
        let old = Prune {
            events_before: before,
            messages_before: before,
            metrics_before: before,
            keys_before: Some(now),
            outbox_up_to: None,
            outbox_before: before,
            limit: AT_ONCE,
        };
        Ok(self.parts.store.prune(old).await?)
    }
}
