//! The arguments of `metrics`.

use std::time::Duration;

use clap::{Args, Subcommand, value_parser};

use super::message::duration;

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit metrics agent writer
  fusion-kit metrics agent writer --since 1h --json"
)]
pub struct MetricsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MetricsCommand,
}

/// Looking at what is used.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum MetricsCommand {
    /// List what an agent used while it worked, the newest sample first.
    #[command(after_long_help = "\
A sample is taken every 30 seconds (FUSION_METRICS_SECONDS) of each agent at work, and when its work
ends. CPU is of one core; memory is what the agent's commands hold at that moment; the rest is what
came since the sample before.

Examples:
  fusion-kit metrics agent writer
  fusion-kit metrics agent writer --since 1h --json | jq '[.metrics[].api_tokens_used] | add'")]
    Agent(AgentMetricsArgs),
}

/// `metrics agent`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AgentMetricsArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// Only samples taken within this time, such as 90s, 10m, 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
    /// At most so many samples, the newest ones.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
}
