//! The Messages format of Anthropic.

use std::sync::Arc;

use fusion_core::{Cost, Usage};
use fusion_providers::{
    Ability, CostSource, FinishReason, Message, Model, NoDeltas, Provider, ToolCall, ToolSpec,
    Turn, TurnRequest,
};
use fusion_providers_http::{HttpProvider, Options, vendor};
use serde_json::{Map, Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{client_with, greeting, ok, request};

const KEY: &str = "sk-ant-0123456789";

fn provider(server: &MockServer) -> HttpProvider {
    let url = format!("{}/v1", server.uri());
    client_with(Options::of(
        vendor("anthropic").unwrap(),
        Some(url),
        Some(KEY.into()),
    ))
}

async fn answering(body: &Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/messages"))
        .respond_with(ok(body))
        .mount(&server)
        .await;
    server
}

fn said(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"})
}

async fn turn(body: &Value) -> Turn {
    let server = answering(body).await;
    let messages = greeting();
    let turn = provider(&server)
        .send_message(&request(&messages), &NoDeltas)
        .await;
    turn.unwrap()
}

/// What is sent for a request.
async fn sent(request: &TurnRequest<'_>) -> (wiremock::Request, Value) {
    let server = answering(&said("x")).await;
    provider(&server)
        .send_message(request, &NoDeltas)
        .await
        .unwrap();
    let request = server.received_requests().await.unwrap().remove(0);
    let body = serde_json::from_slice(&request.body).unwrap();
    (request, body)
}

fn call(id: &str, arguments: Value) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: "read".into(),
        arguments,
    }
}

fn result(id: &str, content: &str) -> Message {
    Message::Tool {
        call_id: id.into(),
        name: "read".into(),
        content: content.into(),
    }
}

fn spoken(text: &str, tool_calls: Vec<ToolCall>, reasoning: Option<Value>) -> Message {
    Message::Assistant {
        text: text.into(),
        tool_calls,
        reasoning,
    }
}

fn user(text: &str) -> Message {
    Message::User { text: text.into() }
}

fn tools() -> [Arc<ToolSpec>; 1] {
    [Arc::new(ToolSpec {
        name: "read".into(),
        description: "Reads.".into(),
        parameters: json!({"type": "object"}),
    })]
}

#[tokio::test]
async fn a_request_is_sent_as_the_format_wants_it() {
    let messages = [
        user("Go."),
        spoken(
            "",
            vec![call("a", json!({"p": 1})), call("b", json!("{p:"))],
            None,
        ),
        result("a", "one"),
        result("b", "not read"),
        user("Go on."),
        spoken(
            "Done.",
            vec![],
            Some(json!({"reasoning": "of another format"})),
        ),
        spoken(" ", vec![], None),
        user("Thanks."),
    ];
    let tools = tools();
    let turn = TurnRequest {
        tools: &tools,
        temperature: Some(1.5),
        ..request(&messages)
    };
    let (request, body) = sent(&turn).await;
    assert_eq!(
        body,
        json!({
            "model": "tiny",
            "max_tokens": 8192,
            "system": "Be short.",
            "temperature": 1.0,
            "stream": true,
            "tools": [{"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Go."}]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "a", "name": "read", "input": {"p": 1}},
                    {"type": "tool_use", "id": "b", "name": "read", "input": {"invalid_arguments": "{p:"}}
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "not read"},
                    {"type": "text", "text": "Go on."}
                ]},
                {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
                {"role": "user", "content": [{"type": "text", "text": "Thanks."}]}
            ]
        })
    );
    let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("x-api-key"), KEY);
    assert_eq!(header("anthropic-version"), "2023-06-01");
    assert!(request.headers.get("authorization").is_none());
}

#[tokio::test]
async fn a_whole_answer_becomes_a_whole_turn() {
    let turn = turn(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "tiny-2",
        "content": [
            {"type": "text", "text": "I read "},
            {"type": "text", "text": "it."},
            {"type": "tool_use", "id": "a", "name": "read", "input": {"p": 1}}
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 5, "output_tokens": 6}
    }))
    .await;
    assert_eq!(
        turn,
        Turn {
            text: "I read it.".into(),
            tool_calls: vec![call("a", json!({"p": 1}))],
            reasoning: None,
            finish_reason: FinishReason::ToolCalls,
            usage: Usage {
                turns: 1,
                input_tokens: 12,
                output_tokens: 6,
                cost: Cost::ZERO,
            },
            tokens_are_estimated: false,
            cost_source: CostSource::Unknown,
            served_by: None,
            model: "tiny-2".into(),
            generation_id: Some("msg_1".into()),
        }
    );
}

#[tokio::test]
async fn an_error_event_without_its_type_is_an_error() {
    let server = MockServer::start().await;
    let event = "event: error\ndata: {\"error\": {\"code\": 503, \"message\": \"so\"}}\n\n";
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string(event))
        .mount(&server)
        .await;
    let messages = greeting();
    let result = provider(&server)
        .send_message(&request(&messages), &NoDeltas)
        .await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "anthropic failed (503): so"
    );
}

