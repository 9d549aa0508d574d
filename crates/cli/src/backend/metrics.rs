//! What agents use.

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_api_types::api::{AgentMetrics, CostReport, TopReport};

use crate::args::{AgentMetricsArgs, CostArgs, MetricsTopArgs};

/// The work of `metrics`.
#[async_trait]
pub trait Metrics {
    /// What an agent used, the newest sample or step of time first.
    ///
    /// # Errors
    /// No such agent.
    async fn agent_metrics(&self, asked: &AgentMetricsArgs) -> Result<AgentMetrics, Problem>;

    /// What model calls cost.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn costs(&self, asked: &CostArgs) -> Result<CostReport, Problem>;

    /// Who used most.
    ///
    /// # Errors
    /// What is asked for is not known of whom it is asked; the data directory can't be read.
    async fn used_most(&self, asked: &MetricsTopArgs) -> Result<TopReport, Problem>;
}
