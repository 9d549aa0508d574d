//! The arguments of `budget`.

use clap::{Args, Subcommand, ValueEnum};

use super::RecordListArgs;

/// `budget`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
What all model calls for a project may use. The budget of a run, an agent, a step or of all runs of
a workflow is set in its file.

Examples:
  fusion-kit budget set shop 100
  fusion-kit budget set shop 20 --per day
  fusion-kit budget list"
)]
pub struct BudgetsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BudgetCommand,
}

/// Looking after budgets.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum BudgetCommand {
    /// List the budgets of projects and of their workflows, and what was spent of each.
    #[command(after_long_help = "\
Examples:
  fusion-kit budget list
  fusion-kit budget list --json | jq '.budgets[] | select(.per == \"day\") | .spent_usd'")]
    List(RecordListArgs),
    /// Limit what model calls for a project may use.
    #[command(after_long_help = "\
Runs that a budget stopped go on when they are resumed, or by themselves a while later under
`serve`.

Examples:
  fusion-kit budget set shop 100
  fusion-kit budget set shop 20 --per day
  fusion-kit budget set shop --tokens 5000000")]
    Set(BudgetSetArgs),
    /// Take the limits of a project away.
    #[command(after_long_help = "\
Examples:
  fusion-kit budget clear shop
  fusion-kit budget clear shop --per day")]
    Clear(BudgetClearArgs),
}

/// `budget set`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct BudgetSetArgs {
    /// The project: its name, or its id.
    #[arg(value_name = "SCOPE")]
    pub project: String,
    /// US dollars that they may cost.
    #[arg(value_name = "USD", required_unless_present = "tokens")]
    pub usd: Option<String>,
    /// Tokens that they may read and write.
    #[arg(long, value_name = "N")]
    pub tokens: Option<String>,
    /// In all, or on each day in UTC.
    #[arg(long, value_name = "PERIOD", value_enum, default_value_t)]
    pub per: Period,
}

/// `budget clear`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct BudgetClearArgs {
    /// The project: its name, or its id.
    #[arg(value_name = "SCOPE")]
    pub project: String,
    /// Only the limits in all, or on each day; both without.
    #[arg(long, value_name = "PERIOD", value_enum)]
    pub per: Option<Period>,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// What a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Period {
    /// In all.
    #[default]
    Total,
    /// On each day in UTC.
    Day,
}
