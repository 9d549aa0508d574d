//! The arguments that look at runs and steer them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::InputArg;
use super::message::duration;

/// What to run, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StartArgs {
    /// The workflow file.
    pub file: PathBuf,
    /// What else stands there: refused in words of its own.
    #[arg(hide = true)]
    pub more: Vec<String>,
    /// Give the workflow an input; may be repeated.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = super::input)]
    pub inputs: Vec<InputArg>,
    /// Take inputs from this file too, YAML or JSON that maps names to values; `-` is stdin. Those of --input
    /// stand above them.
    #[arg(long, value_name = "FILE")]
    pub input_file: Option<PathBuf>,
    /// US dollars that its model calls may cost at most, where its file allows more: it stops then, as at the
    /// file's `budget`, and goes on with `resume --budget-usd`.
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// Do not wait for its end: the server goes on with it. Refused where none does the work.
    #[arg(long)]
    pub detach: bool,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunState {
    /// Its agents are being made.
    Ready,
    /// Works, waits or is held.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by a person.
    Cancelled,
}

impl RunState {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// `run list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit run list
  fusion-kit run list --failed --workflow hello
  fusion-kit run list --limit 100 --json | jq -r '.runs[] | select(.interrupted) | .id'")]
pub struct ListArgs {
    /// Only those in one of these states.
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',')]
    pub state: Vec<RunState>,
    /// Only those that failed; short for `--state failed`.
    #[arg(long, conflicts_with = "state")]
    pub failed: bool,
    /// Only those that have not ended; short for `--state ready,running`.
    #[arg(long, conflicts_with_all = ["state", "failed"])]
    pub in_flight: bool,
    /// Only those of the workflow with this name.
    #[arg(long, value_name = "NAME")]
    pub workflow: Option<String>,
    /// Only those that are steps of this run, by its id or the beginning of it; `none`: no such ones.
    #[arg(long, value_name = "RUN")]
    pub parent: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

impl ListArgs {
    /// The states that are asked for; none for all.
    #[must_use]
    pub fn states(&self) -> Vec<RunState> {
        match (self.failed, self.in_flight) {
            (true, _) => vec![RunState::Failed],
            (false, true) => vec![RunState::Ready, RunState::Running],
            (false, false) => self.state.clone(),
        }
    }
}

/// `run show`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit run show
  fusion-kit run show 0192f3c1 -v      with whole requests and outcomes")]
pub struct ShowArgs {
    /// Id of the run or the unique beginning of one; the newest run without it.
    pub run: Option<String>,
}

/// `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
No finished step runs again.

Examples:
  fusion-kit resume
  fusion-kit resume 0192f3c1
  fusion-kit resume 0192f3c1 --budget-usd 5    after its budget was used up")]
pub struct ResumeArgs {
    /// Id of the run or the unique beginning of one; the newest interrupted run without it.
    pub run: Option<String>,

    /// Let the run use this many US dollars in all until this command ends; instead of its file's
    /// `budget`.
    #[arg(long, value_name = "USD")]
    pub budget_usd: Option<String>,

    /// Let the run use this many tokens in all until this command ends.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget_tokens: Option<u64>,

    /// Raise the budget of this agent, of a step as `step:ID`, or of all runs of the workflow as
    /// `workflow:NAME`, instead of the run's.
    #[arg(long, value_name = "NAME")]
    pub budget_of: Option<String>,

    /// Try steps again at once that wait for a provider's limit: it was raised, say.
    #[arg(long)]
    pub now: bool,
}

/// `run watch`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Ends when the run has ended, with its exit code; Ctrl-C ends the watching only.

Examples:
  fusion-kit run watch
  fusion-kit run watch 0192f3c1")]
pub struct WatchArgs {
    /// Id of the run or the unique beginning of one; the newest run without it.
    pub run: Option<String>,
}

/// `run pause`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The call in flight of each agent is ended first; with --now it is cut off, as by a crash, and made
again when the run goes on. The run stays held over restarts.

Examples:
  fusion-kit run pause 0192f3c1
  fusion-kit run pause 0192f3c1 --now")]
