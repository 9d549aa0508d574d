//! Tokens by rule of thumb, for providers that do not tell.

use fusion_core::{Cost, Usage};

use crate::{Message, ToolCall, TurnRequest};

const CHARS_PER_TOKEN: u64 = 4;

/// Tokens around one message or tool, at most.
const FRAME: u64 = 32;

/// The usage of one turn, estimated: four characters of what was sent or answered are a token,
/// rounded up. The cost is zero.
#[must_use]
pub fn estimate_usage(request: &TurnRequest<'_>, text: &str, tool_calls: &[ToolCall]) -> Usage {
    Usage {
        turns: 1,
        input_tokens: estimate_input(request),
        output_tokens: spoken(text, tool_calls, chars).div_ceil(CHARS_PER_TOKEN),
        cost: Cost::ZERO,
    }
}

/// The tokens of what is sent, estimated as in [`estimate_usage`].
#[must_use]
pub fn estimate_input(request: &TurnRequest<'_>) -> u64 {
    sent(request, chars).div_ceil(CHARS_PER_TOKEN)
}

/// More tokens than what is sent can have: no tokenizer in use makes more tokens than bytes, and
/// each message and tool is framed by a few more.
#[must_use]
pub fn most_input(request: &TurnRequest<'_>) -> u64 {
    let frames = request.messages.len() + request.tools.len() + 1;
    let schema = request
        .output_schema
        .map_or(0, |schema| bytes(&schema.to_string()));
    let framing = FRAME.saturating_mul(u64::try_from(frames).unwrap_or(u64::MAX));
    sent(request, bytes)
        .saturating_add(schema)
        .saturating_add(framing)
}

fn sent(request: &TurnRequest<'_>, measure: fn(&str) -> u64) -> u64 {
    let tools = request.tools.iter().map(|tool| {
        measure(&tool.name) + measure(&tool.description) + measure(&tool.parameters.to_string())
    });
    let messages = request.messages.iter().map(|message| match message {
        Message::User { text } => measure(text),
        Message::Assistant {
            text, tool_calls, ..
        } => spoken(text, tool_calls, measure),
        Message::Tool { name, content, .. } => measure(name) + measure(content),
    });
    measure(request.system) + tools.sum::<u64>() + messages.sum::<u64>()
}

fn spoken(text: &str, tool_calls: &[ToolCall], measure: fn(&str) -> u64) -> u64 {
    let calls = tool_calls
        .iter()
        .map(|call| measure(&call.name) + measure(&call.arguments.to_string()));
    measure(text) + calls.sum::<u64>()
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn chars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use fusion_core::{Cost, Usage};
    use std::sync::Arc;

    use serde_json::json;

    use super::estimate_usage;
    use crate::{Message, ToolCall, ToolSpec, TurnPlace, TurnRequest};

    #[test]
    fn every_part_that_is_sent_or_answered_counts_by_characters_not_bytes() {
        let call = ToolCall {
            id: "c".into(),
            name: "read".into(),
            arguments: json!({"p": 1}),
        };
        let usage = estimate_usage(
            &TurnRequest {
                model: "m",
                system: "äöüß",
                messages: &[
                    Message::User { text: "ab".into() },
                    Message::Assistant {
                        text: "c".into(),
                        tool_calls: vec![call.clone()],
                        reasoning: None,
                    },
                    Message::Tool {
                        call_id: "c".into(),
                        name: "read".into(),
                        content: "x".into(),
                    },
                ],
                tools: &[Arc::new(ToolSpec {
                    name: "read".into(),
                    description: "d".into(),
                    parameters: json!({}),
                })],
                output_schema: None,
                max_tokens: None,
                temperature: None,
                options: None,
                may_wait: true,
                place: TurnPlace {
                    run: "run",
                    task: "task",
                    step: "s",
                    turn: 1,
                    agent: "a",
                    key: "k",
                },
            },
            "hello",
            &[call],
        );
        // Sent: 4 system, 2 user, 1 + 4 + 7 assistant, 4 + 1 tool, 4 + 1 + 2 specification = 30.
        assert_eq!(
            usage,
            Usage {
                turns: 1,
                input_tokens: 8,
                output_tokens: 4,
                cost: Cost::ZERO
            }
        );
    }
}
