//! The arguments of `metrics`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::message::duration;

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit metrics agent writer
  fusion-kit metrics cost --by model --since 7d
  fusion-kit metrics top --by memory --since 10m"
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
  fusion-kit metrics agent writer --since 1d --step 1h
  fusion-kit metrics agent writer --since 1h --json | jq '[.metrics[].api_tokens_used] | add'")]
    Agent(AgentMetricsArgs),
    /// List what model calls cost, the greatest cost first.
    #[command(after_long_help = "\
What was booked to tasks is added up: the same figures as those of runs and agents. Calls under way
are not in it. NO PRICE counts calls whose cost nobody knows: it counts as zero.

Examples:
  fusion-kit metrics cost
  fusion-kit metrics cost --by day --since 2026-11-01T00:00:00Z
  fusion-kit metrics cost --by project --json | jq -r .total.usage.cost_usd")]
    Cost(CostArgs),
    /// List who used most in the last time, who used most first.
    #[command(after_long_help = "\
Agents are told apart by what their commands used, as it was sampled, and by what their model calls
used, as it was booked; models and projects by model calls alone. CPU is of one core, on the average
of the samples; MEMORY is the most that a sample has. A sample is taken of an agent at work only.

Examples:
  fusion-kit metrics top
  fusion-kit metrics top --by memory --since 1h --watch
  fusion-kit metrics top --per model --by tokens --since 1d
  fusion-kit metrics top --by disk --json | jq -r '.top[0].name'")]
    Top(MetricsTopArgs),
}

/// `metrics cost`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CostArgs {
    /// What a row stands for.
    #[arg(long, value_name = "GROUP", value_enum, default_value_t)]
    pub by: CostGroup,
    /// Only calls that ended within this time, such as 90s, 10m, 2h or 3d, or since this one, such as
    /// 2026-11-23T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Only calls that ended before this time, or longer ago.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// At most so many rows.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

/// What a row of costs stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CostGroup {
    /// The agent that has the task.
    #[default]
    Agent,
    /// The model that was asked.
    Model,
    /// The task.
    Task,
    /// The workflow, in all its versions.
    Workflow,
    /// The project.
    Project,
    /// The day, in UTC.
    Day,
}

/// `metrics top`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MetricsTopArgs {
    /// What puts the rows in order; without it `cpu` for agents, `tokens` for models and projects, of which
    /// nothing else but `cost` is known.
    #[arg(long, value_name = "FIGURE", value_enum)]
    pub by: Option<TopFigure>,
    /// What a row stands for.
    #[arg(long, value_name = "GROUP", value_enum, default_value_t)]
    pub per: TopGroup,
    /// Only what was used within this time, such as 90s, 10m, 2h or 3d, or since this one, such as
    /// 2026-11-23T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment, default_value = "10m")]
    pub since: Moment,
    /// Only what was used before this time, or longer ago.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// At most so many rows.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

/// What puts those in order who used most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TopFigure {
    /// Processors, on the average of the samples.
    Cpu,
    /// Memory, the most that a sample has.
    Memory,
    /// Disks: what was read and written.
    Disk,
    /// Tokens of models, read and written.
    Tokens,
    /// What model calls cost.
    Cost,
}

/// What a row of those stands for who used most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TopGroup {
    /// The agent.
    #[default]
    Agent,
    /// The model that was asked.
    Model,
    /// The project.
    Project,
}

/// A time, as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long ago.
    Ago(Duration),
    /// This one.
    At(DateTime<Utc>),
}

impl Moment {
    /// Which it is; `None` when it is too long ago to be written.
    #[must_use]
    pub fn before(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Ago(time) => now.checked_sub_signed(chrono::Duration::from_std(time).ok()?),
            Self::At(time) => Some(time),
        }
    }
}

/// `90s`, or `2026-11-23T12:00:00Z`.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let at = text.parse::<DateTime<Utc>>().map(Moment::At);
    at.or_else(|_| duration(text).map(Moment::Ago))
        .map_err(|why| format!("{why}; or a time, such as 2026-11-23T12:00:00Z"))
}

/// `metrics agent`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AgentMetricsArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// Only samples taken within this time, such as 90s, 10m, 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
    /// Put the samples into steps of this length, such as 1m or 1h: CPU is then the average of a step, memory
    /// the most, and the rest the sum. Of the newest 100,000 samples.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub step: Option<Duration>,
    /// At most so many samples or steps, the newest ones.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
}
