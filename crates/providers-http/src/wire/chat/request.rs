//! What is sent for one turn.

use serde::Serialize;
use serde_json::{Map, Value, json};

use fusion_providers::{Message, ToolCall, ToolSpec, TurnRequest};

use crate::options::{Quirks, Streaming, TokenLimitField};
use crate::wire::add_options;

/// Fields that a caller may add: routing, reasoning, sampling, and what local servers take.
const OPTIONS: &[&str] = &[
    "cache_control",
    "cache_prompt",
    "chat_template_kwargs",
    "frequency_penalty",
    "keep_alive",
    "logit_bias",
    "metadata",
    "min_p",
    "models",
    "parallel_tool_calls",
    "plugins",
    "presence_penalty",
    "prompt_cache_key",
    "provider",
    "reasoning",
    "reasoning_effort",
    "repeat_penalty",
    "repetition_penalty",
    "safety_identifier",
    "seed",
    "service_tier",
    "session_id",
    "stop",
    "thinking",
    "tool_choice",
    "top_a",
    "top_k",
    "top_p",
    "trace",
    "transforms",
    "user",
    "verbosity",
    "web_search_options",
];

#[derive(Debug, Serialize)]
struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
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
        tool_calls: Vec<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning_details: Option<&'a Value>,
    },
    Tool {
        tool_call_id: &'a str,
        name: &'a str,
        content: &'a str,
    },
}

/// The body of `POST /chat/completions`.
pub(super) fn body(
    request: &TurnRequest<'_>,
    quirks: &Quirks,
) -> Result<Map<String, Value>, String> {
    let system = (!request.system.is_empty()).then_some(WireMessage::System {
        content: request.system,
    });
    let (max_tokens, max_completion_tokens) = match quirks.token_limit_field {
        TokenLimitField::MaxTokens => (request.max_tokens, None),
        TokenLimitField::MaxCompletionTokens => (None, request.max_tokens),
    };
    let (stream, stream_options) = match quirks.streaming {
        Streaming::Off => (false, None),
        Streaming::On => (true, None),
        Streaming::WithUsage => (true, Some(json!({ "include_usage": true }))),
    };
    let body = ChatRequest {
        model: request.model,
        messages: system
            .into_iter()
            .chain(request.messages.iter().map(wire_message))
            .collect(),
        tools: request.tools.iter().map(|tool| wire_tool(tool)).collect(),
        max_tokens,
        max_completion_tokens,
        temperature: request.temperature,
        response_format: request.output_schema.map(response_format),
        stream,
        stream_options,
    };
    let Ok(Value::Object(mut body)) = serde_json::to_value(body) else {
        return Ok(Map::new());
    };
    add_options(&mut body, request, OPTIONS)?;
    Ok(body)
}

fn wire_message(message: &Message) -> WireMessage<'_> {
    match message {
        Message::User { text } => WireMessage::User { content: text },
        Message::Assistant {
            text,
            tool_calls,
            reasoning,
        } => {
            // Another format keeps another shape, which has neither field.
            let kept = |field: &str| reasoning.as_ref().and_then(|kept| kept.get(field));
            WireMessage::Assistant {
                content: (tool_calls.is_empty() || !text.is_empty()).then_some(text),
                tool_calls: tool_calls.iter().map(wire_call).collect(),
                reasoning: kept("reasoning"),
                reasoning_details: kept("reasoning_details"),
            }
        }
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

fn wire_call(call: &ToolCall) -> Value {
    // Several servers read the arguments of earlier calls and fail when they are not an object.
    let arguments = if call.arguments.is_object() {
        call.arguments.to_string()
    } else {
        json!({ "invalid_arguments": call.arguments }).to_string()
    };
    json!({
        "id": call.id,
        "type": "function",
        "function": { "name": call.name, "arguments": arguments },
    })
}

fn wire_tool(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}

fn response_format(schema: &Value) -> Value {
    json!({
        "type": "json_schema",
        "json_schema": { "name": "answer", "strict": is_strict(schema), "schema": schema },
    })
}

/// Whether a schema keeps the rules of strict mode, in which a server refuses any other: every
/// object names all its fields as required and allows no further ones.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let is_closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
            let required = fields.get("required").and_then(Value::as_array);
            let names_all = |properties: &Map<String, Value>| {
                properties.keys().all(|name| {
                    required.is_some_and(|required| {
                        required.iter().any(|known| known.as_str() == Some(name))
                    })
                })
            };
            let is_object = fields.get("type").is_some_and(|kind| kind == "object");
            let properties = fields.get("properties").and_then(Value::as_object);
            (!is_object || (is_closed && properties.is_some_and(names_all)))
                && fields.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
