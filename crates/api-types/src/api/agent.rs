//! Agents, what they did and what they used.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::UsageView;

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `spawning`, `idle`, `working`, `paused`, `error` or `terminated`.
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The last sign of progress.
    pub last_heartbeat: Option<DateTime<Utc>>,
    /// Absolute path of its own directory; empty where its run was imported: that is elsewhere.
    pub workspace_path: String,
    /// Name of the provider it speaks to.
    pub provider: String,
    /// UUID of the stored provider; `null` for one that needs no row.
    pub provider_id: Option<String>,
    /// The model, in the provider's own spelling.
    pub model_name: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Free JSON object.
    pub metadata: Value,
    /// Topic patterns it listens to.
    pub message_subscriptions: Vec<String>,
    /// UUID of its project.
    pub project_id: Option<String>,
    /// UUID of the run that spawned it.
    pub run_id: Option<String>,
}

/// A page of agents, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentPage {
    /// The agents.
    pub agents: Vec<Agent>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// An agent to be spawned: it lives outside of runs until it is ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewAgent {
    /// 1 to 255 letters, digits, `_`, `-` or `.`.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it can do; names of the registry, where there is one.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// UUID of a stored provider; the project's own without it.
    #[serde(default)]
    pub provider_id: Option<String>,
    /// Name of a provider, instead of `provider_id`: also one that needs no row.
    #[serde(default)]
    pub provider: Option<String>,
    /// The model, in the provider's own spelling.
    pub model_name: String,
    /// UUID of its project.
    #[serde(default)]
    pub project_id: Option<String>,
    /// Its system prompt.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Groups of tools that it may use, such as `files`.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Hosts that its tools may read pages from.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Model calls in one task before it fails.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// US dollars that it may spend over its life, as decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<String>,
    /// What it works in at first; an empty directory without it.
    #[serde(default)]
    pub workspace: Option<NewWorkspace>,
    /// Absolute path of the folder of the server that a relative path of a script or a workspace begins
    /// at; for administrators.
    #[serde(default)]
    pub base_dir: Option<String>,
    /// Free JSON object.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Option<Value>,
}

/// What an agent works in at first; naming a folder of the server is for administrators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewWorkspace {
    /// `directory` or `worktree`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For `directory`: the folder that is copied into it.
    #[serde(default)]
    pub template: Option<String>,
    /// For `worktree`: the folder of the git repository.
    #[serde(default)]
    pub repository: Option<String>,
    /// For `worktree`: a branch, a tag or a commit; without it what is checked out there.
    #[serde(default)]
    pub revision: Option<String>,
}

/// Agents that are alike, to be spawned together: all of them, or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewAgents {
    /// What each of them is; `-1`, `-2` and so on is added to the name.
    pub agent: NewAgent,
    /// How many.
    #[schema(minimum = 1, maximum = 1000)]
    pub count: u32,
}

/// Agents that were spawned together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentsMade {
    /// In the order of their numbers.
    pub agents: Vec<Agent>,
}

/// The same to be done with several agents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkAgents {
    /// `pause`, `resume`, `restart` or `terminate`.
    pub action: String,
    /// UUIDs of the agents.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub ids: Vec<String>,
    /// Every living agent that belongs to no run, instead of `ids`.
    #[serde(default)]
    pub all: Option<bool>,
    /// For `pause` and `restart`: `now` or `next_step`.
    #[serde(default)]
    pub at: Option<String>,
    /// For `terminate`: what becomes of the directories: `keep`, `archive` or `remove`.
    #[serde(default)]
    pub workspace: Option<String>,
    /// For `terminate`: only agents that are in one of these states as they end; others are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub if_state: Vec<String>,
}

/// What came of it, in the order in which it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkAnswer {
    /// One for each agent.
    pub results: Vec<BulkResult>,
}

