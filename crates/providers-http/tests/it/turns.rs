use std::sync::Arc;

use fusion_core::{Cost, Usage};
use fusion_providers::{
    CostSource, FinishReason, Message, NoDeltas, Provider, ToolCall, ToolSpec, Turn, TurnRequest,
};
use fusion_providers_http::{Options, Quirks, TokenLimitField};
use serde_json::{Value, json};

use crate::support::{answering, ask, client, client_with, greeting, ok, request};

/// The turn that comes of this answer.
async fn turn(answer: &Value) -> Turn {
    let server = answering(ok(answer)).await;
    ask(&client(&server.uri())).await.unwrap()
}

/// The turn that comes of this message and finish reason.
async fn turn_of(message: &Value, finish_reason: &Value) -> Turn {
    turn(&json!({"choices": [{"message": message, "finish_reason": finish_reason}]})).await
}

/// The headers and the body that are sent for this request.
async fn sent(limit: TokenLimitField, request: &TurnRequest<'_>) -> (wiremock::Request, Value) {
    let server = answering(ok(&json!({"choices": [{"message": {"content": "x"}}]}))).await;
    let url = format!("{}/v1/", server.uri());
    let client = client_with(Options {
        quirks: Quirks {
            token_limit_field: limit,
            ..Quirks::PLAIN
        },
        ..Options::openai_compatible(url, Some("the-secret-key".into()))
    });
    client.send_message(request, &NoDeltas).await.unwrap();
    let request = server.received_requests().await.unwrap().remove(0);
    let body = serde_json::from_slice(&request.body).unwrap();
    (request, body)
}

#[tokio::test]
async fn a_whole_answer_becomes_a_whole_turn() {
    let turn = turn(&json!({
        "id": "gen-17",
        "object": "chat.completion",
        "model": "vendor/tiny-2",
        "provider": "Someone",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there", "refusal": null, "reasoning": "hm"},
            "finish_reason": "stop",
            "native_finish_reason": "eos"
        }],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "cost": 0.000_423_5,
            "is_byok": false,
            "prompt_tokens_details": {"cached_tokens": 0}
        }
    }))
    .await;
    assert_eq!(
        turn,
        Turn {
            text: "Hi there".into(),
            tool_calls: vec![],
            finish_reason: FinishReason::Stop,
            usage: Usage {
                turns: 1,
                input_tokens: 12,
                output_tokens: 3,
                cost: Cost::from_picos(423_500_000),
            },
            reasoning: Some(json!({"reasoning": "hm"})),
            tokens_are_estimated: false,
            cost_source: CostSource::Provider,
            served_by: None,
            model: "vendor/tiny-2".into(),
            generation_id: Some("gen-17".into()),
        }
    );
}

/// One call that is right, one with arguments that are not JSON, one result.
fn conversation() -> [Message; 4] {
    [
        Message::User {
            text: "List the files.".into(),
        },
        Message::Assistant {
            text: String::new(),
            tool_calls: vec![
                ToolCall {
                    id: "c1".into(),
                    name: "list_files".into(),
                    arguments: json!({"path": "."}),
                },
                ToolCall {
                    id: "c2".into(),
                    name: "list_files".into(),
                    arguments: Value::String("{path:".into()),
                },
            ],
            reasoning: None,
        },
        Message::Tool {
            call_id: "c1".into(),
            name: "list_files".into(),
            content: "a.txt".into(),
        },
        Message::Assistant {
            text: "One file.".into(),
            tool_calls: vec![],
            reasoning: None,
        },
    ]
}

#[tokio::test]
async fn a_request_is_sent_as_the_format_wants_it() {
    let messages = conversation();
    let tools = [Arc::new(ToolSpec {
        name: "list_files".into(),
        description: "Lists files.".into(),
        parameters: json!({"type": "object"}),
    })];
    let turn = TurnRequest {
        tools: &tools,
        max_tokens: Some(50),
        temperature: Some(0.5),
        ..request(&messages)
    };
    let (request, body) = sent(TokenLimitField::MaxTokens, &turn).await;
    assert_eq!(
        body,
        json!({
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "List the files."},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function",
                     "function": {"name": "list_files", "arguments": "{\"path\":\".\"}"}},
                    {"id": "c2", "type": "function",
                     "function": {"name": "list_files",
                                  "arguments": "{\"invalid_arguments\":\"{path:\"}"}}
                ]},
                {"role": "tool", "tool_call_id": "c1", "name": "list_files", "content": "a.txt"},
                {"role": "assistant", "content": "One file."}
            ],
            "tools": [{"type": "function", "function": {
                "name": "list_files", "description": "Lists files.", "parameters": {"type": "object"}
            }}],
            "max_tokens": 50,
            "temperature": 0.5,
            "stream": true,
            "stream_options": {"include_usage": true}
        })
    );
    let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("authorization"), "Bearer the-secret-key");
    assert_eq!(header("idempotency-key"), "turn-key");
}

#[tokio::test]
async fn what_is_not_given_is_not_sent() {
    let messages = greeting();
    let turn = TurnRequest {
        system: "",
        max_tokens: Some(9),
        ..request(&messages)
    };
    let (_, body) = sent(TokenLimitField::MaxCompletionTokens, &turn).await;
    assert_eq!(
        body,
        json!({
            "model": "tiny",
            "messages": [{"role": "user", "content": "Hello"}],
            "max_completion_tokens": 9,
            "stream": true,
            "stream_options": {"include_usage": true}
        })
    );
}

