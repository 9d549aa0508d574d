//! The command line: a pure reading of arguments, nothing is looked up.

mod agent;
mod artifact;
mod bench;
mod budget;
mod db;
mod events;
mod inbox;
mod init;
mod mcp;
mod message;
mod metrics;
mod node;
mod output;
mod provider;
mod record;
mod refusals;
mod run;
mod schedule;
mod serve;
mod shell;
mod task;
mod tool;
mod tried;
mod webhook;
mod workflow;
mod workspace;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, FromArgMatches, Parser, Subcommand};

use crate::exit::CODES;
use crate::filter::{Filter, imply_json};
use crate::tree::command;

pub use agent::{
    AgentArgs, AgentCommand, AgentListArgs, AgentSendArgs, AgentStateName, AttachArgs, Changes,
    LogsArgs, PauseArgs, PauseWhen, RestartArgs, SpawnArgs, TerminateArgs, UpdateArgs, WhichAgent,
    WorkspaceKind, WorkspacePolicy,
};
pub use artifact::{ArtifactArgs, ArtifactCommand, ArtifactGetArgs};
pub use bench::{BenchArgs, BenchModel, BenchRow, BenchStore, BenchVia};
pub use budget::{BudgetClearArgs, BudgetCommand, BudgetSetArgs, BudgetsArgs, Period};
pub use db::{BackupArgs, DbArgs, DbCommand, RekeyArgs, RestoreArgs};
pub use events::{
    EventFilterArgs, EventsArgs, EventsCommand, EventsListArgs, EventsReplayArgs, EventsTailArgs,
    ExportArgs, ExportCommand, ExportEventsArgs, ExportFormat, WhichEvent,
};
pub use inbox::{ApproveArgs, InboxArgs, RejectArgs};
pub use init::{InitArgs, Template};
pub use mcp::{McpArgs, McpCommand, McpOfferArgs};
pub use message::{
    MessageArgs, MessageCommand, MessageFilterArgs, MessageListArgs, MessageName, MessageStatus,
    SendArgs, TailArgs,
};
pub use metrics::{
    AgentMetricsArgs, CostArgs, CostGroup, MetricsArgs, MetricsCommand, MetricsTopArgs, Moment,
    TopFigure, TopGroup,
};
pub use node::{NodeArgs, NodeCommand, NodeName};
pub use output::{ColorChoice, OutputForm};
pub use provider::{
    AddArgs, DetectArgs, ModelsArgs, ProviderArgs, ProviderCommand, ProviderName, RemoveArgs,
    TestArgs,
};
pub use record::{
    BudgetArgs, CapabilityArgs, CapabilityCommand, CapabilityCreateArgs, ProjectArgs,
    ProjectCommand, ProjectCreateArgs, ProjectListArgs, ProjectUpdateArgs, RecordListArgs,
    RecordName, ScopeName, TokenArgs, TokenCommand, TokenCreateArgs,
};
pub use run::{
    CancelArgs, EndedState, ForkArgs, HoldArgs, ListArgs, ResumeArgs, RetryArgs, RunDeleteArgs,
    RunExportArgs, RunImportArgs, RunState, ShowArgs, StartArgs, WatchArgs,
};
pub use schedule::{OverlapArg, ScheduleArgs, ScheduleCommand, ScheduleCreateArgs};
pub use serve::{DownArgs, NodeRoleArg, ServeArgs};
pub use shell::{
    CompletionsArgs, ConfigArgs, ConfigCommand, ConfigFileArgs, ConfigSetArgs, ConfigShowArgs,
    ConfigUnsetArgs, HealthArgs, ManArgs, SchemaArgs, SettingName, Shell, VerifyArgs,
};
pub use task::{
    TaskArgs, TaskCancelArgs, TaskCommand, TaskCreateArgs, TaskListArgs, TaskLogsArgs,
    TaskRetryArgs, TaskStateName, TaskUpdateArgs, TaskWaitArgs, WhichTask,
};
pub use tool::{SandboxArgs, SandboxCommand, SandboxRunArgs, ToolArgs, ToolCallArgs, ToolCommand};
pub use tried::Tried;
pub use webhook::{
    WebhookAddArgs, WebhookArgs, WebhookCommand, WebhookDeliveriesArgs, WebhookResendArgs,
};
pub use workflow::{
    CreateArgs, DiffArgs, GetArgs, GraphArgs, GraphFormat, StartWorkflowArgs, ValidateArgs,
    WhichVersion, WhichWorkflow, WorkflowArgs, WorkflowCommand, WorkflowListArgs,
};
pub use workspace::{
    MergeStrategy, WorkspaceArgs, WorkspaceCommand, WorkspaceCommitArgs, WorkspaceDiffArgs,
    WorkspaceDiscardArgs, WorkspaceExportArgs, WorkspaceFilesArgs, WorkspaceGcArgs,
    WorkspaceListArgs, WorkspaceMergeArgs, WorkspaceReadArgs,
};