/// What came of it with one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkResult {
    /// UUID of the agent.
    pub id: String,
    /// As it is now; `null` where there is none.
    pub agent: Option<Agent>,
    /// Why it was not done; `null` where it was.
    pub error: Option<String>,
}

/// What is to be done with an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentAction {
    /// `pause`, `resume`, `restart` or `update_config`.
    pub action: String,
    /// For `pause` and `restart`: when it takes effect.
    #[serde(default)]
    pub at: Option<String>,
    /// For `update_config`: what is to change; what is left out stays.
    #[serde(default)]
    pub config: Option<AgentConfig>,
}

/// What an agent works with, from its next task on; a limit holds from its next call on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentConfig {
    /// Name of a provider.
    #[serde(default)]
    pub provider: Option<String>,
    /// The model, in the provider's own spelling.
    #[serde(default)]
    pub model_name: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Its system prompt.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Groups of tools that it may use.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Model calls in one task before it fails.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// US dollars that it may spend over its life, as decimal text: all that it ever spent counts, also
    /// without a limit. `none` takes the limit away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<String>,
    /// Absolute path of the folder of the server that a relative path of a script begins at; for
    /// administrators.
    #[serde(default)]
    pub base_dir: Option<String>,
    /// Members of its metadata; `null` removes one.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Option<Value>,
}

/// What an agent did, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentLogs {
    /// Model turns, tool calls, checks and messages that it read.
    pub logs: Vec<LogEntry>,
}

/// One effect of one task of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// UUID.
    pub id: String,
    /// UUID of the task.
    pub task_id: String,
    /// UUID of the task's run.
    pub run_id: String,
    /// The step that the task is.
    pub step: String,
    /// Place in the task's journal: 1, 2, 3.
    pub seq: u32,
    /// `turn`, `tool`, `check` or `inbox`.
    pub kind: String,
    /// The model, the tool, `verify` or `messages`.
    pub name: String,
    /// `started`, `finished` or `unknown`.
    pub state: String,
    /// What a repeat would do: `read`, `model_turn`, `confined_write` or `once`.
    pub effect: String,
    /// The intent, such as the arguments of a tool call.
    pub request: Value,
    /// What came of it, once that is known.
    pub outcome: Option<Value>,
    /// How often it was started: above 1 after a crash.
    pub attempts: u32,
    /// Tokens read and written, for turns.
    pub tokens: u64,
    /// US dollars as decimal text, for turns.
    pub cost_usd: String,
    /// The same in full.
    pub usage: UsageView,
    /// When the intent was written.
    pub started_at: DateTime<Utc>,
    /// When the outcome was written.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What an agent used, the newest sample first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentMetrics {
    /// The samples.
    pub metrics: Vec<MetricsSample>,
}

/// One sample of an agent's use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsSample {
    /// UUID.
    pub id: String,
    /// UUID of the agent.
    pub agent_id: String,
    /// When it was taken.
    pub timestamp: DateTime<Utc>,
    /// 100 is one core fully used.
    pub cpu_percent: f64,
    /// Resident memory, MiB.
    pub memory_mb: f64,
    /// Read since the last sample, MiB.
    pub disk_io_read_mb: f64,
    /// Written since the last sample, MiB.
    pub disk_io_write_mb: f64,
    /// Provider calls since the last sample.
    pub api_calls_count: u64,
    /// The provider called.
    pub api_provider: Option<String>,
    /// Tokens since the last sample.
    pub api_tokens_used: u64,
    /// US dollars since the last sample, as decimal text.
    pub api_cost_usd: String,
    /// How many samples it stands for: 1, or those of a step of time. Of these, `cpu_percent` is the average,
    /// `memory_mb` the most, `api_provider` the one that was called last, `timestamp` the beginning of the step,
    /// `id` that of the newest; the rest is the sum.
    #[serde(default = "one")]
    pub samples: u32,
}

/// What a server says that knows no steps.
const fn one() -> u32 {
    1
}
