//! What a server can do by itself, and what it is told in words where it can't.

use std::sync::Arc;

use fusion_providers::{
    FinishReason, Message, NoDeltas, Provider, ToolCall, ToolSpec, Turn, TurnRequest,
};
use fusion_providers_http::{Options, Quirks, SchemaBinding, ToolCalls};
use serde_json::{Value, json};

use crate::support::{answering, client_with, greeting, listing, ok, request, spawn};

fn tools() -> [Arc<ToolSpec>; 1] {
    [Arc::new(ToolSpec {
        name: "read".into(),
        description: "Reads.".into(),
        parameters: json!({"type": "object"}),
    })]
}

/// The turn that comes of this text, and the body that was sent.
async fn ask(quirks: Quirks, request: &TurnRequest<'_>, text: &str) -> (Turn, Value) {
    let server = answering(ok(
        &json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}),
    ))
    .await;
    let client = client_with(Options {
        quirks,
        ..Options::openai_compatible(format!("{}/v1", server.uri()), None)
    });
    let turn = client.send_message(request, &NoDeltas).await.unwrap();
    let sent = server.received_requests().await.unwrap().remove(0);
    (turn, serde_json::from_slice(&sent.body).unwrap())
}

const TEXT_CALLS: Quirks = Quirks {
    tool_calls: ToolCalls::Text,
    ..Quirks::PLAIN
};

#[tokio::test]
async fn a_schema_is_bound_by_the_server_strictly_only_where_it_keeps_the_strict_rules() {
    let closed = json!({"type": "object", "properties": {"n": {"type": "integer"}, "o": {
        "type": "object", "properties": {}, "required": [], "additionalProperties": false}},
        "required": ["n", "o"], "additionalProperties": false});
    let open = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let mut inner = closed.clone();
    inner["properties"]["o"]["additionalProperties"] = json!(true);
    let messages = greeting();
    for (schema, strict) in [(closed, true), (open, false), (inner, false)] {
        let asked = TurnRequest {
            output_schema: Some(&schema),
            ..request(&messages)
        };
        let (turn, body) = ask(Quirks::PLAIN, &asked, "{\"n\": 1}").await;
        assert_eq!(
            body["response_format"],
            json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": strict, "schema": schema}})
        );
        assert_eq!(turn.text, "{\"n\": 1}");
    }
}

#[tokio::test]
async fn a_schema_is_told_in_words_where_the_vendor_or_the_model_can_t_bind() {
    let (schema, messages) = (json!({"type": "object"}), greeting());
    let asked = TurnRequest {
        output_schema: Some(&schema),
        ..request(&messages)
    };
    let words = "Be short.\n\nYour answer must be one JSON object that fits this JSON Schema, and no other text:\n\
                 {\"type\":\"object\"}";
    let quirks = Quirks {
        json_schema: SchemaBinding::Prompt,
        ..Quirks::PLAIN
    };
    let (_, body) = ask(quirks, &asked, "{}").await;
    assert_eq!(
        (body.get("response_format"), &body["messages"][0]["content"]),
        (None, &json!(words))
    );
    let server = listing(ok(
        &json!({"data": [{"id": "tiny", "supported_parameters": ["tools"]}]}),
    ))
    .await;
    wiremock::Mock::given(wiremock::matchers::method("POST"))
        .respond_with(ok(&json!({"choices": [{"message": {"content": "{}"}}]})))
        .mount(&server)
        .await;
    let client = client_with(Options::openai_compatible(
        format!("{}/v1", server.uri()),
        None,
    ));
    spawn(&client, "tiny").await.unwrap();
    client.send_message(&asked, &NoDeltas).await.unwrap();
    let sent = server.received_requests().await.unwrap().pop().unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        (body.get("response_format"), &body["messages"][0]["content"]),
        (None, &json!(words))
    );
}

#[tokio::test]
async fn tools_and_their_results_are_told_in_words_to_a_server_without_tools() {
    let tools = tools();
    let messages = [
        Message::User { text: "Go.".into() },
        Message::Assistant {
            text: "I read.".into(),
            tool_calls: vec![ToolCall {
                id: "a".into(),
                name: "read".into(),
                arguments: json!({"p": 1}),
            }],
            reasoning: None,
        },
        Message::Tool {
            call_id: "a".into(),
            name: "read".into(),
            content: "one".into(),
        },
    ];
    let asked = TurnRequest {
        tools: &tools,
        ..request(&messages)
    };
    let (turn, body) = ask(
        TEXT_CALLS,
        &asked,
        "```json\n{\"name\": \"read\", \"arguments\": {\"p\": 2}}\n```",
    )
    .await;
    let contents: Vec<&str> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        contents,
        [
            "Be short.\n\nYou can use tools. To use one, answer with nothing but a JSON object of this form; its \
             result is then given to you:\n{\"name\": \"the tool\", \"arguments\": {}}\nThe tools:\n\
             {\"arguments\":{\"type\":\"object\"},\"description\":\"Reads.\",\"name\":\"read\"}",
            "Go.",
            "I read.\n{\"arguments\":{\"p\":1},\"name\":\"read\"}",
            "The result of read:\none"
        ]
    );
    assert_eq!(
        (body.get("tools"), turn.finish_reason),
        (None, FinishReason::ToolCalls)
    );
    let expected = ToolCall {
        id: "call_3_0".into(),
        name: "read".into(),
        arguments: json!({"p": 2}),
    };
    assert_eq!((turn.text.as_str(), turn.tool_calls), ("", vec![expected]));
}

#[tokio::test]
async fn row_45_a_call_in_the_text_counts_only_where_the_option_is_on_and_the_tool_is_known() {
    let call = r#"{"name": "read", "arguments": {}}"#;
    let other = r#"{"name": "delete", "arguments": {}}"#;
    let tools = tools();
    let messages = greeting();
    let asked = TurnRequest {
        tools: &tools,
        ..request(&messages)
    };
    for (tool_calls, text, is_call) in [
        (ToolCalls::Native, call, false),
        (ToolCalls::NativeOrText, call, true),
        (ToolCalls::NativeOrText, other, false),
        (
            ToolCalls::NativeOrText,
            "See: {\"name\": \"read\", \"arguments\": {}}",
            false,
        ),
        (ToolCalls::Text, other, false),
    ] {
        let quirks = Quirks {
            tool_calls,
            ..Quirks::PLAIN
        };
        let (turn, _) = ask(quirks, &asked, text).await;
        let expected = if is_call { "" } else { text };
        assert_eq!(
            (turn.text.as_str(), turn.tool_calls.is_empty()),
            (expected, !is_call),
            "{text}"
        );
    }
}
