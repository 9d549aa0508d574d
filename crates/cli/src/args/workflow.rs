//! The arguments of `workflow`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{InputArg, Tried};

/// `workflow`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Workflows are stored by `run FILE` and by `workflow create`; each new text is a version of its name.
WORKFLOW is the name of a stored one, or the id of a version.

Examples:
  fusion-kit workflow validate hello.yaml
  fusion-kit workflow validate hello
  fusion-kit workflow create hello.yaml
  fusion-kit workflow start hello -i name=Ada
  fusion-kit workflow diff hello 1 2"
)]
pub struct WorkflowArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WorkflowCommand,
}

/// Workflow files and stored workflows.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum WorkflowCommand {
    /// Check a workflow file and say every fault in it; nothing is run.
    Validate(ValidateArgs),
    /// Store a workflow file as the next version of its name: what `export` prints, too.
    #[command(visible_alias = "import")]
    Create(CreateArgs),
    /// List the stored workflows: the newest version of each.
    List(WorkflowListArgs),
    /// Show a stored workflow with its text.
    Get(GetArgs),
    /// Print the file of a stored workflow exactly as it was stored.
    #[command(after_long_help = "\
Examples:
  fusion-kit workflow export hello > hello.yaml
  fusion-kit workflow export hello --version 1")]
    Export(WhichVersion),
    /// Take a version of a workflow away that no run refers to.
    #[command(after_long_help = "\
Without --version, and without the id of one, the newest.

Examples:
  fusion-kit workflow delete hello
  fusion-kit workflow delete hello --version 1")]
    Delete(Tried<WhichVersion>),
    /// List the versions of a workflow, the newest first.
    #[command(after_long_help = "\
Examples:
  fusion-kit workflow versions hello
  fusion-kit workflow versions hello --json | jq -r '.workflows[0].id'")]
    Versions(WhichWorkflow),
    /// Show what changed from one version to another, line by line.
    Diff(DiffArgs),
    /// Draw the steps of a workflow file or of a stored workflow, and what needs what.
    Graph(GraphArgs),
    /// Run a stored workflow.
    Start(StartWorkflowArgs),
    /// End every open run of a workflow.
    #[command(after_long_help = "\
Examples:
  fusion-kit workflow cancel hello")]
    Cancel(Tried<WhichWorkflow>),
}

/// `workflow validate`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
What is likely not meant, such as an input that nothing uses, is told as a warning; with --strict
it is a fault, and the exit code is 5 as for a file that can't be used.

Examples:
  fusion-kit workflow validate hello.yaml
  fusion-kit workflow validate hello.yaml --strict
  fusion-kit workflow validate hello.yaml --json | jq .steps")]
pub struct ValidateArgs {
    /// The workflow file; or a stored workflow, by its name or the id of a version.
    #[arg(value_name = "WORKFLOW")]
    pub file: PathBuf,
    /// Refuse a workflow with warnings, too.
    #[arg(long)]
    pub strict: bool,
}

/// `workflow create`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
A file whose text is that of the newest version makes no new one.

Examples:
  fusion-kit workflow create hello.yaml
  fusion-kit workflow create hello.yaml --project shop
  fusion-kit workflow import hello.yaml      what `workflow export hello` printed")]
pub struct CreateArgs {
    /// The workflow file.
    #[arg(required_unless_present = "by_option")]
    pub file: Option<PathBuf>,
    /// The workflow file, named by an option.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        conflicts_with = "file"
    )]
    pub by_option: Option<PathBuf>,
    /// The project it belongs to, whose budgets its runs use up: its name, or its id.
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
}

impl CreateArgs {
    /// The file, by whichever way it was named.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref().or(self.by_option.as_deref())
    }
}

/// `workflow list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit workflow list
  fusion-kit workflow list --json | jq -r '.workflows[].name'")]
pub struct WorkflowListArgs {
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Which workflow.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhichWorkflow {
    /// Name of the workflow, or the id of one of its versions.
    pub workflow: String,
}

/// Which version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhichVersion {
    /// Name of the workflow, or the id of one of its versions.
    pub workflow: String,
    /// This version instead of the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub version: Option<u32>,
}

/// `workflow get`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit workflow get hello
  fusion-kit workflow get hello --version 1 --json | jq -r .source > hello.yaml")]
pub struct GetArgs {
    /// Name of the workflow, or the id of one of its versions.
    pub workflow: String,
    /// This version instead of the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub version: Option<u32>,
}

/// `workflow diff`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit workflow diff hello 1 2
  fusion-kit workflow diff hello 1           against the newest version")]
pub struct DiffArgs {
    /// Name of the workflow.
    pub workflow: String,
    /// The version that it was.
    #[arg(value_name = "V1", value_parser = clap::value_parser!(u32).range(1..))]
    pub from: u32,
    /// The version that it is; the newest without it.
    #[arg(value_name = "V2", value_parser = clap::value_parser!(u32).range(1..))]
    pub to: Option<u32>,
}

/// `workflow graph`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit workflow graph hello.yaml
  fusion-kit workflow graph feature --format mermaid
  fusion-kit workflow graph feature --format dot | dot -Tsvg > feature.svg")]
pub struct GraphArgs {
    /// A workflow file, or the name of a stored workflow.
    #[arg(value_name = "FILE|WORKFLOW")]
    pub workflow: String,
    /// This version of a stored workflow instead of the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub version: Option<u32>,
    /// How it is drawn.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: GraphFormat,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum GraphFormat {
    /// Text for people: each step below the first that it needs.
    #[default]
    Tree,
    /// A flowchart of Mermaid.
    Mermaid,
    /// A graph of Graphviz.
    Dot,
}

/// `workflow start`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The server that owns the data directory works on the run, else this command does.

Examples:
  fusion-kit workflow start hello
  fusion-kit workflow start hello --version 1 -i name=Ada --json | jq .outputs
  fusion-kit workflow start hello --input-file inputs.yaml --detach")]
pub struct StartWorkflowArgs {
    /// Name of the workflow, or the id of one of its versions.
    pub workflow: String,
    /// This version instead of the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub version: Option<u32>,
    /// Give the workflow an input; may be repeated.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = super::input)]
    pub inputs: Vec<InputArg>,
    /// Take inputs from this file too, YAML or JSON that maps names to values; `-` is stdin. Those of --input
    /// stand above them.
    #[arg(long, value_name = "FILE")]
    pub input_file: Option<PathBuf>,
    /// US dollars that its model calls may cost at most, where its file allows more: it stops then, as at the
    /// file's `budget`, and goes on with `resume --budget-usd`.
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// Do not wait for its end: the server goes on with it. Refused where none does the work.
    #[arg(long)]
    pub detach: bool,
}
