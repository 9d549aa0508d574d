//! Samples of what an agent uses.

use serde::{Deserialize, Serialize};

use crate::{AgentId, Cost, MetricsId, Timestamp};

/// One sample of an agent's resource use, taken every 30 s while it lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceMetrics {
    /// Names the sample.
    pub id: MetricsId,
    /// Whose it is.
    pub agent_id: AgentId,
    /// When it was taken.
    pub timestamp: Timestamp,
    /// Of one core: 100 is one core fully used.
    pub cpu_percent: f64,
    /// Resident memory of the agent's process tree, MiB.
    pub memory_mb: f64,
    /// Read since the last sample, MiB.
    pub disk_io_read_mb: f64,
    /// Written since the last sample, MiB.
    pub disk_io_write_mb: f64,
    /// Provider calls since the last sample.
    pub api_calls_count: u64,
    /// The provider called.
    pub api_provider: Option<String>,
    /// Tokens since the last sample.
    pub api_tokens_used: u64,
    /// Cost since the last sample.
    pub api_cost_usd: Cost,
}
