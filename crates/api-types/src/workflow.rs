//! Workflows as a reader sees them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::FaultView;

/// What a valid workflow file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowSummary {
    /// The workflow's name.
    pub name: String,
    /// What the file says it is for.
    pub description: Option<String>,
    /// What a run may be given, in the order of the file.
    pub inputs: Vec<InputView>,
    /// Names of its agents.
    pub agents: Vec<String>,
    /// Ids of its steps, in an order that respects their needs.
    pub steps: Vec<String>,
    /// What is likely not meant, in the order of the file; it can run all the same.
    #[serde(default)]
    pub warnings: Vec<WarningView>,
}

/// Something in a workflow file that is likely not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WarningView {
    /// The name of the rule: `unused-agent`, `unused-input`, `unused-outputs` or `useless-parallel`; more may come.
    pub rule: String,
    /// What it is and where.
    #[serde(flatten)]
    pub fault: FaultView,
}

/// An input that a workflow declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputView {
    /// Its name, as in `-i name=value`.
    pub name: String,
    /// `string`, `number`, `boolean` and so on, as the file spells it.
    pub r#type: String,
    /// A run without it is refused.
    pub required: bool,
    /// What a run gets without it.
    pub default: Option<Value>,
    /// What the file says it is for.
    pub description: Option<String>,
}

/// A version of a workflow that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredWorkflow {
    /// UUID of this version.
    pub id: String,
    /// The name that all versions share.
    pub name: String,
    /// 1 for the first version of a name, then 2, 3.
    pub version: u32,
    /// What its file says it is for.
    pub description: Option<String>,
    /// Its steps.
    pub steps: u32,
    /// When this version was stored.
    pub created_at: DateTime<Utc>,
    /// The file as its author wrote it; only where a single version is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What `workflow create` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowCreated {
    /// The version with this text.
    #[serde(flatten)]
    pub workflow: StoredWorkflow,
    /// It was not the newest version before.
    pub created: bool,
}

/// The answer to a list of workflows or of versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowList {
    /// Newest first.
    pub workflows: Vec<StoredWorkflow>,
}

/// What changed from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowDiff {
    /// The workflow.
    pub name: String,
    /// The version that it was.
    pub from: u32,
    /// The version that it is.
    pub to: u32,
    /// The lines that differ, with three around them, as `diff -u` writes them; empty when none does.
    pub diff: String,
}

/// The steps of a workflow and what needs what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowGraph {
    /// The workflow.
    pub name: String,
    /// Its steps, in an order that respects their needs.
    pub steps: Vec<GraphStep>,
}

/// A step in a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GraphStep {
    /// Its id in the workflow file.
    pub id: String,
    /// The steps that must end before it.
    pub needs: Vec<String>,
}
