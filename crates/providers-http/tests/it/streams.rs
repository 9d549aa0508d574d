//! Streamed chat completions: what is shown, what is kept, and the ways of different servers.

use std::sync::Mutex;
use std::time::Duration;

use fusion_providers::{
    Delta, DeltaSink, FinishReason, Message, NoDeltas, Provider, ToolCall, Turn, TurnRequest,
};
use fusion_providers_http::{HttpProvider, Options, Quirks, Streaming, vendor};
use fusion_testkit::{Act, MisbehavingHttp};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::{answering, client, client_with, greeting, ok, request};

const LIMIT: Duration = Duration::from_secs(20);

/// Every delta, as text.
#[derive(Default)]
struct Shown {
    deltas: Mutex<Vec<String>>,
    first: Notify,
}

impl DeltaSink for Shown {
    fn take(&self, delta: Delta<'_>) {
        let text = match delta {
            Delta::Text(text) => format!("text {text}"),
            Delta::Reasoning(text) => format!("reasoning {text}"),
            Delta::ToolCall {
                index,
                name,
                arguments,
            } => format!("call {index} {name} {arguments}"),
            Delta::Discarded => "discarded".to_owned(),
        };
        self.deltas.lock().unwrap().push(text);
        self.first.notify_one();
    }
}

impl Shown {
    fn all(self) -> Vec<String> {
        self.deltas.into_inner().unwrap()
    }
}

fn stream(chunks: &[Value]) -> Vec<u8> {
    let events: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}data: [DONE]\n\n")
        .into_bytes()
}

fn chunk(delta: &Value) -> Value {
    json!({"choices": [{"delta": delta}]})
}

fn finish(word: &str) -> Value {
    json!({"choices": [{"delta": {}, "finish_reason": word}]})
}

async fn streaming(chunks: Vec<Value>) -> MisbehavingHttp {
    MisbehavingHttp::start(move |_| vec![Act::Send(stream(&chunks)), Act::Close])
        .await
        .unwrap()
}

/// The turn that comes of these chunks, and what was shown meanwhile.
async fn turn(chunks: Vec<Value>) -> (Turn, Vec<String>) {
    let server = streaming(chunks).await;
    let shown = Shown::default();
    let messages = greeting();
    let provider = client(&server.url());
    let turn = provider.send_message(&request(&messages), &shown).await;
    (turn.unwrap(), shown.all())
}

/// The body that is sent for this request.
async fn sent(options: Options, request: &TurnRequest<'_>) -> Value {
    let server = answering(ok(&json!({"choices": [{"message": {"content": "x"}}]}))).await;
    let client = client_with(Options {
        base_url: format!("{}/v1", server.uri()),
        ..options
    });
    client.send_message(request, &NoDeltas).await.unwrap();
    let request = server.received_requests().await.unwrap().remove(0);
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test]
async fn what_comes_is_shown_as_it_comes() {
    let (turn, shown) = turn(vec![
        chunk(&json!({"role": "assistant", "content": ""})),
        chunk(&json!({"reasoning_content": "hm"})),
        chunk(&json!({"content": "Hel"})),
        chunk(&json!({"content": "lo"})),
        chunk(&json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "read", "arguments": "{"}}]})),
        chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]})),
        finish("stop"),
    ])
    .await;
    assert_eq!(
        shown,
        [
            "reasoning hm",
            "text Hel",
            "text lo",
            "call 0 read {",
            "call 0  }"
        ]
    );
    assert_eq!(
        (turn.text.as_str(), turn.finish_reason),
        ("Hello", FinishReason::ToolCalls)
    );
    assert_eq!(turn.reasoning, Some(json!({"reasoning_content": "hm"})));
}

#[tokio::test]
async fn what_was_shown_of_a_failed_attempt_is_taken_back() {
    let failing = json!({"error": {"code": 502, "message": "gone"}});
    let server = streaming(vec![chunk(&json!({"content": "Hel"})), failing]).await;
    let (shown, messages) = (Shown::default(), greeting());
    let provider = client(&server.url());
    provider
        .send_message(&request(&messages), &shown)
        .await
        .unwrap_err();
    assert_eq!(shown.all(), ["text Hel", "discarded"]);
    let server = streaming(vec![json!({"error": "gone"})]).await;
    let shown = Shown::default();
    let provider = client(&server.url());
    provider
        .send_message(&request(&messages), &shown)
        .await
        .unwrap_err();
    assert_eq!(shown.all(), Vec::<String>::new());
}

fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
    }
}

