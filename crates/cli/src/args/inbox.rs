//! The arguments of `inbox`, `approve` and `reject`.

use clap::Args;

/// `inbox`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InboxArgs {
    /// Says what it does anyway, as it is typed for other things.
    #[arg(hide = true, value_parser = ["list"])]
    pub list: Option<String>,
}

/// `approve`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The first answer to a question stands; a second one is refused with exit code 5.

Examples:
  fusion-kit approve 0192f3c1
  fusion-kit approve 0192f3c1 --comment checked-by-hand")]
pub struct ApproveArgs {
    /// Id of the approval or the unique beginning of one: see `inbox`.
    pub approval: String,
    /// What is said to it.
    #[arg(long, visible_alias = "note", value_name = "TEXT")]
    pub comment: Option<String>,
    /// Refuse unless what is approved has this hash.
    #[arg(long, value_name = "SHA256")]
    pub hash: Option<String>,
}

/// `reject`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The first answer to a question stands; a second one is refused with exit code 5.

Examples:
  fusion-kit reject 0192f3c1 --reason untested")]
pub struct RejectArgs {
    /// Id of the approval or the unique beginning of one: see `inbox`.
    pub approval: String,
    /// Why: the step fails with it.
    #[arg(long, visible_alias = "note", value_name = "TEXT")]
    pub reason: String,
    /// Refuse unless what is approved has this hash.
    #[arg(long, value_name = "SHA256")]
    pub hash: Option<String>,
}
