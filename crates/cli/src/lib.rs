//! The commands of fusion-kit: their arguments, their progress and their results.
//!
//! This crate knows the wire types and nothing of the engine. The binary hands it a [`Backend`]
//! that does the work, and a [`Terminal`] that it may write on; results go to stdout, everything
//! meant for a person goes to stderr. All text that may come from a model or a file is made
//! harmless before it is printed.

mod args;
mod backend;
mod commands;
mod execute;
mod exit;
mod filter;
mod form;
mod mcp;
mod problem;
mod progress;
mod report;
mod schema;
mod session;
mod style;
mod table;
mod terminal;
mod text;
mod top;
mod tree;
mod watch;

pub use args::{
    AddArgs, AgentArgs, AgentCommand, AgentListArgs, AgentMetricsArgs, AgentSendArgs,
    AgentStateName, ApproveArgs, AttachArgs, BackupArgs, BenchArgs, BenchModel, BenchRow,
    BenchStore, BenchVia, CancelArgs, Changes, Cli, ColorChoice, Command, CostArgs, CostGroup,
    CreateArgs, DbArgs, DbCommand, DetectArgs, DiffArgs, DownArgs, EndedState, ForkArgs, GetArgs,
    Global, GraphArgs, GraphFormat, HealthArgs, HoldArgs, InboxArgs, InitArgs, InputArg, ListArgs,
    LogsArgs, McpArgs, McpCommand, McpOfferArgs, MessageArgs, MessageCommand, MessageFilterArgs,
    MessageListArgs, MessageName, MessageStatus, MetricsArgs, MetricsCommand, MetricsTopArgs,
    ModelsArgs, Moment, OutputForm, PauseArgs, PauseWhen, ProviderArgs, ProviderCommand,
    ProviderName, RejectArgs, RekeyArgs, RemoveArgs, RestartArgs, RestoreArgs, ResumeArgs,
    RetryArgs, RunArgs, RunCommand, RunDeleteArgs, RunExportArgs, RunImportArgs, RunState,
    SandboxArgs, SandboxCommand, SandboxRunArgs, SendArgs, ServeArgs, ShowArgs, SpawnArgs,
    StartArgs, StartWorkflowArgs, TailArgs, TaskArgs, TaskCancelArgs, TaskCommand, TaskCreateArgs,
    TaskListArgs, TaskLogsArgs, TaskRetryArgs, TaskStateName, TaskUpdateArgs, TaskWaitArgs,
    Template, TerminateArgs, TestArgs, ToolArgs, ToolCallArgs, ToolCommand, TopFigure, TopGroup,
    UpdateArgs, ValidateArgs, VerifyArgs, WatchArgs, WhichAgent, WhichTask, WhichWorkflow,
    WorkflowArgs, WorkflowCommand, WorkflowListArgs, WorkspaceKind, WorkspacePolicy, parse,
};
pub use args::{
    ArtifactArgs, ArtifactCommand, ArtifactGetArgs, BudgetArgs, BudgetClearArgs, BudgetCommand,
    BudgetSetArgs, BudgetsArgs, CapabilityArgs, CapabilityCommand, CapabilityCreateArgs,
    CompletionsArgs, ConfigArgs, ConfigCommand, ConfigFileArgs, ConfigSetArgs, ConfigShowArgs,
    ConfigUnsetArgs, EventFilterArgs, EventsArgs, EventsCommand, EventsListArgs, EventsReplayArgs,
    EventsTailArgs, ExportArgs, ExportCommand, ExportEventsArgs, ExportFormat, ManArgs, NodeArgs,
    NodeCommand, NodeName, NodeRoleArg, OverlapArg, Period, ProjectArgs, ProjectCommand,
    ProjectCreateArgs, ProjectListArgs, ProjectUpdateArgs, RecordListArgs, RecordName,
    ScheduleArgs, ScheduleCommand, ScheduleCreateArgs, SchemaArgs, ScopeName, SettingName, Shell,
    TokenArgs, TokenCommand, TokenCreateArgs, Tried, WebhookAddArgs, WebhookArgs, WebhookCommand,
    WebhookDeliveriesArgs, WebhookResendArgs, WhichEvent, WhichVersion,
};
pub use args::{
    MergeStrategy, WorkspaceArgs, WorkspaceCommand, WorkspaceCommitArgs, WorkspaceDiffArgs,
    WorkspaceDiscardArgs, WorkspaceExportArgs, WorkspaceFilesArgs, WorkspaceGcArgs,
    WorkspaceListArgs, WorkspaceMergeArgs, WorkspaceReadArgs,
};
pub use backend::{
    About, Artifacts, DryRuns, EditEnd, EventQuery, EventSink, Events, NewProject, NewSchedule,
    NewWebhook, Nodes, Operation, ProjectBudgets, ProjectUpdate, Records, Replay, RestoreRequest,
    RunDeletions, RunFiles, Schedules, SettingRequest, SettingsFile, Webhooks,
};
pub use backend::{
    AgainRequest, AgentChanges, AgentQuery, Agents, AnswerRequest, AskKey, AttachEnd, Audience,
    Backend, BenchRequest, Benchmarks, CommandTools, Content, Depth, HeldCommand, Inbox, Leaving,
    Log, LogQuery, MessageQuery, Messages, Metrics, NewAgents, NewMessage, NewProvider, NotRun,
    Progress, Providers, Ready, ResumeRequest, RunQuery, RunRequest, ServeRequest, Server,
    StartWorkflow, Steering, Tail, TaskQuery, TaskRequest, TaskUpdate, Tasks, To, ToolFolder,
    Tools, Upkeep, Workflows,
};
pub use backend::{AgentFiles, AgentWork, DiscardRequest, MergeRequest};
pub use backend::{Overview, Picture, Sight};
pub use execute::{execute, fail, refuse};
pub use exit::Exit;
pub use filter::Filter;
pub use mcp::{Offer, Reach, Selection, offers, reach};
pub use schema::{Printed, printed};
pub use terminal::{Hints, Input, Now, Output, Question, Size, Terminal};
pub use text::shell_word;
pub use tree::{command, command_lines, examples};
