//! What may be tried before it is done.

use clap::Args;

/// What a command is about, and whether it is done.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Tried<T: Args> {
    /// What it is about.
    #[command(flatten)]
    pub what: T,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}
