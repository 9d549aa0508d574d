//! The arguments of `agent`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::message::duration;
use super::metrics::{Moment, moment};

/// `agent`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A standing agent lives outside of runs until it is terminated: what it is sent while it waits, it
does as a run of its own; what comes meanwhile waits in its inbox. AGENT is a name, or an id or the
unique beginning of one. Agents of runs are paused, resumed and terminated alike.

Examples:
  fusion-kit agent spawn --name writer --provider openrouter --model openai/gpt-5-mini
  fusion-kit agent send writer Write a haiku about bees. --wait
  fusion-kit agent list"
)]
pub struct AgentArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AgentCommand,
}

/// The life of agents.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum AgentCommand {
    /// Make standing agents: all that are asked for, or none.
    Spawn(SpawnArgs),
    /// List agents, the newest first.
    List(AgentListArgs),
    /// Show all about an agent.
    #[command(after_long_help = "\
Examples:
  fusion-kit agent get writer
  fusion-kit agent get writer --json | jq .workspace.path")]
    Get(WhichAgent),
    /// Hold an agent: it begins nothing further and keeps everything.
    Pause(PauseArgs),
    /// Let a paused agent go on with what it had.
    #[command(after_long_help = "\
Examples:
  fusion-kit agent resume writer")]
    Resume(WhichAgent),
    /// Stop agents as a pause does and let them go on: with their tasks, journals and inboxes.
    Restart(RestartArgs),
    /// End agents for good; their history stays.
    Terminate(TerminateArgs),
    /// Change what a standing agent works with, from its next task on, and what it may spend, at once.
    Update(UpdateArgs),
    /// Print what an agent did: model turns, tool calls, checks.
    Logs(LogsArgs),
    /// Send an agent a message: something to do.
    Send(AgentSendArgs),
    /// Send a standing agent each line that is typed, and see what it does until it rests.
    Attach(AttachArgs),
}

/// `agent spawn`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The model is asked for at its provider first. A scripted agent's model is the path of its script,
and its answers are those of the step `task`.

Examples:
  fusion-kit agent spawn --name writer --provider openrouter --model openai/gpt-5-mini
  fusion-kit agent spawn --name coder --provider local --model qwen3 --tools files,shell
  fusion-kit agent spawn --name worker --count 10 --provider local --model qwen3
  fusion-kit agent spawn --name coder --provider openrouter --model openai/gpt-5-mini --max-cost 2")]
pub struct SpawnArgs {
    /// Its name: letters, digits, `_`, `-` and `.`.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The model, in the provider's own spelling.
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// The provider; that of its project without it.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// What it can do.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub capabilities: Vec<String>,
    /// What it may use.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub tools: Vec<String>,
    /// A host that the tools `web` may read pages from, such as docs.rs; may be repeated.
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Its system prompt.
    #[arg(long, value_name = "TEXT")]
    pub instructions: Option<String>,
    /// Model calls in one task before it fails.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=200))]
    pub max_turns: Option<u32>,
    /// US dollars that each of them may spend over its life: it stops there until it gets more.
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// The project it belongs to: its name or its id.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Make so many: NAME-1, NAME-2 and so on.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1000))]
    pub count: Option<u32>,
    /// What each of them works in: `directory`, `directory:TEMPLATE` with a copy of a folder, or
    /// `worktree:REPO[@REV]` with the files of a git repository.
    #[arg(long, value_name = "KIND", default_value = "directory", value_parser = workspace_kind)]
    pub workspace: WorkspaceKind,
}

/// A kind of workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceKind {
    /// A folder of its own, empty or with a copy of another.
    Directory {
        /// The folder that is copied.
        template: Option<String>,
    },
    /// The files of a git repository.
    Worktree {
        /// Its folder.
        repository: String,
        /// A branch, a tag or a commit; without it what is checked out there.
        revision: Option<String>,
    },
}