/// Runs workflows of AI agents: one file, one command, each agent in its own workspace.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "fusion-kit",
    version,
    max_term_width = 100,
    after_help = CODES,
    after_long_help = "\
Results go to stdout, everything else to stderr.

Exit codes:
    0  done; an empty list is done too
    1  failed, in a way without a number of its own; a check found a fault
    2  wrong command line or input; a name that means several things
    3  what was named does not exist
    4  not allowed, or a key or token is missing or refused
    5  the state does not allow it, another was first, or a workflow file has faults
    6  the run or task failed or was cancelled
    7  the run is held until a person says go on
    8  it had not ended when the time was up
    9  a budget, a quota or a limit of rate stands in the way
   10  the server, the database, a provider or the disk can't be reached or has no room
  130  interrupted; `fusion-kit resume` goes on

Examples:
  fusion-kit init demo                 a first workflow that needs no key
  fusion-kit run demo/hello.yaml       run it
  fusion-kit run show                  look closer at the newest run"
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that stand before or after any command.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Global options")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Global {
    /// Folder of the runs, their records and the agents' workspaces; without it that of
    /// `FUSION_KIT_DATA_DIR`, else `./.fusion-kit`.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Ask the server at this URL instead of working in this process, with the token of
    /// `FUSION_TOKEN`; without it that of `FUSION_SERVER`, if any.
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The settings of this name in the user's `fusion-kit/config.toml`; without it those of
    /// `FUSION_PROFILE`, if any.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print one JSON object on stdout and nothing else there; a problem is JSON on stderr.
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Print what this expression of jq makes of the JSON, each value on a line, a text as it is; `--follow`
    /// and `-o jsonl` give it one object after the other. Implies --json.
    #[arg(long, global = true, value_name = "EXPR", value_parser = Filter::read)]
    pub jq: Option<Filter>,
    /// How results are printed.
    #[arg(short, long, global = true, value_name = "FORM", value_enum)]
    pub output: Option<OutputForm>,
    /// Look again every second and print what has changed, until Ctrl-C; for commands that look.
    #[arg(short, long, global = true)]
    pub watch: bool,
    /// Print no progress and no notices; only results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print no progress.
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// When to use colours; `auto` means on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: ColorChoice,
    /// Say more: `run show` prints requests and outcomes whole, and the log tells more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// The options by which another command works at the same place as this one.
    pub(crate) fn place(&self) -> Vec<String> {
        let exact = self.exact_place().into_iter();
        exact
            .map(|option| option.to_string_lossy().into_owned())
            .collect()
    }

    /// The options by which a server works at this place and logs as much as this command.
    pub(crate) fn of_server(&self) -> Vec<OsString> {
        let mut options = self.exact_place();
        if self.verbose > 0 {
            let letters = "v".repeat(usize::from(self.verbose));
            options.push(OsString::from(format!("-{letters}")));
        }
        options
    }

    /// A folder keeps its name also where that is no text.
    fn exact_place(&self) -> Vec<OsString> {
        let options = [
            ("profile", self.profile.as_deref().map(OsStr::new)),
            ("server", self.server.as_deref().map(OsStr::new)),
            ("data-dir", self.data_dir.as_deref().map(Path::as_os_str)),
        ];
        let given = options.into_iter().filter_map(|(name, value)| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(value?);
            Some(option)
        });
        given.collect()
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run a workflow file, or look at runs.
    #[command(alias = "execution")]
    Run(RunArgs),
    /// Go on with an interrupted run.
    Resume(ResumeArgs),
    /// List what waits for a person: questions, held runs, used-up budgets, silent agents.
    #[command(after_long_help = "\
