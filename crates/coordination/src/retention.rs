//! Deletes what is too old to keep, beside the live traffic.

use std::time::Duration;

use fusion_core::error_chain;
use fusion_persistence::Prune;
use tokio_util::sync::CancellationToken;

use crate::deletions::Until;
use crate::{Coordinator, Discarding, OldRuns, Result};

/// Rows deleted in one commit: little enough that others hardly wait for it.
const AT_ONCE: u32 = 500;

/// Who deletes runs because of their age, in the log.
const RETENTION: &str = "retention";

/// The rest between two commits, so that the live traffic comes first.
const REST: Duration = Duration::from_millis(50);

/// The wait until there may be something to delete again.
const PERIOD: Duration = Duration::from_hours(1);

impl Coordinator {
    /// Deletes old events, messages, metrics and idempotency keys, runs that are kept no longer, what is left
    /// of deleted runs, and snapshots that nobody needs, now, once an hour and when others left something to do, until `stop`.
    pub async fn keep_tidy(&self, stop: &CancellationToken) {
        // Whatever is cut off is done again: each piece is a commit.
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = Box::pin(self.tidy_on()) => {}
        }
    }

    async fn tidy_on(&self) {
        fail::fail_point!("coordination::tidies");
        loop {
            self.delete_old_runs().await;
            loop {
                self.forget_what_ended().await;
                let next = self.tidy_once().await;
                tokio::select! {
                    () = tokio::time::sleep(next) => {}
                    () = self.untidy.notified() => {}
                }
                if next == PERIOD {
                    break;
                }
            }
        }
    }

    /// Deletes one batch of what is too old; says when there may be more.
    async fn tidy_once(&self) -> Duration {
        match self.tidy().await {
            Ok(0) => {
                self.forget_files_of_runs().await;
                PERIOD
            }
            Ok(_) => REST,
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "old rows were not deleted");
                PERIOD
            }
        }
    }

    /// Deletes the runs that ended longer ago than they are kept, but those that something needs and those
    /// with the only copy of work.
    async fn delete_old_runs(&self) {
        let Some(older_than) = self.options.keep_runs else {
            return;
        };
        let which = OldRuns {
            older_than,
            ..OldRuns::default()
        };
        let done = self.collect_runs(&which, Discarding::default(), RETENTION);
        match Box::pin(done).await {
            Ok(done) => tell_of_old_runs(done.gone.len(), done.kept.len()),
            Err(error) => tracing::warn!(error = error_chain(&error), "old runs were not deleted"),
        }
    }

    async fn forget_files_of_runs(&self) {
        if let Err(error) = self.forget_files(Until::Done).await {
            let error = error_chain(&error);
            tracing::warn!(error, "files that nobody names were not removed");
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
            deleted_runs: true,
            outbox_before: before,
            limit: AT_ONCE,
        };
        Ok(self.parts.store.prune(old).await?)
    }
}

/// Says how many runs are gone because of their age, and how many may not go.
fn tell_of_old_runs(gone: usize, kept: usize) {
    if gone + kept > 0 {
        tracing::info!(gone, kept, "old runs were deleted, and some may not go");
    }
}