fn workspace_kind(text: &str) -> Result<WorkspaceKind, String> {
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) => (kind, Some(rest)),
        None => (text, None),
    };
    match (kind, rest) {
        ("directory", None) => Ok(WorkspaceKind::Directory { template: None }),
        ("directory", Some(template)) if !template.is_empty() => Ok(WorkspaceKind::Directory {
            template: Some(template.to_owned()),
        }),
        ("worktree", Some(rest)) if !rest.is_empty() && !rest.starts_with('@') => {
            let (repository, revision) = match rest.rsplit_once('@') {
                Some((repository, revision)) if !revision.is_empty() => {
                    (repository, Some(revision.to_owned()))
                }
                Some(_) | None => (rest, None),
            };
            Ok(WorkspaceKind::Worktree {
                repository: repository.to_owned(),
                revision,
            })
        }
        _ => Err("write directory, directory:TEMPLATE or worktree:REPO[@REV]".to_owned()),
    }
}

/// `agent list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit agent list
  fusion-kit agent list --state working,paused
  fusion-kit agent list --all --json | jq -r '.agents[] | select(.run == null) | .id'")]
pub struct AgentListArgs {
    /// Only in one of these states.
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',')]
    pub state: Vec<AgentStateName>,
    /// Only those of this run: its id or the unique beginning of one.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Only those of this project: its name or its id.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Also those that have ended.
    #[arg(long, conflicts_with = "state")]
    pub all: bool,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Where an agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AgentStateName {
    /// Its workspace is being made.
    Spawning,
    /// Waits for work.
    Idle,
    /// Works.
    Working,
    /// Held.
    Paused,
    /// Something of its own broke.
    Error,
    /// Ended for good.
    Terminated,
}

impl AgentStateName {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spawning => "spawning",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::Terminated => "terminated",
        }
    }
}

/// Where an agent is that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LivingState {
    /// Its workspace is being made.
    Spawning,
    /// Waits for work.
    Idle,
    /// Works.
    Working,
    /// Held.
    Paused,
    /// Something of its own broke.
    Error,
}

impl LivingState {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spawning => AgentStateName::Spawning.as_str(),
            Self::Idle => AgentStateName::Idle.as_str(),
            Self::Working => AgentStateName::Working.as_str(),
            Self::Paused => AgentStateName::Paused.as_str(),
            Self::Error => AgentStateName::Error.as_str(),
        }
    }
}

/// Which agent.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhichAgent {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
}

/// `agent pause`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit agent pause writer
  fusion-kit agent pause writer --at now")]
pub struct PauseArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// When it stops with what it does.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub at: PauseWhen,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// `agent restart`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
What an agent is at is given back when the call in flight has ended, with --at now it is cut off as
by a crash; then the agent goes on with it, from its journal. One that is paused or in error goes
on, too. Where the call takes longer than a moment, the agent is shown as paused, and goes on when
it has ended. Who has ended is refused: exit code 5.

Examples:
  fusion-kit agent restart writer
  fusion-kit agent restart writer coder --at now")]
pub struct RestartArgs {
    /// Names of agents, or their ids or the unique beginnings of these.
    #[arg(required = true)]
    pub agents: Vec<String>,
    /// When they stop with what they do.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub at: PauseWhen,
}

/// When a pause takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PauseWhen {
    /// The call in flight is cut off, as by a crash.
    Now,
    /// The call in flight is ended first.
    #[default]
    NextStep,
}

impl PauseWhen {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextStep => "next_step",
        }
    }
}

/// `agent terminate`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
What an agent works on fails with it, unless nothing of it was begun and another agent of the run
can do it. Its processes are gone when this returns. With --grace the agents are held first, as by
`agent pause`, and a call in flight (an answer of a model, a tool) may end: what it did is kept, and
the step fails unless that call ended it. Where a name is wrong nobody is held; whom it held and
could not end goes on again, which is told. Ctrl-C in that time leaves the agents held.

