//! The port behind `run delete`.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{Problem, RunsDeleted};

use super::DiscardRequest;

/// Deletes runs that have ended, with all that belongs to them.
#[async_trait]
pub trait RunDeletions {
    /// Deletes these runs, each by its id or the unique beginning of one. All are looked at before the first
    /// goes.
    ///
    /// # Errors
    /// No such run, it has not ended, something open needs it, or a workspace holds what is nowhere else.
    async fn delete_runs(
        &self,
        runs: &[String],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem>;

    /// Deletes the runs that ended so long ago, in one of these states; what may not go stays, and is told.
    ///
    /// # Errors
    /// The data directory can't be used.
    async fn collect_runs(
        &self,
        older_than: Duration,
        states: &[&'static str],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem>;
}
