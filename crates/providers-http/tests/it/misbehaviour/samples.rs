//! One answer in each wire format, streamed and in one piece, and the turn that it is.

use std::sync::OnceLock;

use fusion_core::{Cost, Usage};
use fusion_providers::{CostSource, FinishReason, ToolCall, Turn, estimate_usage};
use fusion_providers_http::{Options, vendor};
use serde_json::{Value, json};

use crate::support::{greeting, request};

/// What the model says: characters of one to four bytes.
const TEXT: &str = "Grüße an die 世界! 🌍 Done.";

/// An answer in one wire format.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    /// The events of the stream, each with the blank line behind it.
    pub(crate) events: Vec<String>,
    /// How many of them it takes to know how the answer ended.
    pub(crate) events_to_finish: usize,
    /// The answer in one piece.
    pub(crate) whole: String,
    /// An error as an event.
    pub(crate) error_event: String,
    /// An event that stands for nothing.
    pub(crate) idle_event: String,
    /// So many of them that no turn has as many parts.
    pub(crate) many_parts: String,
    turn: Turn,
    /// The same, when the stream ended before the usage came.
    turn_without_usage: Turn,
}

impl Sample {
    pub(crate) fn options(&self, server: &str) -> Options {
        let vendor = vendor(self.name).unwrap();
        Options::of(
            vendor,
            Some(format!("{server}/v1")),
            Some("a-long-enough-key".into()),
        )
    }

    pub(crate) fn is_whole(&self, turn: &Turn) -> bool {
        *turn == self.turn || *turn == self.turn_without_usage
    }

    /// The whole stream.
    pub(crate) fn stream(&self) -> String {
        self.events.concat()
    }
}

fn calls() -> Vec<ToolCall> {
    let call = |id: &str, path: &str| ToolCall {
        id: id.into(),
        name: "read_file".into(),
        arguments: json!({"path": path}),
    };
    vec![call("c1", "ä.txt"), call("c2", "b.txt")]
}

fn turn(reasoning: Value, cost: Option<i64>) -> Turn {
    Turn {
        text: TEXT.into(),
        tool_calls: calls(),
        reasoning: Some(reasoning),
        finish_reason: FinishReason::ToolCalls,
        usage: Usage {
            turns: 1,
            input_tokens: 17,
            output_tokens: 9,
            cost: Cost::from_picos(cost.unwrap_or_default()),
        },
        tokens_are_estimated: false,
        cost_source: match cost {
            Some(_) => CostSource::Provider,
            None => CostSource::Unknown,
        },
        served_by: None,
        model: "tiny-2".into(),
        generation_id: Some("gen-1".into()),
    }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn chunk(delta: &Value, finish: &Value) -> String {
    data(&json!({
        "id": "gen-1", "object": "chat.completion.chunk", "model": "tiny-2",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]
    }))
}

fn usage() -> Value {
    json!({"prompt_tokens": 17, "completion_tokens": 9, "cost": 0.000_25})
}

/// The events, and how many of them it takes to the finish.
fn chat_events() -> (Vec<String>, usize) {
    let call =
        |index: u64, fields: Value| json!({"tool_calls": [{"index": index, "function": fields}]});
    let named = |index: u64, id: &str| {
        json!({"tool_calls": [{
            "index": index, "id": id, "type": "function",
            "function": {"name": "read_file", "arguments": ""}
        }]})
    };
    let pieces = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning": "hm, "}),
        json!({"reasoning": "so"}),
        json!({"content": "Grüße an "}),
        json!({"content": "die 世界! 🌍"}),
        json!({"content": " Done."}),
        named(0, "c1"),
        named(1, "c2"),
        call(0, json!({"arguments": "{\"path\": "})),
        call(1, json!({"arguments": "{\"path\": \"b"})),
        call(0, json!({"arguments": "\"ä.txt\"}"})),
        call(1, json!({"arguments": ".txt\"}"})),
    ];
    let mut events: Vec<String> = pieces
        .into_iter()
        .map(|piece| chunk(&piece, &Value::Null))
        .collect();
    events.push(chunk(&json!({}), &json!("tool_calls")));
    let events_to_finish = events.len();
    events.push(data(
        &json!({"id": "gen-1", "model": "tiny-2", "choices": [], "usage": usage()}),
    ));
    events.push("data: [DONE]\n\n".into());
    (events, events_to_finish)
}

