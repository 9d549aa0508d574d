//! What is sent for one turn.

use serde::Serialize;
use serde_json::{Value, json};

use fusion_providers::{Message, ToolCall, ToolSpec, TurnRequest};

use crate::options::TokenLimitField;

/// The body of `POST /chat/completions`. The same turn always gives the same bytes.
#[derive(Debug, Serialize)]
pub(crate) struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum WireMessage<'a> {
    System {
        content: &'a str,
    },
    User {
        content: &'a str,
    },
    Assistant {
        /// Null beside tool calls: some vendors refuse an empty text.
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        name: &'a str,
        content: &'a str,
    },
}

#[derive(Debug, Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunction<'a>,
}

#[derive(Debug, Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: String,
}

#[derive(Debug, Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    function: WireToolSpec<'a>,
}

#[derive(Debug, Serialize)]
struct WireToolSpec<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> ChatRequest<'a> {
    pub(crate) fn new(request: &TurnRequest<'a>, limit_field: TokenLimitField) -> Self {
        let system = (!request.system.is_empty()).then_some(WireMessage::System {
            content: request.system,
        });
        let (max_tokens, max_completion_tokens) = match limit_field {
            TokenLimitField::MaxTokens => (request.max_tokens, None),
            TokenLimitField::MaxCompletionTokens => (None, request.max_tokens),
        };
        Self {
            model: request.model,
            messages: system
                .into_iter()
                .chain(request.messages.iter().map(wire_message))
                .collect(),
            tools: request.tools.iter().map(wire_tool).collect(),
            max_tokens,
            max_completion_tokens,
            temperature: request.temperature,
            stream: false,
        }
    }
}

fn wire_message(message: &Message) -> WireMessage<'_> {
    match message {
        Message::User { text } => WireMessage::User { content: text },
        Message::Assistant {
            text, tool_calls, ..
        } => WireMessage::Assistant {
            content: (tool_calls.is_empty() || !text.is_empty()).then_some(text),
            tool_calls: tool_calls.iter().map(wire_call).collect(),
        },
        Message::Tool {
            call_id,
            name,
            content,
        } => WireMessage::Tool {
            tool_call_id: call_id,
            name,
            content,
        },
    }
}

fn wire_call(call: &ToolCall) -> WireCall<'_> {
    // Several servers read the arguments of earlier calls and fail when they are not an object.
    let arguments = if call.arguments.is_object() {
        call.arguments.to_string()
    } else {
        json!({ "invalid_arguments": call.arguments }).to_string()
    };
    WireCall {
        id: &call.id,
        r#type: "function",
        function: WireFunction {
            name: &call.name,
            arguments,
        },
    }
}

fn wire_tool(tool: &ToolSpec) -> WireTool<'_> {
    WireTool {
        r#type: "function",
        function: WireToolSpec {
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.parameters,
        },
    }
}
