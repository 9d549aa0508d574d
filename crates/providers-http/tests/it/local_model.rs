//! A real small model behind a real server that speaks both wire formats. `cargo xtask test` starts
//! one where it can be had and tells where it is; otherwise these tests say that they were skipped.
//! A model is free in its words: only their shape is looked at.

use std::sync::{Arc, Mutex};

use fusion_providers::{
    Delta, DeltaSink, FinishReason, Message, Provider, ToolSpec, Turn, TurnRequest,
};
use fusion_providers_http::{HttpProvider, Options, vendor};
use serde_json::{Map, Value, json};

use crate::support::{client_with, request, spawn};

/// Holds the base URL of the server, such as `http://127.0.0.1:18434/v1`.
const VARIABLE: &str = "FUSION_TEST_LOCAL_MODEL";

/// A provider of this vendor's kind at the model's server, and the model's name.
async fn model(vendor_name: &str) -> Option<(HttpProvider, String)> {
    #[expect(clippy::disallowed_methods, reason = "xtask hands it to the tests")]
    let url = std::env::var(VARIABLE);
    let Ok(url) = url else {
        println!("SKIPPED: {VARIABLE} is not set, so there is no real model to ask");
        return None;
    };
    let key = Some("any-key-will-do".into());
    let provider = client_with(Options::of(vendor(vendor_name).unwrap(), Some(url), key));
    let catalog = provider.list_models().await.unwrap().unwrap();
    let name = catalog.models.first().unwrap().id.clone();
    spawn(&provider, &name).await.unwrap();
    Some((provider, name))
}

/// The text that was shown, and in how many pieces.
#[derive(Default)]
struct Shown(Mutex<(String, usize)>);

impl DeltaSink for Shown {
    fn take(&self, delta: Delta<'_>) {
        let mut shown = self.0.lock().unwrap();
        match delta {
            Delta::Text(text) => shown.0.push_str(text),
            Delta::Reasoning(_) | Delta::ToolCall { .. } => {}
            Delta::Discarded => panic!("an attempt failed"),
        }
        shown.1 += 1;
    }
}

/// A turn of a few tokens, and in how many pieces it came.
async fn ask(provider: &HttpProvider, request: &TurnRequest<'_>) -> (Turn, usize) {
    let shown = Shown::default();
    let turn = provider.send_message(request, &shown).await.unwrap();
    let (text, pieces) = shown.0.into_inner().unwrap();
    assert!(text == turn.text || turn.text.is_empty() || request.output_schema.is_some());
    assert!(turn.usage.input_tokens > 0 && turn.usage.output_tokens > 0);
    assert!(!turn.tokens_are_estimated);
    (turn, pieces)
}

fn user(text: &str) -> Message {
    Message::User { text: text.into() }
}

fn asking<'a>(model: &'a str, messages: &'a [Message]) -> TurnRequest<'a> {
    TurnRequest {
        model,
        max_tokens: Some(48),
        temperature: Some(0.0),
        ..request(messages)
    }
}

async fn a_plain_turn(vendor: &str) {
    let Some((provider, model)) = model(vendor).await else {
        return;
    };
    let messages = [user("Count from one to five.")];
    let (turn, pieces) = ask(&provider, &asking(&model, &messages)).await;
    assert!(!turn.text.is_empty() && pieces > 1, "{turn:?}");
    assert!(turn.generation_id.is_some());
}

/// In chat completions only: this server takes a tool that must be called in the other format for one
/// that may be.
#[tokio::test]
async fn a_real_model_keeps_to_a_schema_in_chat_completions() {
    let Some((provider, model)) = model("llama.cpp").await else {
        return;
    };
    let schema = json!({"type": "object", "properties": {"verdict": {"type": "string",
        "enum": ["good", "bad"]}}, "required": ["verdict"], "additionalProperties": false});
    let messages = [user("Is 2 + 2 = 4 good or bad?")];
    let asked = TurnRequest {
        output_schema: Some(&schema),
        ..asking(&model, &messages)
    };
    let (turn, _) = ask(&provider, &asked).await;
    let answer: Value = serde_json::from_str(&turn.text).unwrap();
    assert!(
        answer == json!({"verdict": "good"}) || answer == json!({"verdict": "bad"}),
        "{answer}"
    );
}

/// A call of a tool, and the answer to its result. Where the server does not see to it that the tool is
/// called, the model may answer in text all the same.
async fn a_turn_with_a_tool(vendor: &str, choice: Value, is_bound: bool) {
    let Some((provider, model)) = model(vendor).await else {
        return;
    };
    let tools = [Arc::new(ToolSpec {
        name: "get_weather".into(),
        description: "Tells the weather of a city.".into(),
        parameters: json!({"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}},
            "required": ["city"]}),
    })];
    let options = Map::from_iter([("tool_choice".to_owned(), choice)]);
    let mut messages = vec![user("What is the weather in Paris?")];
    let asked = TurnRequest {
        tools: &tools,
        options: Some(&options),
        ..asking(&model, &messages)
    };
    let (turn, _) = ask(&provider, &asked).await;
    let Some(call) = turn.tool_calls.first().cloned() else {
        assert!(!is_bound && !turn.text.is_empty(), "{turn:?}");
        return;
    };
    assert_eq!(turn.finish_reason, FinishReason::ToolCalls, "{turn:?}");
    assert_eq!(call.name, "get_weather");
    assert!(call.arguments["city"].is_string(), "{call:?}");
    messages.push(Message::Assistant {
        text: turn.text,
        tool_calls: vec![call.clone()],
        reasoning: turn.reasoning,
    });
    messages.push(Message::Tool {
        call_id: call.id,
        name: call.name,
        content: "18 C, cloudy".into(),
    });
    let asked = TurnRequest {
        tools: &tools,
        ..asking(&model, &messages)
    };
    ask(&provider, &asked).await;
}

#[tokio::test]
async fn a_real_model_streams_a_turn_in_chat_completions() {
    a_plain_turn("llama.cpp").await;
}

#[tokio::test]
async fn a_real_model_streams_a_turn_in_messages() {
    a_plain_turn("anthropic").await;
}

#[tokio::test]
async fn a_real_model_calls_a_tool_in_chat_completions() {
    a_turn_with_a_tool("llama.cpp", json!("required"), true).await;
}

#[tokio::test]
async fn a_real_model_calls_a_tool_in_messages() {
    a_turn_with_a_tool("anthropic", json!({"type": "any"}), false).await;
}
