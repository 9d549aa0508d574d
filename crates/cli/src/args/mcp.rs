//! The arguments of `mcp`.

use clap::{Args, Subcommand};

use super::ScopeName;

/// `mcp`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit mcp tools
  fusion-kit mcp serve --scope read"
)]
pub struct McpArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: McpCommand,
}

/// Commands for other agents.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum McpCommand {
    /// Serve commands as tools over stdin and stdout, until the client goes away.
    #[command(after_long_help = "\
A client of the Model Context Protocol (a coding agent, an editor) starts this command by itself;
its settings name the program and these arguments. Each tool is a command of this program and
answers what the command prints with --json; `fusion-kit help` says all about it. A call is a
process of its own, which ends with the client and is interrupted as by Ctrl-C when the client gives
it up. With a server the work goes on all the same; without one `resume` goes on with it.

What a person decides (approve, reject, budgets) and what looks after the installation is offered
with --scope admin only. Secrets are never offered. With --server the scope of the token counts too.
Commands read the files that they are given as the user who starts this one.

Examples:
  fusion-kit mcp serve
  fusion-kit mcp serve --scope read
  fusion-kit mcp serve --only task --only \"agent list\" --server https://fusion.example")]
    Serve(McpOfferArgs),
    /// List the tools that `mcp serve` would offer with the same options.
    #[command(after_long_help = "\
Examples:
  fusion-kit mcp tools
  fusion-kit mcp tools --only task --json | jq '.tools[].input_schema'")]
    Tools(McpOfferArgs),
}

/// Which commands are offered.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct McpOfferArgs {
    /// What the client may do at most.
    #[arg(long, value_name = "SCOPE", value_enum, default_value = "operate")]
    pub scope: ScopeName,
    /// Offer this command, or all commands below this word, instead of those of every day; may be
    /// repeated.
    #[arg(long, value_name = "COMMAND")]
    pub only: Vec<String>,
}
