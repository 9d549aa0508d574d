//! The arguments of `init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `init`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
An existing file is never overwritten.

Examples:
  fusion-kit init
  fusion-kit init demo --template plan-implement-review
  fusion-kit init demo --git
  fusion-kit init --template repo")]
pub struct InitArgs {
    /// Where to write; made if it is not there.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// What to start from.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub template: Template,
    /// Make the folder a git repository too, with your own git, unless it is in one.
    #[arg(long)]
    pub git: bool,
}

/// What a new workflow starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Template {
    /// One agent, one step; scripted answers, so it needs no key.
    #[default]
    Hello,
    /// Three agents that hand work on; scripted answers, real files and checks.
    PlanImplementReview,
    /// An agent that works on the git repository of this folder, in a worktree of its own.
    Repo,
    /// A commented frame for a model of your own.
    Empty,
}
