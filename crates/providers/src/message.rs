//! What a conversation with a model consists of.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool as the model is told about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// The name to call it by: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of its arguments, of type object.
    pub parameters: Value,
}

/// The model's wish to have a tool run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Joins the call and its result. Unique in its turn.
    pub id: String,
    /// Name of the tool, as the model wrote it: it may not exist.
    pub name: String,
    /// As the model wrote them: they may not fit the schema. Arguments that are not JSON at all
    /// arrive as one string with the raw text, so that the runtime can tell the model.
    pub arguments: Value,
}

impl ToolCall {
    /// The id of a call that came without one: the same at every replay of the turn.
    #[must_use]
    pub fn made_up_id(turn: u32, index: usize) -> String {
        format!("call_{turn}_{index}")
    }
}

/// One message of a conversation. The system prompt is not one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// From the person or the workflow.
    User {
        /// What is asked.
        text: String,
    },
    /// An earlier turn of the model.
    Assistant {
        /// What it said; empty when it only called tools.
        text: String,
        /// What it called.
        tool_calls: Vec<ToolCall>,
        /// [`crate::Turn::reasoning`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reasoning: Option<Value>,
    },
    /// The result of one call of the turn before.
    Tool {
        /// The call it answers.
        call_id: String,
        /// Name of the tool.
        name: String,
        /// What the model gets to read.
        content: String,
    },
}