#[tokio::test]
async fn every_stop_reason_has_its_meaning() {
    for (word, reason) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("refusal", FinishReason::ContentFilter),
        ("pause_turn", FinishReason::Paused),
        ("news", FinishReason::Stop),
    ] {
        let mut body = said("x");
        body["stop_reason"] = word.into();
        assert_eq!(turn(&body).await.finish_reason, reason, "{word}");
    }
}

#[tokio::test]
async fn row_77_a_pause_goes_back_as_it_is() {
    let content = json!([
        {"type": "text", "text": "Searching."},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    ]);
    let paused = turn(&json!({"content": content, "stop_reason": "pause_turn"})).await;
    assert_eq!(
        (paused.finish_reason, &paused.reasoning),
        (FinishReason::Paused, &Some(content.clone()))
    );
    let messages = [user("Go."), spoken(&paused.text, vec![], paused.reasoning)];
    let (_, body) = sent(&request(&messages)).await;
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": content})
    );
}

#[tokio::test]
async fn thinking_goes_back_unchanged_with_the_results() {
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "S=="},
        {"type": "redacted_thinking", "data": "R=="},
        {"type": "tool_use", "id": "a", "name": "read", "input": {}}
    ]);
    let turn = turn(&json!({"content": content, "stop_reason": "tool_use"})).await;
    let messages = [
        user("Go."),
        spoken(&turn.text, turn.tool_calls, turn.reasoning),
        result("a", "one"),
    ];
    let (_, body) = sent(&request(&messages)).await;
    assert_eq!(body["messages"][1]["content"], content);
}

#[tokio::test]
async fn a_schema_is_bound_by_a_tool_that_must_be_called_and_its_input_is_the_answer() {
    let schema = json!({"type": "object"});
    let messages = greeting();
    let asked = TurnRequest {
        output_schema: Some(&schema),
        ..request(&messages)
    };
    let (_, body) = sent(&asked).await;
    assert_eq!(
        body["tool_choice"],
        json!({"type": "tool", "name": "structured_answer"})
    );
    assert_eq!(body["tools"][0]["input_schema"], schema);
    let server = answering(&json!({"stop_reason": "tool_use", "content": [
        {"type": "tool_use", "id": "a", "name": "structured_answer", "input": {"n": 1}}
    ]}))
    .await;
    let turn = provider(&server)
        .send_message(&asked, &NoDeltas)
        .await
        .unwrap();
    assert_eq!(
        (turn.text.as_str(), turn.tool_calls, turn.finish_reason),
        (r#"{"n":1}"#, vec![], FinishReason::Stop)
    );
}

#[tokio::test]
async fn a_schema_beside_tools_or_thinking_is_told_in_words() {
    let (schema, messages, tools) = (json!({"type": "object"}), greeting(), tools());
    let thinking = Map::from_iter([(
        "thinking".to_owned(),
        json!({"type": "enabled", "budget_tokens": 1024}),
    )]);
    let plain = TurnRequest {
        output_schema: Some(&schema),
        ..request(&messages)
    };
    let with_tools = TurnRequest {
        tools: &tools,
        ..plain
    };
    let with_thinking = TurnRequest {
        options: Some(&thinking),
        ..plain
    };
    for asked in [with_tools, with_thinking] {
        let (_, body) = sent(&asked).await;
        assert_eq!(body.get("tool_choice"), None);
        assert_eq!(
            body["system"],
            "Be short.\n\nYour answer must be one JSON object that fits this JSON Schema, and no other text:\n\
             {\"type\":\"object\"}"
        );
    }
}

#[tokio::test]
async fn a_list_of_models_goes_on_after_its_last_id_and_gives_the_limit_of_an_answer() {
    let server = answering(&said("x")).await;
    let list = || Mock::given(method("GET")).and(path("/v1/models"));
    let first = json!({"data": [{"id": "tiny", "display_name": "Tiny", "max_tokens": 999, "max_input_tokens": 5000}],
        "has_more": true, "first_id": "tiny", "last_id": "tiny"});
    let second = json!({"data": [{"id": "big"}], "has_more": false, "last_id": "big"});
    list()
        .and(query_param("after_id", "tiny"))
        .respond_with(ok(&second))
        .mount(&server)
        .await;
    list()
        .and(query_param_is_missing("after_id"))
        .respond_with(ok(&first))
        .mount(&server)
        .await;
    let provider = provider(&server);
    let catalog = provider.list_models().await.unwrap().unwrap();
    let model = |id: &str| Model {
        id: id.into(),
        name: None,
        context_length: None,
        max_output_tokens: None,
        price: None,
        tools: Ability::Unknown,
        json_schema: Ability::Unknown,
    };
    let tiny = Model {
        name: Some("Tiny".into()),
        context_length: Some(5000),
        max_output_tokens: Some(999),
        ..model("tiny")
    };
    assert_eq!(catalog.models, [tiny, model("big")]);
    let messages = greeting();
    provider
        .send_message(&request(&messages), &NoDeltas)
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    let body: Value = serde_json::from_slice(&requests.last().unwrap().body).unwrap();
    assert_eq!(body["max_tokens"], 999);
}