async fn calls(pieces: Value) -> Vec<ToolCall> {
    let pieces = pieces.as_array().unwrap().iter();
    let mut chunks: Vec<Value> = pieces
        .map(|piece| chunk(&json!({"tool_calls": [piece]})))
        .collect();
    chunks.push(finish("tool_calls"));
    turn(chunks).await.0.tool_calls
}

#[tokio::test]
async fn row_54_calls_are_joined_by_their_index_in_any_order() {
    let joined = calls(json!([
        {"index": 0, "id": "a", "function": {"name": "one", "arguments": ""}},
        {"index": 1, "id": "b", "function": {"name": "two"}},
        {"index": 0, "function": {"arguments": "{\"n\":"}},
        {"index": 1, "function": {"arguments": "{\"n\":2}"}},
        {"index": 0, "function": {"arguments": "1}"}}
    ]))
    .await;
    let expected = [
        call("a", "one", json!({"n": 1})),
        call("b", "two", json!({"n": 2})),
    ];
    assert_eq!(joined, expected);
}

#[tokio::test]
async fn calls_that_are_not_counted_or_all_counted_0_are_told_apart() {
    let expected = [
        call("a", "one", json!({"n": 1})),
        call("b", "two", json!({"n": 2})),
    ];
    let uncounted = json!([
        {"id": "a", "function": {"name": "one", "arguments": "{\"n\":1}"}},
        {"id": "b", "function": {"name": "two", "arguments": {"n": 2}}}
    ]);
    assert_eq!(calls(uncounted).await, expected);
    let in_pieces = json!([
        {"id": "a", "function": {"name": "one", "arguments": "{\"n\""}},
        {"function": {"arguments": ":1}"}},
        {"id": "b", "function": {"name": "two", "arguments": "{\"n\""}},
        {"id": "b", "function": {"arguments": ":2}"}}
    ]);
    assert_eq!(calls(in_pieces).await, expected);
    let all_zero = json!([
        {"index": 0, "id": "a", "function": {"name": "one", "arguments": "{\"n\":1}"}},
        {"index": 0, "id": "b", "function": {"name": "two", "arguments": "{\"n\":2}"}}
    ]);
    assert_eq!(calls(all_zero).await, expected);
    let nameless = json!([
        {"function": {"name": "one", "arguments": "{\"n\":1}"}},
        {"function": {"name": "two", "arguments": "{\"n\":2}"}}
    ]);
    let made_up = [
        call("call_3_0", "one", json!({"n": 1})),
        call("call_3_1", "two", json!({"n": 2})),
    ];
    assert_eq!(calls(nameless).await, made_up);
}

#[tokio::test]
async fn rows_55_and_61_the_last_usage_counts_once_and_chunks_without_choices_are_passed_over() {
    let usage = |count: u64| json!({"prompt_tokens": 5, "completion_tokens": count});
    let (turn, _) = turn(vec![
        json!({"debug": {"x": 1}, "choices": []}),
        json!({"choices": [{"delta": {"content": "x"}}], "usage": usage(1)}),
        json!({"choices": [{"index": 1, "delta": {"content": "another answer"}, "finish_reason": "length"}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage(2)}),
        json!({"choices": [], "usage": usage(2)}),
    ])
    .await;
    assert_eq!(
        (turn.text.as_str(), turn.finish_reason),
        ("x", FinishReason::Stop)
    );
    assert_eq!((turn.usage.input_tokens, turn.usage.output_tokens), (5, 2));
    assert!(!turn.tokens_are_estimated);
}

#[tokio::test]
async fn row_62_reasoning_goes_back_unchanged_with_the_results() {
    let details = |piece: Value| chunk(&json!({"reasoning_details": [piece]}));
    let (turn, _) = turn(vec![
        chunk(&json!({"reasoning": "Let me "})),
        details(json!({"type": "reasoning.text", "index": 0, "text": "Let me ", "format": "f"})),
        details(json!({"type": "reasoning.text", "index": 0, "text": "see", "signature": "S=="})),
        details(json!({"type": "reasoning.encrypted", "index": 1, "data": "E=="})),
        chunk(&json!({"reasoning": "see"})),
        chunk(&json!({"tool_calls": [{"id": "a", "function": {"name": "read"}}]})),
        finish("tool_calls"),
    ])
    .await;
    let kept = json!([
        {"type": "reasoning.text", "index": 0, "text": "Let me see", "format": "f", "signature": "S=="},
        {"type": "reasoning.encrypted", "index": 1, "data": "E=="}
    ]);
    assert_eq!(
        turn.reasoning,
        Some(json!({"reasoning": "Let me see", "reasoning_details": kept}))
    );
    let messages = [
        Message::User { text: "Hi".into() },
        Message::Assistant {
            text: turn.text,
            tool_calls: turn.tool_calls,
            reasoning: turn.reasoning,
        },
    ];
    let body = sent(Options::openai_compatible("", None), &request(&messages)).await;
    assert_eq!(
        body["messages"][2],
        json!({
            "role": "assistant", "content": null, "reasoning": "Let me see", "reasoning_details": kept,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "read", "arguments": "{}"}}]
        })
    );
}

