//! What `tool` answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The tools that agents can be given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolList {
    /// By group, in the order in which a model is told of them.
    pub tools: Vec<ToolView>,
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolView {
    /// What a call names.
    pub name: String,
    /// What a workflow file names under `tools`.
    pub group: String,
    /// What a repeat of a call would do.
    pub effect: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolAnswer {
    /// Whether it did what was asked.
    pub ok: bool,
    /// What a model would read.
    pub content: String,
    /// Exit code of a command that ended by itself.
    pub exit_code: Option<i32>,
}
