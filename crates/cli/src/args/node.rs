//! The arguments of `node`.

use clap::{Args, Subcommand};

/// `node`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A node is a process that works on the database. Several share the work of one PostgreSQL.

Examples:
  fusion-kit node list
  fusion-kit node drain web-2"
)]
pub struct NodeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeCommand,
}

/// Looking after nodes.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum NodeCommand {
    /// List the nodes, the newest first, with what they have in hand.
    #[command(after_long_help = "Examples:\n  fusion-kit node list")]
    List,
    /// Show one node.
    #[command(after_long_help = "Examples:\n  fusion-kit node get web-2")]
    Get(NodeName),
    /// Let a node end what it has begun, give the rest back and take nothing new.
    #[command(after_long_help = "Examples:\n  fusion-kit node drain web-2")]
    Drain(NodeName),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct NodeName {
    /// Its name, its id, or a unique beginning of the id.
    pub node: String,
}
