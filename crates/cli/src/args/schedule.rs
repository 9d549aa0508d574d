//! The arguments of `schedule`.

use clap::{Args, Subcommand, ValueEnum};

use super::record::{RecordListArgs, RecordName};
use super::{InputArg, Tried, input};

/// `schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A server starts the newest version of a stored workflow at each occurrence, on one node. What was
missed while no server worked is made up for once.

Examples:
  fusion-kit schedule create nightly --workflow report --cron '0 3 * * *' --timezone Europe/Berlin
  fusion-kit schedule list"
)]
pub struct ScheduleArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ScheduleCommand,
}

/// Looking after schedules.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ScheduleCommand {
    /// Start a workflow by the clock.
    Create(ScheduleCreateArgs),
    /// List the schedules, the newest first.
    #[command(after_long_help = "\
Examples:
  fusion-kit schedule list -o name")]
    List(RecordListArgs),
    /// Show a schedule: when it is due next, and what came of the last occurrence.
    #[command(after_long_help = "\
Examples:
  fusion-kit schedule get nightly")]
    Get(RecordName),
    /// Start nothing until it is resumed.
    #[command(after_long_help = "\
Examples:
  fusion-kit schedule pause nightly")]
    Pause(RecordName),
    /// Go on with the next occurrence.
    #[command(after_long_help = "\
Examples:
  fusion-kit schedule resume nightly")]
    Resume(RecordName),
    /// Take a schedule away; its runs stay.
    #[command(after_long_help = "\
Examples:
  fusion-kit schedule delete nightly")]
    Delete(Tried<RecordName>),
}

/// `schedule create`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit schedule create nightly --workflow report --cron '0 3 * * *' --timezone Europe/Berlin
  fusion-kit schedule create often --workflow poll --cron '*/5 * * * *' --overlap queue -i depth=2")]
pub struct ScheduleCreateArgs {
    /// Its unique name.
    pub name: String,
    /// The stored workflow, whose newest version is started.
    #[arg(long, value_name = "NAME")]
    pub workflow: String,
    /// When: minute, hour, day of the month, month, day of the week.
    #[arg(long, value_name = "CRON")]
    pub cron: String,
    /// The IANA time zone that these are read in.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub timezone: String,
    /// Give each run an input; may be repeated.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = input)]
    pub inputs: Vec<InputArg>,
    /// What becomes of an occurrence while the run before it goes on.
    #[arg(long, value_name = "WHAT", default_value = "skip")]
    pub overlap: OverlapArg,
}

/// What becomes of an occurrence while the run before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverlapArg {
    /// It is left out.
    Skip,
    /// It waits for the end of that run; of several, the last is started.
    Queue,
}

impl OverlapArg {
    /// As the API has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }
}
