//! What the fake backend says of runs that are deleted.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{Problem, RunsDeleted};
use fusion_cli::{DiscardRequest, RunDeletions};

use super::Fake;

#[async_trait]
impl RunDeletions for Fake {
    async fn delete_runs(
        &self,
        runs: &[String],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem> {
        let runs = runs.join(" ");
        self.report(format!("delete {runs} {request:?}"))
    }

    async fn collect_runs(
        &self,
        older_than: Duration,
        states: &[&'static str],
        request: DiscardRequest,
    ) -> Result<RunsDeleted, Problem> {
        let states = states.join(",");
        self.report(format!("delete {older_than:?} {states} {request:?}"))
    }
}