Examples:
  fusion-kit inbox
  fusion-kit inbox list                the same
  fusion-kit inbox --json | jq -r '.items[] | select(.kind == \"approval\") | .id'")]
    Inbox(InboxArgs),
    /// Say yes to a question: the step begins.
    Approve(ApproveArgs),
    /// Say no to a question: the step fails with the reason.
    Reject(RejectArgs),
    /// Check workflow files; store, compare, draw and start workflows.
    Workflow(WorkflowArgs),
    /// Start stored workflows by the clock.
    Schedule(ScheduleArgs),
    /// Send events to other programs as they happen.
    Webhook(WebhookArgs),
    /// Write a first workflow to start from.
    Init(InitArgs),
    /// Watch agents, tasks, what waits for you and the log on the whole screen.
    #[command(after_long_help = "\
Tab goes from pane to pane, Enter shows all about a row, ? shows the keys, q ends it.

Examples:
  fusion-kit top
  fusion-kit top --server https://fusion.example")]
    Top,
    /// Make agents that stay, give them work, hold and end agents.
    Agent(AgentArgs),
    /// Look into the workspaces of agents: their files, what they changed.
    Workspace(WorkspaceArgs),
    /// Ask for tasks that any agent may do that can, and look after them.
    Task(TaskArgs),
    /// Look at what agents use: processors, memory, disks, models, and what that costs.
    Metrics(MetricsArgs),
    /// Send messages to agents and look at what they send each other.
    Message(MessageArgs),
    /// Look at the event log.
    Events(EventsArgs),
    /// Write what is stored for other programs.
    Export(ExportArgs),
    /// Look after projects.
    Project(ProjectArgs),
    /// Look after what projects may spend.
    Budget(BudgetsArgs),
    /// Look after the registry of what agents can do.
    Capability(CapabilityArgs),
    /// Look after the tokens of the API.
    Token(TokenArgs),
    /// Look after model providers: add, test, look at models and quotas.
    Provider(ProviderArgs),
    /// Look after the database: its schema, copies of it, its master key.
    Db(DbArgs),
    /// Run a command as an agent's command runs.
    Sandbox(SandboxArgs),
    /// List agents' tools, or call one as an agent would.
    Tool(ToolArgs),
    /// Offer commands as tools to other agents, by the Model Context Protocol.
    Mcp(McpArgs),
    /// Get a file that a step made.
    Artifact(ArtifactArgs),
    /// Look after the processes that share the work of one database.
    Node(NodeArgs),
    /// Serve the HTTP API and work on every open run.
    #[command(visible_alias = "up")]
    Serve(ServeArgs),
    /// End the server that owns the data directory.
    Down(DownArgs),
    /// Sign a browser in to the pages of the server: prints a link that works once.
    #[command(after_long_help = "\
Open the link in a browser, within ten minutes. It is signed in for 12 hours, with the scope of the
token that asks: that of the data directory, or FUSION_TOKEN with --server. `token list` shows it,
`token revoke` ends it, and so does the end of that token.

Examples:
  fusion-kit dashboard
  fusion-kit dashboard --server https://fusion.example")]
    Dashboard,
    /// Ask the server how it is; exit code 1 when it is not well, 3 when there is none.
    Health(HealthArgs),
    /// Print the version of this program, and of the server that is asked.
    #[command(after_long_help = "\
