//! The arguments of `task`.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::message::duration;
use super::{InputArg, Tried, input};

/// `task`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A task waits in a pool until a standing agent that can do it is idle; then that agent does it, as a
run of its own. Of several tasks the one of the higher priority comes first, then the older one;
every five minutes of waiting count as much as a step of priority. Projects share the agents evenly.
ID is an id or the unique beginning of one.

Examples:
  fusion-kit agent spawn --name writer --provider openrouter --model openai/gpt-5-mini
  fusion-kit task create Write a haiku about bees. --wait
  fusion-kit task list"
)]
pub struct TaskArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// Tasks of their own, and the steps of runs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum TaskCommand {
    /// Ask for a task: an agent that can do it takes it in its turn.
    Create(Box<TaskCreateArgs>),
    /// List tasks and steps of runs, the newest first.
    List(TaskListArgs),
    /// Show all about a task, and why it waits.
    #[command(after_long_help = "\
Examples:
  fusion-kit task get 0198f2
  fusion-kit task get 0198f2 --json | jq -r '.waits_for[].text'")]
    Get(WhichTask),
    /// Cancel a task, also while an agent works on it.
    #[command(after_long_help = "\
What needs it is cancelled too.

Examples:
  fusion-kit task cancel 0198f2
  fusion-kit task cancel 0198f2 --reason 'the customer withdrew it'")]
    Cancel(Tried<TaskCancelArgs>),
    /// Change the priority of a task that waits, or what a task may cost.
    Update(TaskUpdateArgs),
    /// Ask again for what a failed or cancelled task was to do, or for something else: a new task.
    Retry(TaskRetryArgs),
    /// Print what was done on a task: model turns, tool calls, checks.
    Logs(TaskLogsArgs),
    /// Wait until tasks have ended.
    Wait(TaskWaitArgs),
    /// Show what a task needs and what needs it.
    #[command(after_long_help = "\
Examples:
  fusion-kit task deps 0198f2")]
    Deps(WhichTask),
}

/// `task create`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Without a server the task waits until a command waits for it. What the tasks made that it needs is
told to its agent.

Examples:
  fusion-kit task create Write a haiku about bees. --wait
  fusion-kit task create Fix the build. --capabilities rust,ci --priority 5 --in 10m
  fusion-kit task create --file brief.md --name brief --max-cost 0.50
  fusion-kit task create Review it. --needs 0198f2 --agent reviewer")]
pub struct TaskCreateArgs {
    /// What is asked; several words are one text.
    #[arg(required_unless_present_any = ["file", "description"], value_name = "WHAT")]
    pub what: Vec<String>,
    /// What is asked, as one argument.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["what", "file"])]
    pub description: Option<String>,
    /// What is asked, from this file; `-` is stdin. At most 128 KiB.
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "what")]
    pub file: Option<PathBuf>,
    /// Its name: letters, digits, `_`, `-` and `.`.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What an agent must be able to do.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub capabilities: Vec<String>,
    /// Only this agent may do it.
    #[arg(long, value_name = "AGENT", conflicts_with = "prefer")]
    pub agent: Option<String>,
    /// This agent is to do it, but another takes it while that one is busy.
    #[arg(long, value_name = "AGENT")]
    pub prefer: Option<String>,
    /// Higher first.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub priority: i32,
    /// A task that must end well before it; may be repeated.
    #[arg(
        long,
        visible_alias = "depends-on",
        value_name = "ID",
        value_delimiter = ','
    )]
    pub needs: Vec<String>,
    /// Give it something by name; may be repeated.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = input)]
    pub inputs: Vec<InputArg>,
    /// The project whose share of the agents it uses: its name or its id.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Nobody begins it before this time has passed, such as 90s, 10m, 2h or 3d.
    #[arg(long = "in", value_name = "TIME", value_parser = duration, conflicts_with = "after")]
    pub delay: Option<Duration>,
    /// Nobody begins it before this time, such as 2026-12-01T09:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub after: Option<DateTime<Utc>>,
    /// It fails when it takes longer; 20 minutes without it.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How often it is tried when it fails in a way that may end better; once without it.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100))]
    pub max_attempts: Option<u32>,
    /// How often it is tried again then: one less than --max-attempts.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=99), conflicts_with = "max_attempts")]
    pub retries: Option<u32>,
    /// US dollars that its model calls may cost at most: it waits then until `task update` gives it more.
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// Wait until it has ended.
    #[arg(long)]
    pub wait: bool,
}

