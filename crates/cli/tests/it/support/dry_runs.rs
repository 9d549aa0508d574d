//! What the fake backend says an operation would change.

use async_trait::async_trait;
use fusion_api_types::{DryRun, Problem};
use fusion_cli::{DryRuns, Operation};

use super::Fake;

#[async_trait]
impl DryRuns for Fake {
    async fn dry_run(&self, operation: &Operation) -> Result<DryRun, Problem> {
        self.report(format!("dry run {operation:?}"))
    }
}