#[tokio::test]
async fn tool_calls_are_read_in_all_the_forms_that_servers_use() {
    let message = json!({"content": null, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "one", "arguments": "{\"n\":1}"}},
        {"function": {"name": "two", "arguments": {"n": 2}}},
        {"id": "a", "function": {"name": "three", "arguments": ""}},
        {"id": 7, "function": {"name": "four"}},
        {"id": "", "function": {"name": "five", "arguments": "{\"n\":"}},
        {"id": "b"}
    ]});
    let turn = turn_of(&message, &json!("stop")).await;
    let call = |id: &str, name: &str, arguments: Value| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
    };
    assert_eq!(
        turn.tool_calls,
        [
            call("a", "one", json!({"n": 1})),
            call("call_3_1", "two", json!({"n": 2})),
            call("call_3_2", "three", json!({})),
            call("7", "four", json!({})),
            call("call_3_4", "five", json!("{\"n\":")),
            call("b", "", json!({})),
        ]
    );
    assert_eq!(turn.finish_reason, FinishReason::ToolCalls);
    assert_eq!(turn.text, "");
}

#[tokio::test]
async fn the_finish_reason_follows_the_content_where_the_word_does_not_fit() {
    let text = json!({"content": "x"});
    let call = json!({"tool_calls": [{"function": {"name": "one"}}]});
    let refusal = json!({"content": null, "refusal": "I won't."});
    let cases = [
        (&text, json!("stop"), FinishReason::Stop),
        (&text, json!("tool_calls"), FinishReason::Stop),
        (&text, json!("length"), FinishReason::Length),
        (&text, json!("content_filter"), FinishReason::ContentFilter),
        (&text, json!("eos_token"), FinishReason::Stop),
        (&text, json!(null), FinishReason::Stop),
        (&call, json!("stop"), FinishReason::ToolCalls),
        (&call, json!(null), FinishReason::ToolCalls),
        (&call, json!("length"), FinishReason::Length),
        (&refusal, json!("stop"), FinishReason::ContentFilter),
    ];
    for (message, word, expected) in cases {
        let turn = turn_of(message, &word).await;
        assert_eq!(turn.finish_reason, expected, "{message} {word}");
    }
    assert_eq!(turn_of(&refusal, &json!("stop")).await.text, "I won't.");
}

#[tokio::test]
async fn a_content_of_parts_is_joined() {
    let message = json!({"content": [
        {"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}
    ]});
    assert_eq!(turn_of(&message, &json!("stop")).await.text, "one two");
}

#[tokio::test]
async fn tokens_that_are_not_told_are_estimated_and_the_cost_is_unknown() {
    let turn = turn_of(&json!({"content": "12345678"}), &json!("stop")).await;
    assert_eq!(
        (
            turn.usage,
            (turn.tokens_are_estimated, turn.cost_source),
            turn.model.as_str(),
            turn.generation_id
        ),
        (
            Usage {
                turns: 1,
                // "Be short." and "Hello": 14 characters.
                input_tokens: 4,
                output_tokens: 2,
                cost: Cost::ZERO,
            },
            (true, CostSource::Unknown),
            "tiny",
            None
        )
    );
}

#[tokio::test]
async fn a_cost_is_exact_to_its_last_digit_and_nonsense_is_no_cost() {
    // As raw text: a JSON value of this test would round it.
    let cases = [
        ("0.123456789012", Some(123_456_789_012)),
        ("1.5e-7", Some(150_000)),
        ("\"0.25\"", Some(250_000_000_000)),
        ("0", Some(0)),
        ("-1", None),
        ("null", None),
        ("1e40", None),
        ("\"free\"", None),
    ];
    for (cost, picos) in cases {
        let body = format!(
            r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{{"prompt_tokens":null,"cost":{cost}}}}}"#
        );
        let answer = wiremock::ResponseTemplate::new(200).set_body_raw(body, "application/json");
        let server = answering(answer).await;
        let turn = ask(&client(&server.uri())).await.unwrap();
        assert_eq!(
            (turn.cost_source == CostSource::Provider).then_some(turn.usage.cost.picos()),
            picos,
            "{cost}"
        );
    }
}

#[tokio::test]
async fn rows_38_to_47_an_answer_means_what_its_content_says() {
    use FinishReason::{ContentFilter, Length, Stop, ToolCalls};
    let call = json!({"function": {"name": "one", "arguments": "{}"}});
    let broken = json!({"id": "a", "function": {"name": "one", "arguments": "{\"n\":"}});
    let cases = [
        (
            "39",
            json!({"content": "half of"}),
            "length",
            ("half of", 0, Length),
        ),
        (
            "40",
            json!({"content": "no"}),
            "content_filter",
            ("no", 0, ContentFilter),
        ),
        (
            "40",
            json!({"refusal": "I won't"}),
            "stop",
            ("I won't", 0, ContentFilter),
        ),
        (
            "41",
            json!({"content": "x", "tool_calls": [call]}),
            "stop",
            ("x", 1, ToolCalls),
        ),
        (
            "42",
            json!({"tool_calls": [broken]}),
            "tool_calls",
            ("", 1, ToolCalls),
        ),
        (
            "44",
            json!({"content": null, "tool_calls": [call]}),
            "tool_calls",
            ("", 1, ToolCalls),
        ),
        ("47", json!({"content": "x"}), "stop", ("x", 0, Stop)),
    ];
    for (row, message, word, (text, calls, finish_reason)) in cases {
        let turn = turn_of(&message, &json!(word)).await;
        assert_eq!(
            (
                turn.text.as_str(),
                turn.tool_calls.len(),
                turn.finish_reason
            ),
            (text, calls, finish_reason),
            "row {row}"
        );
        // No usage was told.
        assert!(turn.tokens_are_estimated, "row {row}");
    }
    let other = json!({"model": "other", "choices": [{"message": {"content": "x"}}]});
    assert_eq!(turn(&other).await.model, "other", "row 49");
}