pub struct HoldArgs {
    /// Id of the run or the unique beginning of one.
    pub run: String,
    /// Cut off what is under way.
    #[arg(long)]
    pub now: bool,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// `run cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Running tools and model calls are cut off, steps that have not ended are cancelled, the run's agents
end; their workspaces and all records stay.

Examples:
  fusion-kit run cancel 0192f3c1")]
pub struct CancelArgs {
    /// Id of the run or the unique beginning of one.
    pub run: String,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// `run retry`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
No finished step runs again: the new run takes over their outputs, and their agents' results are
copied. The first run stays as it is.

Examples:
  fusion-kit run retry 0192f3c1
  fusion-kit run retry 0192f3c1 --latest             with the corrected workflow
  fusion-kit run retry 0192f3c1 --from build         build and what needs it, too")]
pub struct RetryArgs {
    /// Id of the run or the unique beginning of one.
    pub run: String,
    /// Do this step again too, and everything that needs it.
    #[arg(long, value_name = "STEP")]
    pub from: Option<String>,
    /// Run the newest stored version of the workflow; refused when it changed a finished step.
    #[arg(long)]
    pub latest: bool,
}

/// `run fork`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Steps before it keep their outputs, also where an input is given another value.

Examples:
  fusion-kit run fork 0192f3c1 --from review
  fusion-kit run fork 0192f3c1 --at 4711
  fusion-kit run fork 0192f3c1 --from build -i language=French")]
#[command(group = ArgGroup::new("where").args(["from", "at"]).required(true))]
pub struct ForkArgs {
    /// Id of the run or the unique beginning of one.
    pub run: String,
    /// The step that is done again, with everything that needs it.
    #[arg(long, value_name = "STEP")]
    pub from: Option<String>,
    /// The same by an event of the step: its place in the log, or its id.
    #[arg(long, value_name = "EVENT")]
    pub at: Option<String>,
    /// Give the workflow another input than it had; may be repeated.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = super::input)]
    pub inputs: Vec<InputArg>,
    /// Run the newest stored version of the workflow; refused when it changed a finished step.
    #[arg(long)]
    pub latest: bool,
}

/// `run export`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The file is a tar within zstd: the run and the runs that its steps are, with all that was done and
said, and the kept files that results name. Credentials are never in it; inputs, prompts, answers
and what tools printed are, as `run show` shows them. Of an imported run it is the file that it came
with.

Examples:
  fusion-kit run export 0192f3c1 run.tar.zst
  fusion-kit run export 0192f3c1 run.tar.zst --force
  tar --zstd -xOf run.tar.zst events.jsonl | jq -r .message")]
pub struct RunExportArgs {
    /// Id of the run or the unique beginning of one; it has ended, and is no step of another run.
    pub run: String,
    /// Where to write it.
    pub file: PathBuf,
    /// Put it in the place of a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// `run import`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The whole file is checked before anything is stored. The run keeps its id and says that it was
imported, from where and when. What it cost counts for nothing here, the workspaces of its agents
are not here, and nothing goes on from it. Its events and messages stay in the file, which is kept:
`run show` tells the hash with which `artifact get` gives it. The same file again stores nothing.

Examples:
  fusion-kit run import run.tar.zst
  fusion-kit run import run.tar.zst --json | jq -r .run.id")]
pub struct RunImportArgs {
    /// A file that `run export` wrote, of at most 256 MiB.
    pub file: PathBuf,
}

/// `run delete`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Goes with it: the runs that its steps are, their steps, what these did and said, their agents with
the workspaces, and the kept files that no other run names. What it cost stays in the books, its
events in the log. A run that has not ended, or that something open needs, stays; so does one with
an agent whose workspace holds what is nowhere else, unless --yes is given or you say so. Branches
of worktrees and packed workspaces stay, and are named. FUSION_KEEP_RUNS_DAYS has old runs deleted
by themselves.

Examples:
  fusion-kit run delete 0192f3c1
  fusion-kit run delete 0192f3c1 0192f3d7 --dry-run
  fusion-kit run delete --older-than 90d --state completed")]
pub struct RunDeleteArgs {
    /// Ids of runs or the unique beginnings of some.
    #[arg(value_name = "RUN", required_unless_present = "older_than")]
    pub runs: Vec<String>,
    /// All that ended so long ago.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "runs")]
    pub older_than: Option<Duration>,
    /// Of these only those in one of these states.
    #[arg(
        long,
        value_name = "STATE",
        value_enum,
        value_delimiter = ',',
        requires = "older_than"
    )]
    pub state: Vec<EndedState>,
    /// Delete also what is nowhere else, and do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Say what would be deleted, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EndedState {
    /// Well.
    Completed,
    /// Badly.
    Failed,
    /// By a person.
    Cancelled,
}

impl EndedState {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