Examples:
  fusion-kit version
  fusion-kit version --json | jq -r .server.version")]
    Version,
    /// Show where everything is: data, workspaces, database, bus, server, nodes.
    #[command(after_long_help = "\
Examples:
  fusion-kit info
  fusion-kit info --json | jq -r .here.database")]
    Info,
    /// Look at the settings that are in force, and change the files they stand in.
    Config(ConfigArgs),
    /// Print a script that completes commands in a shell.
    #[command(visible_alias = "completion")]
    Completions(CompletionsArgs),
    /// Print what a command prints with `--json`, as JSON Schema.
    Schema(SchemaArgs),
    /// Write the manual: a page for each command.
    Man(ManArgs),
    /// Check the database, the bus, the master key, the sandbox, the providers and the server; says a way
    /// out of every fault.
    #[command(visible_alias = "doctor")]
    Verify(VerifyArgs),
    /// Measure what the framework costs on this machine.
    Bench(BenchArgs),
}

/// `run FILE`, or one of its subcommands.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_long_help = "\
A file whose name is that of a subcommand is reached by its path: ./list

Examples:
  fusion-kit run hello.yaml
  fusion-kit run hello.yaml -i name=Ada -i language=French
  fusion-kit run hello.yaml --max-cost 0.50
  fusion-kit run hello.yaml --json | jq .outputs"
)]
pub struct RunArgs {
    /// Look at runs, or steer one, instead.
    #[command(subcommand)]
    pub command: Option<RunCommand>,
    /// What to run; always there without a subcommand.
    #[command(flatten)]
    pub start: Option<StartArgs>,
}

/// Inputs by their names; [`parse`] has made sure that no name comes twice.
pub(crate) fn by_name(inputs: &[InputArg]) -> BTreeMap<String, String> {
    let named = |input: &InputArg| (input.name.clone(), input.value.clone());
    inputs.iter().map(named).collect()
}

/// One `-i NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputArg {
    /// Before the first `=`.
    pub name: String,
    /// All after it, as typed.
    pub value: String,
}

/// Looking at runs, and steering them.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum RunCommand {
    /// List the newest runs.
    List(ListArgs),
    /// Show all about a run: steps, agents, what each step did.
    Show(ShowArgs),
    /// Watch how a run goes, wherever it is worked on.
    Watch(WatchArgs),
    /// Hold a run: nothing further of it is begun, and nothing is lost.
    Pause(HoldArgs),
    /// Go on with a run that is held or was interrupted.
    Resume(ResumeArgs),
    /// End a run for good: what is under way is cut off.
    Cancel(CancelArgs),
    /// Do again what is not finished of a run that failed or was cancelled, as a new run.
    Retry(RetryArgs),
    /// Go on from a step of a run that has ended, as a new run.
    Fork(ForkArgs),
    /// Delete runs that have ended, with all that belongs to them.
    Delete(RunDeleteArgs),
    /// Write a run that has ended to a file, to hand it to others or to keep it.
    Export(RunExportArgs),
    /// Store the run of such a file, marked as imported.
    Import(RunImportArgs),
}

/// Reads a command line; the first argument is the program's name.
///
/// # Errors
/// Wrong usage, or a wish for help or the version: hand it to [`crate::refuse`].
pub fn parse<I, T>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))?;
    imply_json(&mut cli.global, &matches)?;
    refusals::refuse_nonsense(&cli.command)?;
    Ok(cli)
}

fn input(argument: &str) -> Result<InputArg, String> {
    match argument.split_once('=') {
        Some(("", _)) => Err("the name before '=' is missing: write NAME=VALUE".to_owned()),
        Some((name, value)) => Ok(InputArg {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        None => Err(format!("'{argument}' has no '=': write {argument}=VALUE")),
    }
}
