//! What is sent for one turn.

use serde_json::{Map, Value, json};

use fusion_providers::{Message, ToolCall, TurnRequest};

use crate::options::{Quirks, Streaming};
use crate::prompted::ANSWER_TOOL;
use crate::wire::add_options;

/// The format wants a limit; every model of the last years can write so much.
const MAX_TOKENS: u64 = 8_192;

/// The format ends at 1 where others go to 2.
const MAX_TEMPERATURE: f64 = 1.0;

/// Fields that a caller may add.
const OPTIONS: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "mcp_servers",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "thinking",
    "tool_choice",
    "top_k",
    "top_p",
];

/// The body of `POST /messages`.
pub(super) fn body(
    request: &TurnRequest<'_>,
    quirks: &Quirks,
    max_output: Option<u64>,
) -> Result<Map<String, Value>, String> {
    let limit = request.max_tokens.map(u64::from);
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", request.model.into());
    set(
        "max_tokens",
        limit.or(max_output).unwrap_or(MAX_TOKENS).into(),
    );
    set("messages", messages(request.messages).into());
    set("stream", (quirks.streaming != Streaming::Off).into());
    if !request.system.is_empty() {
        set("system", request.system.into());
    }
    if let Some(temperature) = request.temperature {
        set("temperature", temperature.min(MAX_TEMPERATURE).into());
    }
    let mut tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.parameters,
            })
        })
        .collect();
    if let Some(schema) = request.output_schema {
        tools.push(json!({
            "name": ANSWER_TOOL,
            "description": "Takes the answer.",
            "input_schema": schema,
        }));
        set(
            "tool_choice",
            json!({ "type": "tool", "name": ANSWER_TOOL }),
        );
    }
    if !tools.is_empty() {
        set("tools", tools.into());
    }
    add_options(&mut body, request, OPTIONS)?;
    Ok(body)
}

/// The conversation with turns that alternate: what follows one another on one side is one message,
/// the results of tools first.
fn messages(conversation: &[Message]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in conversation {
        let (role, blocks) = match message {
            Message::User { text } => ("user", text_block(text)),
            Message::Tool {
                call_id, content, ..
            } => (
                "user",
                vec![json!({
                    "type": "tool_result", "tool_use_id": call_id, "content": content,
                })],
            ),
            Message::Assistant {
                text,
                tool_calls,
                reasoning,
            } => ("assistant", spoken(text, tool_calls, reasoning.as_ref())),
        };
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some((last, open)) if *last == role => open.extend(blocks),
            Some(_) | None => turns.push((role, blocks)),
        }
    }
    turns
        .into_iter()
        .map(|(role, mut blocks)| {
            blocks.sort_by_key(|block| {
                role == "user" && block.get("type") != Some(&Value::from("tool_result"))
            });
            json!({ "role": role, "content": blocks })
        })
        .collect()
}

/// A turn as it was, where it was kept; another format keeps another shape.
fn spoken(text: &str, calls: &[ToolCall], reasoning: Option<&Value>) -> Vec<Value> {
    if let Some(Value::Array(blocks)) = reasoning {
        return blocks.clone();
    }
    let mut blocks = text_block(text);
    blocks.extend(calls.iter().map(|call| {
        let input = if call.arguments.is_object() {
            call.arguments.clone()
        } else {
            json!({ "invalid_arguments": call.arguments })
        };
        json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
    }));
    blocks
}

/// An empty text is refused.
fn text_block(text: &str) -> Vec<Value> {
    if text.trim().is_empty() {
        return vec![];
    }
    vec![json!({ "type": "text", "text": text })]
}
