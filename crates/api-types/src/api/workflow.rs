//! Workflows and their runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::RunSummary;

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Workflow {
    /// UUID of this version.
    pub id: String,
    /// The name that all versions share.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its graph.
    pub dag_definition: Dag,
    /// What a run takes and what it may use: `inputs` and `budget`.
    pub execution_parameters: Value,
    /// `draft`, `validating` or `ready`.
    pub state: String,
    /// When this version was stored.
    pub created_at: DateTime<Utc>,
    /// Always `null`: a run starts, not a definition.
    pub started_at: Option<DateTime<Utc>>,
    /// Always `null`: a run ends, not a definition.
    pub completed_at: Option<DateTime<Utc>>,
    /// Which messages between its agents are allowed; `null` allows all.
    pub message_flow_definitions: Option<Value>,
    /// UUID of its project.
    pub project_id: Option<String>,
    /// 1 for the first version of a name, then 2, 3.
    pub version: u32,
    /// The file as its author wrote it; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The graph of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dag {
    /// Its steps.
    pub nodes: Vec<Node>,
    /// What must end before what.
    pub edges: Vec<Edge>,
}

/// A step as a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// The step's id.
    pub id: String,
    /// The agent that does it; `null` where any with the capabilities may.
    pub agent: Option<String>,
    /// What an agent must be able to do.
    pub capabilities: Vec<String>,
    /// What is asked.
    pub prompt: String,
    /// Higher runs first.
    pub priority: i32,
}

/// `to` begins when `from` has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// A step.
    pub from: String,
    /// A step that needs it.
    pub to: String,
}

/// A page of workflows, the newest version first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowPage {
    /// The workflows.
    pub workflows: Vec<Workflow>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A definition to be stored: the text of a file, or a graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewWorkflow {
    /// The text of a workflow file, YAML or JSON. It is this or `dag_definition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub source: Option<String>,
    /// With `dag_definition`: the name that all versions share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `dag_definition`: what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `nodes`, each with the keys of a step of a workflow file, and `edges` (`from`, `to`), which say
    /// what must end before what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<NewDag>)]
    pub dag_definition: Option<Value>,
    /// With `dag_definition`: the other keys of a workflow file, such as `agents`, `inputs` and `outputs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub execution_parameters: Option<Map<String, Value>>,
    /// UUID of its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Absolute path of the folder that paths in the file begin at; only the scope `admin` may name
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,
}

/// A graph that is to be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewDag {
    /// Its steps, each with the keys of a step of a workflow file but for `needs`.
    #[schema(value_type = Vec<Object>, max_items = 10000)]
    pub nodes: Vec<Map<String, Value>>,
    /// What must end before what.
    #[serde(default)]
    #[schema(max_items = 50000)]
    pub edges: Vec<Edge>,
}

/// The next version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextVersion {
    /// The text of the workflow file, YAML or JSON, with the same name in it.
    #[schema(min_length = 1)]
    pub source: String,
    /// Absolute path of the folder that paths in the file begin at, instead of the one before; only
    /// the scope `admin` may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,
}

/// What a check of a definition found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    /// Whether it may run.
    pub valid: bool,
    /// Every fault.
    pub errors: Vec<String>,
    /// What is likely not meant; it may run all the same.
    pub warnings: Vec<String>,
}

/// What a run is started with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StartWorkflow {
    /// The inputs by name, each of the type that the workflow declares.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub inputs: Map<String, Value>,
    /// US dollars that its model calls may cost at most, as `budget` of a workflow file says it, where that
    /// is less than its file allows: `0.50`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<String>,
}

/// A run that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStarted {
    /// UUID of the run.
    pub run_id: String,
    /// UUID of the version that it runs.
    pub workflow_id: String,
    /// `ready`: its agents are made next.
    pub state: String,
}

/// How a run is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseRun {
    /// `next_step` (without it): the calls in flight are ended first; `now`: they are cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// How a run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResumeRun {
    /// US dollars that it may use in all for now, as decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<String>,
    /// Tokens that it may use in all for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// The agent whose budget is meant, or the step as `step:ID`; the run's without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_of: Option<String>,
    /// Whether steps that wait for a provider's limit are tried again at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
}

/// How a run is done again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetryRun {
    /// The step from which on everything is done again; only what is not finished without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether the newest version of the workflow is run instead of the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// How another run goes on from a step of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForkRun {
    /// The step from which on everything is done again.
    pub from: String,
    /// Inputs in the place of those that the run had.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub inputs: Map<String, Value>,
    /// Whether the newest version of the workflow is run instead of the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// Runs that were cancelled together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunsCancelled {
    /// The runs as they are now, the newest first.
    pub runs: Vec<RunSummary>,
}

/// A page of runs, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}