/// `task update`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    group = clap::ArgGroup::new("update").required(true),
    after_long_help = "\
What a task was stopped by goes on at once with a higher --max-cost; what it has cost counts.

Exits with 5 when it has ended, or is a step of a run.

Examples:
  fusion-kit task update 0198f2 --max-cost 2
  fusion-kit task update 0198f2 --priority 5"
)]
pub struct TaskUpdateArgs {
    /// Id of the task, or the unique beginning of it.
    #[arg(value_name = "ID")]
    pub task: String,
    /// Higher first.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        group = "update"
    )]
    pub priority: Option<i32>,
    /// US dollars that its model calls may cost in all.
    #[arg(long, value_name = "USD", group = "update")]
    pub max_cost: Option<String>,
}

/// `task retry`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The new task begins from the start, with what the first one was given and needs. A run goes on
from where it failed with `run retry`.

Exits with 5 when it did not end badly, is a step of a run, or an editor has no terminal.

Examples:
  fusion-kit task retry 0198f2
  fusion-kit task retry 0198f2 --description 'Write a haiku about wasps.'
  fusion-kit task retry 0198f2 --file brief.md
  fusion-kit task retry 0198f2 --edit")]
pub struct TaskRetryArgs {
    /// Id of the task, or the unique beginning of it.
    #[arg(value_name = "ID")]
    pub task: String,
    /// Ask for this instead.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["file", "edit"])]
    pub description: Option<String>,
    /// Ask for what is in this file instead; `-` is stdin. At most 128 KiB.
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "edit")]
    pub file: Option<PathBuf>,
    /// Ask for what you make of the description in your editor: that of VISUAL, else of EDITOR.
    #[arg(long)]
    pub edit: bool,
}

/// `task list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit task list
  fusion-kit task list --state queued,running
  fusion-kit task list --agent writer --json | jq -r '.tasks[].id'")]
pub struct TaskListArgs {
    /// Only those in one of these states.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub state: Vec<TaskStateName>,
    /// Only those of this agent.
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Only those of this version of a workflow: its id.
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only those of this run.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Only tasks of their own that use the share of this project: its name or its id.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// A state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TaskStateName {
    /// It waits.
    Queued,
    /// An agent has it and has not begun.
    Assigned,
    /// An agent works on it.
    Running,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// It was stopped, or will never run.
    Cancelled,
}

impl TaskStateName {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Names a task.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhichTask {
    /// Id of the task, or the unique beginning of it.
    #[arg(value_name = "ID")]
    pub task: String,
}

/// `task cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TaskCancelArgs {
    /// Id of the task, or the unique beginning of it.
    #[arg(value_name = "ID")]
    pub task: String,
    /// Why, in 1,000 characters at most: `task get` and the event log tell it.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

/// Characters in which it is said at most why a task is cancelled.
const MAX_REASON: usize = 1_000;

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("it is empty".to_owned()),
        length if length > MAX_REASON => Err(format!(
            "it has {length} characters, and {MAX_REASON} are the most"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// `task logs`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With --follow it ends when the task has ended; with --json each entry is then one JSON object on a
line of its own.

Examples:
  fusion-kit task logs 0198f2
  fusion-kit task logs 0198f2 --follow")]
pub struct TaskLogsArgs {
    /// Id of the task, or the unique beginning of it.
    #[arg(value_name = "ID")]
    pub task: String,
    /// At most so many entries, the newest ones.
    #[arg(long, visible_alias = "tail", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Go on with what is done from now on, until the task has ended.
    #[arg(short, long)]
    pub follow: bool,
}

/// `task wait`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Exits with 0 when all of them ended well, with 6 when one did not. When time is up it exits with 7
where one of them waits for a person (`inbox` tells for what), else with 8. Where no server does the
work, this command does it meanwhile.

Examples:
  fusion-kit task wait 0198f2
  fusion-kit task wait 0198f2 0198f3 --timeout 10m")]
pub struct TaskWaitArgs {
    /// Ids of tasks, or the unique beginnings of them.
    #[arg(required = true, value_name = "ID")]
    pub tasks: Vec<String>,
    /// Wait no longer than this, such as 90s or 10m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
}
