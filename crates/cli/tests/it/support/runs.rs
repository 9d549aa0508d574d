//! What the fake backend says when runs are steered.

use async_trait::async_trait;
use fusion_api_types::{Problem, RunDetail, RunSummary};
use fusion_cli::{AgainRequest, Progress, Steering};

use super::Fake;

#[async_trait]
impl Steering for Fake {
    async fn cancel_run(&self, run: &str) -> Result<RunSummary, Problem> {
        self.report(format!("cancel {run}"))
    }

    async fn pause_run(&self, run: &str, now: bool) -> Result<RunSummary, Problem> {
        self.report(format!("pause {run} {now}"))
    }

    async fn run_again(
        &self,
        request: &AgainRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        self.ask(format!("{request:?}"))?;
        Ok(self.play(progress))
    }

    async fn watch_run(
        &self,
        run: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        self.ask(format!("watch {run:?}"))?;
        Ok(self.play(progress))
    }
}
