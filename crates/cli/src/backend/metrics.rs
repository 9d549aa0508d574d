//! What agents use.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_api_types::api::{AgentMetrics, CostReport};

use crate::args::CostArgs;

/// The work of `metrics`.
#[async_trait]
pub trait Metrics {
    /// What an agent used, the newest sample first; with `since` only samples as young as that.
    ///
    /// # Errors
    /// No such agent.
    async fn agent_metrics(
        &self,
        agent: &str,
        since: Option<Duration>,
        limit: u32,
    ) -> Result<AgentMetrics, Problem>;

    /// What model calls cost.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn costs(&self, asked: &CostArgs) -> Result<CostReport, Problem>;
}
