//! The arguments of `workspace`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::WhichAgent;
use super::message::duration;

/// `workspace`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Links are not followed, and what may hold keys (.env, .git, .ssh, ...) is never shown. AGENT is a
name, an id or the unique beginning of one.

Examples:
  fusion-kit workspace files writer
  fusion-kit workspace read writer projects/report.md
  fusion-kit workspace diff coder
  fusion-kit workspace merge coder
  fusion-kit workspace export writer projects --to report.tar"
)]
pub struct WorkspaceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WorkspaceCommand,
}

/// Looking into workspaces.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum WorkspaceCommand {
    /// List workspaces, the newest first; also those of agents that have ended.
    #[command(after_long_help = "\
Examples:
  fusion-kit workspace list
  fusion-kit workspace list --json | jq -r '.workspaces[] | select(.state == \"ready\") | .path'")]
    List(WorkspaceListArgs),
    /// Print the absolute path of an agent's workspace and nothing else.
    #[command(after_long_help = "\
With --server it is a path of the server's machine. Exits with 3 when the workspace is not there.

Examples:
  fusion-kit workspace path writer
  cd \"$(fusion-kit workspace path writer)\"")]
    Path(WhichAgent),
    /// Open an agent's workspace in your editor: that of VISUAL, else of EDITOR.
    #[command(after_long_help = "\
It needs a terminal and runs as you, outside of the sandbox: mind what your editor runs of a
folder's files by itself.

Examples:
  fusion-kit workspace open writer")]
    Open(WhichAgent),
    /// List the files of an agent.
    #[command(after_long_help = "\
Examples:
  fusion-kit workspace files writer
  fusion-kit workspace files writer projects --json | jq -r '.entries[].path'")]
    Files(WorkspaceFilesArgs),
    /// Print a text file of an agent.
    #[command(after_long_help = "\
Examples:
  fusion-kit workspace read writer projects/report.md")]
    Read(WorkspaceReadArgs),
    /// Show what an agent made of its worktree, as it was when its newest step ended.
    #[command(after_long_help = "\
Examples:
  fusion-kit workspace diff coder
  fusion-kit workspace diff coder --stat
  fusion-kit workspace diff coder --name-only")]
    Diff(WorkspaceDiffArgs),
    /// Write the files of an agent into a tar file.
    #[command(after_long_help = "\
At most 10,000 entries and 1 GiB; a file that is there is not overwritten.

Examples:
  fusion-kit workspace export writer
  fusion-kit workspace export writer projects --to report.tar")]
    Export(WorkspaceExportArgs),
    /// Merge what an agent made of its worktree into the checkout that it came from, with your own git.
    #[command(after_long_help = "\
Your git merges, as you and with your settings, on the machine of the checkout: nothing of it is
touched until the merge is whole. Refused where something is not committed, where another operation
is under way, or where both sides changed the same places. Hooks do not run.

Examples:
  fusion-kit workspace merge coder
  fusion-kit workspace merge coder --strategy squash -m 'Add the search page'
  fusion-kit workspace merge coder --into next --json | jq -r .commit")]
    Merge(WorkspaceMergeArgs),
    /// Take what lies uncommitted in a resting agent's worktree into its newest branch.
    #[command(after_long_help = "\
It is committed in the sandbox, as the end of a step does it. Refused while a step of the agent is
at work; a step that is to begin meanwhile waits.

Examples:
  fusion-kit workspace commit coder -m 'What I mended by hand'")]
    Commit(WorkspaceCommitArgs),
    /// Remove the workspace of an agent that has ended.
    #[command(after_long_help = "\
What is in a worktree is taken into its branch first, which stays. What is nowhere else (all of
projects/ but the worktree) is deleted only when you say so.

Examples:
  fusion-kit workspace discard coder
  fusion-kit workspace discard writer --yes")]
    Discard(WorkspaceDiscardArgs),
    /// Remove the workspaces of agents that ended long ago.
    #[command(after_long_help = "\
As `workspace discard` does it, one after the other; says what went, and what stayed and why.

Examples:
  fusion-kit workspace gc --dry-run
  fusion-kit workspace gc --older-than 30d --yes")]
    Gc(WorkspaceGcArgs),
}

/// `workspace list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceListArgs {
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// `workspace files`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceFilesArgs {
    /// Whose.
    pub agent: String,
    /// A folder, from the top of the workspace; all of it without.
    #[arg(default_value = ".")]
    pub path: String,
    /// At most so many entries.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// `workspace read`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceReadArgs {
    /// Whose.
    pub agent: String,
    /// The file, from the top of the workspace.
    pub path: String,
    /// At most so many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1_048_576, value_parser = value_parser!(u32).range(1..=10_485_760))]
    pub limit: u32,
}

/// `workspace diff`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceDiffArgs {
    /// Whose.
    pub agent: String,
    /// Only which files changed, and by how many lines.
    #[arg(long, conflicts_with = "name_only")]
    pub stat: bool,
    /// Only the paths of the files that changed, one on a line.
    #[arg(long)]
    pub name_only: bool,
}

/// `workspace export`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceExportArgs {
    /// Whose.
    pub agent: String,
    /// A folder or a file, from the top of the workspace; all of it without.
    #[arg(default_value = ".")]
    pub path: String,
    /// The tar file to make; `workspace.tar` here without it.
    #[arg(long, value_name = "FILE", default_value = "workspace.tar")]
    pub to: PathBuf,
}

/// `workspace merge`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceMergeArgs {
    /// Whose.
    pub agent: String,
    /// The agent's branch; the one with its newest work without it.
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// The branch that takes it in; the one that is checked out without it.
    #[arg(long, value_name = "BRANCH")]
    pub into: Option<String>,
    /// How.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub strategy: MergeStrategy,
    /// What the new commit says; it names the branch without it.
    #[arg(short, long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub message: Option<String>,
}

/// How an agent's branch is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MergeStrategy {
    /// A commit with both parents.
    #[default]
    Merge,
    /// One commit with everything, without the branch's own commits.
    Squash,
    /// No commit: the branch moves on, or it is refused.
    Ff,
}

impl MergeStrategy {
    /// Its name, as it is typed and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Ff => "ff",
        }
    }
}

/// `workspace commit`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceCommitArgs {
    /// Whose.
    pub agent: String,
    /// What the commit says.
    #[arg(short, long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub message: String,
}

/// `workspace discard`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceDiscardArgs {
    /// Whose.
    pub agent: String,
    /// Delete also what is nowhere else, and do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Say what would be removed, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `workspace gc`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkspaceGcArgs {
    /// How long ago the agents must have ended.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "7d")]
    pub older_than: Duration,
    /// Delete also what is nowhere else.
    #[arg(short, long)]
    pub yes: bool,
    /// Say what would be removed, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}
