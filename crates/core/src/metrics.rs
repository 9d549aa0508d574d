//! Samples of what an agent uses.

mod steps;

use serde::{Deserialize, Serialize};

use crate::transition::text_enum;
use crate::{AgentId, Cost, MetricsId, Timestamp};

pub use steps::{MetricsStep, MetricsSteps};

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

/// To three places, as samples are kept and told.
#[must_use]
pub fn to_three_places(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

text_enum! {
    /// By what it is told who used most.
    TopBy {
        /// Processors, on the average of the samples.
        Cpu = "cpu",
        /// Memory, the most that a sample has.
        Memory = "memory",
        /// Disks: what was read and written.
        Disk = "disk",
        /// Tokens of models, read and written.
        Tokens = "tokens",
        /// What model calls cost.
        Cost = "cost",
    }
}

text_enum! {
    /// Of whom it is told that they used most.
    TopPer {
        /// The agent: its commands, and the calls of its tasks.
        Agent = "agent",
        /// The model that was asked.
        Model = "model",
        /// The project that the calls were made for.
        Project = "project",
    }
}

impl TopPer {
    /// By what they can be told apart. Samples are of agents: nobody knows which model or project a command
    /// ran for.
    #[must_use]
    pub const fn known(self) -> &'static [TopBy] {
        match self {
            Self::Agent => TopBy::ALL,
            Self::Model | Self::Project => &[TopBy::Tokens, TopBy::Cost],
        }
    }

    /// By what they are told apart when nobody says.
    #[must_use]
    pub const fn usual(self) -> TopBy {
        match self {
            Self::Agent => TopBy::Cpu,
            Self::Model | Self::Project => TopBy::Tokens,
        }
    }
}