Examples:
  fusion-kit agent terminate writer
  fusion-kit agent terminate writer --workspace archive
  fusion-kit agent terminate writer --grace 30s
  fusion-kit agent terminate --all --workspace remove
  fusion-kit agent terminate --all --state idle,error")]
pub struct TerminateArgs {
    /// Names of agents, or their ids or the unique beginnings of these.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub agents: Vec<String>,
    /// Every standing agent.
    #[arg(long)]
    pub all: bool,
    /// Of these only who is in one of these states, also as it ends: who has left them by then is told, and
    /// goes on.
    #[arg(
        long,
        value_name = "STATE",
        value_enum,
        value_delimiter = ',',
        requires = "all",
        conflicts_with = "agents"
    )]
    pub state: Vec<LivingState>,
    /// What becomes of the workspace.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub workspace: WorkspacePolicy,
    /// Let the call in flight end first, but no longer than this; it begins nothing further meanwhile.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["state", "dry_run"])]
    pub grace: Option<Duration>,
    /// Cut off what is under way, at once: as without --grace.
    #[arg(long, conflicts_with = "grace")]
    pub force: bool,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// What becomes of the workspace of an agent that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum WorkspacePolicy {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is packed into a file in the data directory, then removed.
    Archive,
    /// It is removed with all that is in it.
    Remove,
}

impl WorkspacePolicy {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Archive => "archive",
            Self::Remove => "remove",
        }
    }
}

/// `agent update`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit agent update writer --max-turns 40
  fusion-kit agent update writer --model openai/gpt-5")]
pub struct UpdateArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// What to change.
    #[command(flatten)]
    pub changes: Changes,
}

/// What is changed of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(required = true, multiple = true)]
pub struct Changes {
    /// Another model, in the provider's own spelling.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Another provider.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// What it can do, in place of what it could; empty for nothing.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub capabilities: Option<Vec<String>>,
    /// What it may use, in place of what it might; empty for nothing.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub tools: Option<Vec<String>>,
    /// Another system prompt.
    #[arg(long, value_name = "TEXT")]
    pub instructions: Option<String>,
    /// Model calls in one task before it fails.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=200))]
    pub max_turns: Option<u32>,
    /// US dollars that it may spend over its life, from the next call on; `none` takes the limit away. All
    /// that it ever spent counts, also without a limit.
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
}

/// `agent logs`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With --json and --follow each entry is one JSON object on a line of its own.

Examples:
  fusion-kit agent logs writer
  fusion-kit agent logs writer --since 1h
  fusion-kit agent logs writer --follow")]
pub struct LogsArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// At most so many entries, the newest ones.
    #[arg(long, visible_alias = "tail", value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Of these only what was begun within this time, such as 90s, 10m, 2h or 3d, or since this one, such
    /// as 2026-11-23T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Go on with what it does from now on, until it is stopped.
    #[arg(short, long)]
    pub follow: bool,
}

/// `agent send`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Without a server the agent works only while a command waits for it.

Examples:
  fusion-kit agent send writer Write a haiku about bees. --wait
  fusion-kit agent send writer Make it funnier.")]
pub struct AgentSendArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// What it is told; several words are one message.
    #[arg(required = true)]
    pub message: Vec<String>,
    /// Wait until it is done, and print what came of it.
    #[arg(long)]
    pub wait: bool,
}

/// `agent attach`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Each line of stdin is a message, as `agent send` sends it; empty lines are left out. At the end of
stdin (Ctrl-D) the command goes on until the agent has done all that it was sent, and ends with 6
where something of that failed. Ctrl-C ends it at once. Without a server the agent works as long as
this command does. With --json each entry is one JSON object on a line of its own.

Examples:
  fusion-kit agent attach writer
  echo 'Write a haiku about bees.' | fusion-kit agent attach writer")]
pub struct AttachArgs {
    /// Name of the agent, or its id or the unique beginning of one.
    pub agent: String,
    /// Show so many entries of what it did before, too.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(0..=500))]
    pub limit: u32,
}