/// Chat completions.
pub(crate) fn chat() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (events, events_to_finish) = chat_events();
        let wire_calls: Vec<Value> = calls()
            .into_iter()
            .map(|call| json!({"id": call.id, "type": "function", "function": {
                "name": call.name, "arguments": call.arguments.to_string()
            }}))
            .collect();
        let whole = json!({
            "id": "gen-1", "model": "tiny-2", "usage": usage(),
            "choices": [{"finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": TEXT, "reasoning": "hm, so", "tool_calls": wire_calls
            }}]
        });
        let many: Vec<Value> = (0..300)
            .map(|index| json!({"index": index, "id": index.to_string(), "function": {"name": "x"}}))
            .collect();
        let turn = turn(json!({"reasoning": "hm, so"}), Some(250_000_000));
        Sample {
            name: "openrouter",
            events,
            events_to_finish,
            whole: whole.to_string(),
            error_event: data(&json!({
                "id": "gen-1", "error": {"code": 502, "message": "the provider went away"},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
            })),
            idle_event: data(&json!({"id": "gen-1", "debug": {}, "choices": []})),
            many_parts: chunk(&json!({"tool_calls": many}), &Value::Null),
            turn_without_usage: Turn {
                usage: estimate_usage(&request(&greeting()), TEXT, &calls()),
                tokens_are_estimated: true,
                cost_source: CostSource::Unknown,
                ..turn.clone()
            },
            turn,
        }
    })
}

fn event(value: &Value) -> String {
    let name = value["type"].as_str().unwrap();
    format!("event: {name}\n{}", data(value))
}

fn start_block(index: u64, block: &Value) -> String {
    event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn message_events() -> Vec<String> {
    let piece = |index: u64, delta: Value| {
        event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let stop = |index: u64| event(&json!({"type": "content_block_stop", "index": index}));
    let text = |text: &str| piece(1, json!({"type": "text_delta", "text": text}));
    let input = |index: u64, text: &str| {
        piece(
            index,
            json!({"type": "input_json_delta", "partial_json": text}),
        )
    };
    let called = |id: &str| json!({"type": "tool_use", "id": id, "name": "read_file", "input": {}});
    vec![
        event(&json!({"type": "message_start", "message": {
            "id": "gen-1", "type": "message", "role": "assistant", "model": "tiny-2", "content": [],
            "stop_reason": null, "usage": {"input_tokens": 10, "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 3, "output_tokens": 1}
        }})),
        start_block(
            0,
            &json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        event(&json!({"type": "ping"})),
        piece(0, json!({"type": "thinking_delta", "thinking": "hm, "})),
        piece(0, json!({"type": "thinking_delta", "thinking": "so"})),
        piece(0, json!({"type": "signature_delta", "signature": "Sig=="})),
        stop(0),
        start_block(1, &json!({"type": "text", "text": ""})),
        text("Grüße an "),
        text("die 世界! 🌍"),
        text(" Done."),
        stop(1),
        start_block(2, &called("c1")),
        input(2, "{\"path\": "),
        input(2, "\"ä.txt\"}"),
        stop(2),
        start_block(3, &called("c2")),
        input(3, "{\"path\": \"b.txt\"}"),
        stop(3),
        event(
            &json!({"type": "message_delta", "usage": {"output_tokens": 9},
            "delta": {"stop_reason": "tool_use", "stop_sequence": null}}),
        ),
        event(&json!({"type": "message_stop"})),
    ]
}

/// Anthropic's Messages.
pub(crate) fn messages() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let events = message_events();
        let mut content = vec![
            json!({"type": "thinking", "thinking": "hm, so", "signature": "Sig=="}),
            json!({"type": "text", "text": TEXT}),
        ];
        content.extend(calls().into_iter().map(|call| {
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
        }));
        let whole = json!({
            "id": "gen-1", "type": "message", "model": "tiny-2", "content": content,
            "stop_reason": "tool_use", "usage": {"input_tokens": 17, "output_tokens": 9}
        });
        let turn = turn(Value::Array(content), None);
        Sample {
            name: "anthropic",
            events_to_finish: events.len() - 1,
            events,
            whole: whole.to_string(),
            error_event: event(&json!({"type": "error", "error": {
                "type": "overloaded_error", "message": "Overloaded"
            }})),
            idle_event: event(&json!({"type": "news", "text": "something to come"})),
            many_parts: (0..1100)
                .map(|index| start_block(index, &json!({"type": "text", "text": ""})))
                .collect(),
            turn_without_usage: turn.clone(),
            turn,
        }
    })
}