#[tokio::test]
async fn row_63_dropping_a_stream_closes_its_connection_at_once() {
    let piece = format!("data: {}\n\n", chunk(&json!({"content": "x"})));
    let server = MisbehavingHttp::start(move |_| {
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        vec![
            Act::Send(head),
            Act::Repeat(piece.clone().into_bytes(), Duration::from_millis(2)),
        ]
    })
    .await
    .unwrap();
    let (shown, messages) = (Shown::default(), greeting());
    let provider = client(&server.url());
    {
        let request = request(&messages);
        let call = provider.send_message(&request, &shown);
        tokio::select! {
            result = call => panic!("{result:?}"),
            () = shown.first.notified() => {}
        }
    }
    let left = timeout(Duration::from_secs(1), server.clients_left(1)).await;
    assert!(left.is_ok(), "the connection was open for a second more");
}

#[tokio::test]
async fn a_turn_after_another_uses_its_connection_again() {
    let body: String = [chunk(&json!({"content": "x"})), finish("stop")]
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    let body = body + "data: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let server = MisbehavingHttp::start(move |_| vec![Act::Send(answer.clone().into_bytes())])
        .await
        .unwrap();
    let provider = client(&server.url());
    let messages = greeting();
    for _ in 0..3 {
        let request = request(&messages);
        let turn = provider.send_message(&request, &NoDeltas);
        assert_eq!(timeout(LIMIT, turn).await.unwrap().unwrap().text, "x");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn options_of_the_caller_are_sent_and_unknown_ones_refused() {
    let messages = greeting();
    let given = json!({
        "provider": {"order": ["a"], "allow_fallbacks": false}, "reasoning": {"effort": "low"},
        "models": ["tiny", "big"], "plugins": [{"id": "web"}], "top_p": 0.5
    });
    let options = given.as_object().unwrap().clone();
    let turn = TurnRequest {
        options: Some(&options),
        ..request(&messages)
    };
    let key = || Some("a-long-enough-key".into());
    let body = sent(Options::openrouter(key()), &turn).await;
    for (name, value) in &options {
        assert_eq!(body[name], *value, "{name}");
    }
    for name in [
        "model",
        "messages",
        "stream",
        "tools",
        "max_tokens",
        "nonsense",
    ] {
        let options = Map::from_iter([(name.to_owned(), json!("x"))]);
        let turn = TurnRequest {
            options: Some(&options),
            ..request(&messages)
        };
        let provider: HttpProvider = client("http://127.0.0.1:1");
        let error = provider.send_message(&turn, &NoDeltas).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "openai-compatible is not set up right: the option '{name}' can't be sent with a turn"
            )
        );
    }
}

#[tokio::test]
async fn a_vendor_says_whether_and_how_answers_are_streamed() {
    let messages = greeting();
    let fields = |body: &Value| (body["stream"].clone(), body["stream_options"].clone());
    let openrouter = sent(
        Options::openrouter(Some("a-long-key".into())),
        &request(&messages),
    )
    .await;
    assert_eq!(fields(&openrouter), (json!(true), Value::Null));
    let ollama = Options::of(vendor("ollama").unwrap(), None, None);
    assert_eq!(
        fields(&sent(ollama, &request(&messages)).await),
        (json!(true), json!({"include_usage": true}))
    );
    let off = Options {
        quirks: Quirks {
            streaming: Streaming::Off,
            ..Quirks::PLAIN
        },
        ..Options::openai_compatible("", None)
    };
    assert_eq!(
        fields(&sent(off, &request(&messages)).await),
        (json!(false), Value::Null)
    );
}

#[tokio::test]
async fn the_generation_is_named_by_a_header_where_the_body_does_not() {
    let answer = ok(&json!({"choices": [{"message": {"content": "x"}}]}));
    let server = answering(answer.insert_header("x-generation-id", "gen-9")).await;
    let messages = greeting();
    let turn = client(&server.uri())
        .send_message(&request(&messages), &NoDeltas)
        .await;
    assert_eq!(turn.unwrap().generation_id.as_deref(), Some("gen-9"));
}
