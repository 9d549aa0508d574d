//! The arguments of `sandbox` and `tool`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `sandbox`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit sandbox run -- cat /etc/shadow
  fusion-kit verify                          what holds commands on this machine"
)]
pub struct SandboxArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: SandboxCommand,
}

/// Using the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SandboxCommand {
    /// Run a command exactly as an agent's command runs.
    Run(SandboxRunArgs),
}

/// `sandbox run`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The command has this command's stdin, stdout and stderr. It ends with the command's exit code,
with 128 and the number of the signal that ended it, or with 125 when the sandbox can't be had,
126 when the command can't be run and 127 when there is none of that name.

Examples:
  fusion-kit sandbox run -- sh -c 'id; ls /'
  fusion-kit sandbox run --workspace ./project -- make test")]
pub struct SandboxRunArgs {
    /// The folder that the command works in and may write; `.agent` is made in it. Without it a new
    /// one is made and removed afterwards.
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub argv: Vec<String>,
}

/// `tool`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit tool list
  fusion-kit tool call run_command --workspace . --input '{\"command\":\"id\"}'"
)]
pub struct ToolArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: ToolCommand,
}

/// Using agents' tools.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ToolCommand {
    /// List the tools that agents can be given.
    #[command(after_long_help = "\
Examples:
  fusion-kit tool list
  fusion-kit tool list --json | jq '.tools[] | .parameters'")]
    List,
    /// Call a tool exactly as an agent would.
    Call(ToolCallArgs),
}

/// `tool call`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Exits with 1 when the tool did not do what was asked.

With --lines, each line of stdin is a request such as {\"name\": \"read_file\", \"input\": {\"path\":
\"a\"}}, and each is answered by one line on stdout; an `id` in the request is repeated.

Examples:
  fusion-kit tool call list_files --workspace ./project
  fusion-kit tool call read_file --workspace ./project --input '{\"path\":\"notes.md\"}'
  fusion-kit tool call fetch_url --workspace . --host docs.rs --input '{\"url\":\"https://docs.rs\"}'
  fusion-kit tool call --lines --workspace ./project     requests come from stdin")]
pub struct ToolCallArgs {
    /// The tool; `tool list` names them.
    #[arg(required_unless_present = "lines", conflicts_with = "lines")]
    pub name: Option<String>,
    /// The folder that the tool works in; `.agent` is made in it.
    #[arg(long, value_name = "DIR")]
    pub workspace: PathBuf,
    /// A host that `fetch_url` may read pages from, such as docs.rs; may be repeated.
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Its arguments.
    #[arg(
        long,
        value_name = "JSON",
        default_value = "{}",
        conflicts_with = "lines"
    )]
    pub input: String,
    /// Read requests from stdin, one a line.
    #[arg(long)]
    pub lines: bool,
}
