//! Tokens by rule of thumb, for providers that do not tell.

use fusion_core::{Cost, Usage};

use crate::{Message, ToolCall, TurnRequest};

const CHARS_PER_TOKEN: u64 = 4;

/// The usage of one turn, estimated: four characters of what was sent or answered are a token,
/// rounded up. The cost is zero.
#[must_use]
pub fn estimate_usage(request: &TurnRequest<'_>, text: &str, tool_calls: &[ToolCall]) -> Usage {
    let tools = request.tools.iter().map(|tool| {
        chars(&tool.name) + chars(&tool.description) + chars(&tool.parameters.to_string())
    });
    let messages = request.messages.iter().map(|message| match message {
        Message::User { text } => chars(text),
        Message::Assistant {
            text, tool_calls, ..
        } => spoken(text, tool_calls),
        Message::Tool { name, content, .. } => chars(name) + chars(content),
    });
    let sent = chars(request.system) + tools.sum::<u64>() + messages.sum::<u64>();
    Usage {
        turns: 1,
        input_tokens: sent.div_ceil(CHARS_PER_TOKEN),
        output_tokens: spoken(text, tool_calls).div_ceil(CHARS_PER_TOKEN),
        cost: Cost::ZERO,
    }
}

fn spoken(text: &str, tool_calls: &[ToolCall]) -> u64 {
    let calls = tool_calls
        .iter()
        .map(|call| chars(&call.name) + chars(&call.arguments.to_string()));
    chars(text) + calls.sum::<u64>()
}

fn chars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use fusion_core::{Cost, Usage};
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
                tools: &[ToolSpec {
                    name: "read".into(),
                    description: "d".into(),
                    parameters: json!({}),
                }],
                output_schema: None,
                max_tokens: None,
                temperature: None,
                options: None,
                place: TurnPlace {
                    step: "s",
                    turn: 1,
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
