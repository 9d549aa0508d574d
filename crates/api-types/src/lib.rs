//! The wire types of fusion-kit: what `--json` prints and, in [`api`], what the HTTP API answers.
//!
//! They are promised to others, so they are not the stored types: a field is only ever added.
//! Names are `snake_case`, times RFC 3339 in UTC, money is US dollars as decimal text, ids are
//! plain text. States are text too, so that an older reader survives a newer state.

mod about;
mod agent;
pub mod api;
mod bench;
mod database;
mod dry_run;
mod inbox;
mod message;
mod problem;
mod provider;
mod replay;
mod run;
mod run_deletion;
pub mod schema;
mod server;
mod setting;
mod tool;
mod workflow;
mod workspace;

pub use about::{BudgetLine, InfoView, PlacesView, ServerInfo, ServerVersion, VersionView};
pub use agent::{
    AgentDetail, AgentLeft, AgentList, AgentLog, AgentLogEntry, AgentSent, AgentSummary, AgentTask,
    AgentsEnded, WorkspaceView, WorktreeView,
};
pub use bench::BenchReport;
pub use database::{
    BackupReport, CheckView, DatabaseStatus, DatabaseView, MigrationReport, RekeyReport,
    RestoreReport, SchemaView, VacuumReport, VerifyReport,
};
pub use dry_run::{DryRun, DryRunChange};
pub use inbox::{InboxItem, InboxView};
pub use message::{AgentName, DeliveryView, MessageDetail, MessageList, MessageView};
pub use problem::{FaultView, FileText, Problem, ProblemKind};
pub use provider::{
    DetectReport, FoundServer, ModelList, ModelView, ProviderAdded, ProviderList, ProviderRemoved,
    ProviderTest, ProviderView, QuotaReport, QuotaView,
};
pub use replay::Replayed;
pub use run::{
    AgentView, ArtifactSaved, ChildView, FileView, GrantsView, HaltView, ImportedView, JournalView,
    ParentView, RecoveredView, RunDetail, RunExported, RunImported, RunList, RunSummary, StepView,
    UsageView, WaitView,
};
pub use run_deletion::{CollectRuns, RunDeleted, RunKept, RunsDeleted};
pub use server::{ServerReady, SignInLink};
pub use setting::{SettingChange, SettingList, SettingView};
pub use tool::{McpTool, McpToolList, ToolAnswer, ToolList, ToolView};
pub use workflow::{
    GraphStep, InputView, StoredWorkflow, WarningView, WorkflowCreated, WorkflowDiff,
    WorkflowGraph, WorkflowList, WorkflowSummary,
};
pub use workspace::{
    CollectWorkspaces, CommitWorkspace, DiscardWorkspace, WorkspaceChange, WorkspaceCommit,
    WorkspaceDiff, WorkspaceEntry, WorkspaceExport, WorkspaceFile, WorkspaceKept, WorkspaceLine,
    WorkspaceMerge, WorkspacePage, WorkspacePath, WorkspaceRemoved, WorkspaceTree,
    WorkspacesCollected,
};
