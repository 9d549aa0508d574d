//! The arguments of `artifact`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `artifact`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
The files that steps made are kept under the SHA-256 of their content; `run show` tells it.

Examples:
  fusion-kit artifact get 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 report.md"
)]
pub struct ArtifactArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ArtifactCommand,
}

/// The kept files of steps.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ArtifactCommand {
    /// Write a kept file to a new one.
    Get(ArtifactGetArgs),
}

/// `artifact get`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit artifact get 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 report.md")]
pub struct ArtifactGetArgs {
    /// The SHA-256 of its content: 64 hexadecimal digits.
    pub sha256: String,
    /// Where to write it; nothing may be there.
    pub file: PathBuf,
}
