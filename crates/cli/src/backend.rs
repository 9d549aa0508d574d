//! The port behind the commands.

mod agents;
mod artifacts;
mod bench;
mod dry_run;
mod events;
mod files;
mod inbox;
mod mcp;
mod messages;
mod metrics;
mod nodes;
mod overview;
mod providers;
mod records;
mod run_deletions;
mod run_files;
mod runs;
mod schedules;
mod server;
mod settings;
mod tasks;
mod tools;
mod webhooks;
mod work;
mod workflows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fusion_api_types::{
    BackupReport, DatabaseStatus, MessageView, MigrationReport, Problem, RekeyReport,
    RestoreReport, RunDetail, RunSummary, VacuumReport, VerifyReport,
};

pub use agents::{AgentChanges, AgentQuery, Agents, AttachEnd, Leaving, Log, LogQuery, NewAgents};
pub use artifacts::Artifacts;
pub use bench::{BenchRequest, Benchmarks};
pub use dry_run::{DryRuns, Operation};
pub use events::{EventQuery, EventSink, Events, Replay};
pub use files::AgentFiles;
pub use inbox::{AnswerRequest, Inbox};
pub use mcp::CommandTools;
pub use messages::{Content, MessageQuery, Messages, NewMessage, Tail, To};
pub use metrics::Metrics;
pub use nodes::Nodes;
pub use overview::{Overview, Picture, Sight};
pub use providers::{AskKey, NewProvider, Providers};
pub use records::{NewProject, ProjectBudgets, ProjectUpdate, Records};
pub use run_deletions::RunDeletions;
pub use run_files::RunFiles;
pub use runs::{AgainRequest, RunQuery, Steering};
pub use schedules::{NewSchedule, Schedules};
pub use server::{Audience, Ready, ServeRequest, Server};
pub use settings::{About, EditEnd, SettingRequest, SettingsFile};
pub use tasks::{TaskQuery, TaskRequest, TaskUpdate, Tasks};
pub use tools::{HeldCommand, NotRun, ToolFolder, Tools};
pub use webhooks::{NewWebhook, Webhooks};
pub use work::{AgentWork, DiscardRequest, MergeRequest};
pub use workflows::{StartWorkflow, Workflows};

/// What a run is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// The workflow file, as the user named it.
    pub file: PathBuf,
    /// Inputs by name, as typed: the workflow says what type they become.
    pub inputs: BTreeMap<String, String>,
    /// US dollars that it may cost at most, as typed.
    pub max_cost: Option<String>,
    /// The server goes on with it alone: nobody waits for its end.
    pub detach: bool,
}

/// What a run is taken up with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResumeRequest {
    /// Id or unique prefix of the run; the newest interrupted one without it.
    pub run: Option<String>,
    /// US dollars that it may use in all for now, as typed.
    pub budget_usd: Option<String>,
    /// Tokens that it may use in all for now.
    pub budget_tokens: Option<u64>,
    /// The agent whose budget is meant; the run's without it.
    pub budget_of: Option<String>,
    /// Whether steps that wait for a provider's limit are tried again at once.
    pub now: bool,
}

/// What a database is filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRequest {
    /// The backup.
    pub file: PathBuf,
    /// Data that is in the database is lost, instead of being refused.
    pub replace: bool,
    /// Nothing is changed: it is only said what would be.
    pub dry_run: bool,
}

/// Does the work of the commands.
///
/// A failed or interrupted run is not an error: it is a `RunDetail` that says so. A `Problem`
/// means that the request itself could not be done; then nothing is left behind.
#[async_trait]
pub trait Backend:
    Benchmarks
    + Upkeep
    + Providers
    + Messages
    + Agents
    + AgentFiles
    + AgentWork
    + Inbox
    + Steering
    + Tasks
    + Events
    + DryRuns
    + Records
    + Nodes
    + Artifacts
    + RunDeletions
    + RunFiles
    + Schedules
    + Webhooks
    + Tools
    + CommandTools
    + Workflows
    + Server
    + About
    + Metrics
    + Overview
    + Send
    + Sync
{
    /// Starts a run and works on it until it ends or is interrupted.
    ///
    /// # Errors
    /// The file or the inputs are wrong, or the data directory can't be used.
    async fn run(
        &self,
        request: &RunRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem>;

    /// Goes on with an interrupted run.
    ///
    /// # Errors
    /// No such run, nothing to resume, no such budget, or the data directory can't be used.
    async fn resume(
        &self,
        request: &ResumeRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem>;

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_runs(&self, query: &RunQuery) -> Result<Vec<RunSummary>, Problem>;

    /// One run with its journal: by id or unique prefix, else the newest one.
    ///
    /// # Errors
    /// No such run, an ambiguous prefix, or the data directory can't be read.
    async fn show_run(&self, run: Option<&str>) -> Result<RunDetail, Problem>;
}

/// How far `verify` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Nobody is asked over the network.
    Shallow,
    /// Each enabled provider is asked for its models.
    Online,
    /// Each is also asked for a few words, and a workflow of one step is run.
    Deep,
}

/// Looks after the database and its master key.
#[async_trait]
pub trait Upkeep {
    /// Brings the schema up to date; makes the database when there is none.
    ///
    /// # Errors
    /// It is in use, can't be reached or is not one that this program can use.
    async fn migrate(&self) -> Result<MigrationReport, Problem>;

    /// Where the database is and what is in it, also while others work with it.
    ///
    /// # Errors
    /// It can't be reached or read.
    async fn status(&self) -> Result<DatabaseStatus, Problem>;

    /// Gives the room of what was deleted back to the disk.
    ///
    /// # Errors
    /// There is no database, or it is in use.
    async fn vacuum(&self) -> Result<VacuumReport, Problem>;

    /// Writes a copy of the database into a file that does not exist.
    ///
    /// # Errors
    /// There is no database, or the file is there or can't be written; then no file is left.
    async fn backup(&self, file: &Path) -> Result<BackupReport, Problem>;

    /// Fills the database from a backup.
    ///
    /// # Errors
    /// The file is no whole backup, or the database is in use or holds data; nothing was changed.
    async fn restore(&self, request: &RestoreRequest) -> Result<RestoreReport, Problem>;

    /// Seals every stored credential with a new master key. With `retire` the older keys are then
    /// removed from the key file.
    ///
    /// # Errors
    /// The database is in use, or a key is missing. What was sealed can still be opened.
    async fn rekey(&self, retire: bool) -> Result<RekeyReport, Problem>;

    /// Checks the database, the master key, the sandbox and the stored providers; what else `depth` says.
    /// A fault is part of the answer; nothing is changed.
    ///
    /// # Errors
    /// The settings are wrong, so that it is not known what to check.
    async fn verify(&self, depth: Depth) -> Result<VerifyReport, Problem>;

    /// Puts right what can be put right on this machine without asking and without losing anything; says what
    /// it did, one sentence each.
    ///
    /// # Errors
    /// As [`Upkeep::verify`].
    async fn mend(&self) -> Result<Vec<String>, Problem>;
}

/// Is told how a run goes.
pub trait Progress: Send {
    /// The run as it is now, read from the store: on every change and about four times a
    /// second, so that clocks move. Snapshots may be skipped; each one stands for itself.
    fn update(&mut self, run: &RunDetail);

    /// Whether anybody sees the updates: reading them costs.
    fn is_shown(&self) -> bool;

    /// A message that was sent in the run, once each, in their order.
    fn message(&mut self, message: &MessageView);

    /// Something a person should know that no field of the run says.
    fn notice(&mut self, text: &str);
}
