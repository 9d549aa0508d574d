//! Agents: their life, what they work with, what they do and what that takes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::{BudgetUse, MetricsSample};
use crate::{GrantsView, JournalView, RunDetail, UsageView};

/// One line about an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentSummary {
    /// UUID of the agent.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `spawning`, `idle`, `working`, `paused`, `error` or `terminated`.
    pub state: String,
    /// When a pause takes effect on what it does: `now` or `next_step`.
    pub paused: Option<String>,
    /// It was told to end, and this is to become of its workspace: `keep`, `archive` or `remove`.
    pub ending: Option<String>,
    /// UUID of the run that spawned it; `null` for a standing agent.
    pub run: Option<String>,
    /// UUID of its project.
    pub project: Option<String>,
    /// Name of the provider it speaks to.
    pub provider: String,
    /// The model, in the provider's own spelling; the script's file for a scripted agent.
    pub model: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When something about it changed.
    pub updated_at: DateTime<Utc>,
    /// Its last sign of progress.
    pub last_heartbeat: Option<DateTime<Utc>>,
}

/// The answer to a list of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// Newest first.
    pub agents: Vec<AgentSummary>,
}

/// All about an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentDetail {
    /// The same fields as in a list, beside the ones below.
    #[serde(flatten)]
    pub summary: AgentSummary,
    /// Its system prompt.
    pub instructions: Option<String>,
    /// The groups of tools that it may use.
    pub tools: Option<Vec<String>>,
    /// The hosts that it may fetch pages from.
    #[serde(default)]
    pub hosts: Option<Vec<String>>,
    /// Model calls in one task at most.
    pub max_turns: Option<u32>,
    /// What it may spend over its life and what it spent of that; left out where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetUse>,
    /// Topic patterns that it listens to.
    pub subscriptions: Vec<String>,
    /// What its owner keeps with it, and what the engine notes.
    pub metadata: Map<String, Value>,
    /// What its commands may do beyond their workspace, where that is anything.
    #[serde(default)]
    pub grants: Option<GrantsView>,
    /// What holds its commands, where it runs any.
    pub sandbox: Option<Value>,
    /// Where it works.
    pub workspace: WorkspaceView,
    /// What it works on now.
    pub task: Option<AgentTask>,
    /// Messages that wait for it.
    pub inbox: u64,
    /// Its tasks that ended well.
    pub tasks_completed: u64,
    /// Its tasks that ended badly.
    pub tasks_failed: u64,
    /// What its newest tasks used together.
    pub usage: UsageView,
    /// The newest sample of what it uses, where one was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSample>,
}

/// The directory of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceView {
    /// Its absolute path; empty where its run was imported: the workspace is elsewhere.
    pub path: String,
    /// It is there.
    pub exists: bool,
    /// The user id that its processes run under, where agents have their own.
    pub uid: Option<u32>,
    /// The file that it was packed into.
    pub archive: Option<String>,
    /// Why it could not be made.
    pub error: Option<String>,
    /// The repository that its worktree came from, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<WorktreeView>,
}

/// A worktree, and where the work on it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorktreeView {
    /// The repository that it came from.
    pub source: String,
    /// The commit that it began with.
    pub base: String,
    /// The repository from which the work can be fetched.
    pub repository: String,
    /// The branch with the newest work there.
    pub branch: Option<String>,
    /// Why the newest work is not in that branch but in the workspace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A task of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentTask {
    /// UUID of the task.
    pub id: String,
    /// UUID of its run.
    pub run: String,
    /// The step that it is.
    pub step: String,
    /// `queued`, `assigned` or `running`.
    pub state: String,
    /// When it was first begun.
    pub started_at: Option<DateTime<Utc>>,
}

/// Something that an agent did: an entry of the journal of one of its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentLogEntry {
    /// UUID of the run.
    pub run: String,
    /// UUID of the task.
    pub task: String,
    /// The step that the task is.
    pub step: String,
    /// What it did, beside the fields above.
    #[serde(flatten)]
    pub entry: JournalView,
}

/// The answer to agents' logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentLog {
    /// Oldest first.
    pub entries: Vec<AgentLogEntry>,
}

/// What was sent to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentSent {
    /// UUID of the message.
    pub message: String,
    /// UUID of the agent.
    pub agent: String,
    /// Its name.
    pub name: String,
    /// State of the agent, after it was sent.
    pub state: String,
    /// UUID of the run that was begun for it; `null` when the agent has something else to do first.
    pub run: Option<String>,
    /// The run in which it was worked on, where that was waited for.
    pub result: Option<RunDetail>,
}

/// An agent that could not be ended with the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentLeft {
    /// UUID of the agent.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// The answer to the end of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentsEnded {
    /// Those that have ended.
    pub agents: Vec<AgentSummary>,
    /// Those that have not.
    pub left: Vec<AgentLeft>,
}
