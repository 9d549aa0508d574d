//! Workflows as a reader sees them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a valid workflow file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

/// An input that a workflow declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
