//! The arguments of `project`, `capability` and `token`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::Tried;
use super::message::duration;

/// `project`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A project groups agents and workflows, may name the provider of agents that name none, and may limit
what they use together.

Examples:
  fusion-kit project create shop --provider openrouter
  fusion-kit project update shop --budget-per-day 20
  fusion-kit project list"
)]
pub struct ProjectArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProjectCommand,
}

/// Looking after projects.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ProjectCommand {
    /// Make a project.
    Create(ProjectCreateArgs),
    /// List the projects, the newest first.
    #[command(after_long_help = "\
Examples:
  fusion-kit project list -o name
  fusion-kit project list --archived")]
    List(ProjectListArgs),
    /// Show a project.
    #[command(after_long_help = "\
Examples:
  fusion-kit project get shop -o yaml")]
    Get(RecordName),
    /// Change a project, the budgets too.
    Update(ProjectUpdateArgs),
    /// Choose the project of what is made without one: agents, tasks, workflows.
    #[command(after_long_help = "\
It is kept in the user's fusion-kit/config.toml: in the profile that is named, else for all. `none`
for the name takes it away again. `config show --origin` tells which counts.

Examples:
  fusion-kit project use shop
  fusion-kit project use shop --profile lab
  fusion-kit project use none")]
    Use(RecordName),
    /// Let a project take nothing new: it is kept with its history, and nobody works in it.
    #[command(after_long_help = "\
Its agents, runs and tasks have to have ended and its schedules to be paused: what has not is told.
While it is archived, no agent, task, run, schedule or version of a workflow is made in it. What it
cost and what happened in it can still be read.

Examples:
  fusion-kit project archive shop
  fusion-kit project list --archived")]
    Archive(Tried<RecordName>),
    /// Let an archived project take new work again.
    #[command(after_long_help = "\
Examples:
  fusion-kit project unarchive shop")]
    Unarchive(RecordName),
    /// Take a project away that nothing refers to.
    #[command(after_long_help = "\
Examples:
  fusion-kit project delete shop")]
    Delete(Tried<RecordName>),
}

/// `project create`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit project create shop
  fusion-kit project create shop --description web --provider openrouter")]
pub struct ProjectCreateArgs {
    /// Its unique name.
    pub name: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// The stored provider of agents that name none.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// What it may use.
    #[command(flatten)]
    pub budgets: BudgetArgs,
}

/// `project list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProjectListArgs {
    /// Also those that are archived.
    #[arg(long)]
    pub all: bool,
    /// Only those that are archived.
    #[arg(long, conflicts_with = "all")]
    pub archived: bool,
    /// How many.
    #[command(flatten)]
    pub list: RecordListArgs,
}

/// What a project may use.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct BudgetArgs {
    /// US dollars that model calls for it may cost in all; `none` sets no limit.
    #[arg(long, value_name = "USD")]
    pub budget: Option<String>,
    /// Tokens that they may read and write in all.
    #[arg(long, value_name = "N")]
    pub budget_tokens: Option<String>,
    /// US dollars that they may cost on one day, in UTC.
    #[arg(long, value_name = "USD")]
    pub budget_per_day: Option<String>,
    /// Tokens that they may read and write on one day, in UTC.
    #[arg(long, value_name = "N")]
    pub budget_tokens_per_day: Option<String>,
}

/// `project update`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Runs that a budget stopped go on when they are resumed, or by themselves a while later under
`serve`.

Examples:
  fusion-kit project update shop --budget 100 --budget-per-day 20
  fusion-kit project update shop --budget none")]
pub struct ProjectUpdateArgs {
    /// Name of the project, or its id.
    pub name: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// What it may use.
    #[command(flatten)]
    pub budgets: BudgetArgs,
}

/// `capability`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
The registry of what agents can do. While it has entries, agents and steps may name no others.

Examples:
  fusion-kit capability create review --description reads-code
  fusion-kit capability list"
)]
pub struct CapabilityArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CapabilityCommand,
}

/// Looking after the registry of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CapabilityCommand {
    /// Make a capability.
    Create(CapabilityCreateArgs),
    /// List the capabilities, the newest first.
    #[command(after_long_help = "\
Examples:
  fusion-kit capability list -o name")]
    List(RecordListArgs),
    /// Show a capability.
    #[command(
        after_long_help = "\
Examples:
  fusion-kit capability get review --json",
        visible_alias = "describe"
    )]
    Get(RecordName),
    /// Take a capability out of the registry.
    #[command(after_long_help = "\
Examples:
  fusion-kit capability delete review")]
    Delete(Tried<RecordName>),
}

/// `capability create`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit capability create review --category quality")]
pub struct CapabilityCreateArgs {
    /// The unique name that agents and steps use.
    pub name: String,
    /// What an agent with it can do.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Groups entries for people.
    #[arg(long, value_name = "NAME")]
    pub category: Option<String>,
}

/// `token`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Who asks a server shows a token. Its scope says what it may: read looks, operate starts and changes
work, admin also looks after providers and tokens.

Examples:
  fusion-kit token create ci --scope operate --expires 30d
  fusion-kit token list"
)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// Looking after the tokens of the API.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: this once, since only its hash is kept.
    Create(TokenCreateArgs),
    /// List the tokens, the newest first, without what they are.
    #[command(after_long_help = "\
Examples:
  fusion-kit token list")]
    List(RecordListArgs),
    /// Take a token away for good.
    #[command(after_long_help = "\
Examples:
  fusion-kit token revoke ci")]
    Revoke(Tried<RecordName>),
}

/// `token create`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit token create ci --scope operate
  FUSION_TOKEN=$(fusion-kit token create me --scope admin --json | jq -r .secret)")]
pub struct TokenCreateArgs {
    /// What it is for; unique.
    pub name: String,
    /// What it may.
    #[arg(long, value_name = "SCOPE", value_enum)]
    pub scope: ScopeName,
    /// After this time it is refused, such as 12h or 30d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires: Option<Duration>,
}

/// What a token may, each all that the one before it may too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ScopeName {
    /// Look.
    Read,
    /// Start and change work.
    Operate,
    /// Look after providers and tokens.
    Admin,
}

impl ScopeName {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// How many are listed.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RecordListArgs {
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Which one.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RecordName {
    /// Its name or its id.
    pub name: String,
}
