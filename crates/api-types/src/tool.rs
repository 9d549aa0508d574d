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

/// The commands that programs can call as tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct McpToolList {
    /// By their names.
    pub tools: Vec<McpTool>,
}

/// A command as a client of the Model Context Protocol is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct McpTool {
    /// What a call names: the words of the command with `_` between them.
    pub name: String,
    /// What it does.
    pub description: String,
    /// It changes nothing.
    pub read_only: bool,
    /// It ends something, takes it away or writes over it.
    pub destructive: bool,
    /// JSON Schema of its input.
    pub input_schema: Value,
}
