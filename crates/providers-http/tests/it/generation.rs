//! What an answer cost that was lost on its way: known by its id, asked for afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fusion_core::{Cost, Usage};
use fusion_providers::{
    Delta, DeltaSink, Error, LayerOptions, Layered, NoObserver, Observer, Provider,
};
use fusion_providers_http::{HttpProvider, Limits, Options, vendor};
use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use serde_json::json;

use crate::support::{ask, client_with, greeting, request};

const KEY: &str = "a-long-enough-key";

/// A client of this vendor that waits for silent servers and for `/generation` half a second.
fn at(server: &MisbehavingHttp, name: &str) -> HttpProvider {
    let url = format!("{}/v1", server.url());
    let options = Options::of(vendor(name).unwrap(), Some(url), Some(KEY.into()));
    let short = Duration::from_millis(500);
    client_with(Options {
        limits: Limits {
            idle_bytes: short,
            generation: short,
            ..Limits::default()
        },
        ..options
    })
}

fn send(head: &str, body: &str) -> Act {
    Act::Send(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes())
}

fn whole(status: &str, body: &str) -> Vec<Act> {
    let head = format!("{status}\r\ncontent-length: {}", body.len());
    vec![send(&head, body)]
}

/// The cost is written with more digits than a binary fraction keeps.
fn bill() -> String {
    let body = json!({"data": {
        "id": "gen-1", "native_tokens_prompt": 1_234, "native_tokens_completion": 56,
        "tokens_prompt": 1_000, "tokens_completion": 50, "cancelled": true, "total_cost": 0,
    }});
    body.to_string()
        .replace("\"total_cost\":0", "\"total_cost\":0.000123456789")
}

fn billed() -> Usage {
    Usage {
        turns: 0,
        input_tokens: 1_234,
        output_tokens: 56,
        cost: Cost::from_usd("0.000123456789".parse().unwrap()).unwrap(),
    }
}

fn is_turn(request: &HttpRequest) -> bool {
    request.method == "POST"
}

#[tokio::test]
async fn rows_28_57_and_59_a_call_that_was_lost_and_may_be_billed_carries_its_id() {
    let chunk = r#"data: {"id":"gen-1","choices":[{"delta":{"content":"Hel"}}]}"#;
    let begun = "200 OK\r\ncontent-type: text/event-stream";
    let named = format!("{begun}\r\nx-generation-id: gen-1");
    let cases: Vec<(&str, Vec<Act>)> = vec![
        (
            "cut, told in a chunk",
            vec![send(begun, &format!("{chunk}\n\n")), Act::Close],
        ),
        (
            "cut, told in a header",
            vec![send(&named, "data: {}\n\n"), Act::Close],
        ),
        (
            "broken off",
            vec![
                send(&format!("{named}\r\ncontent-length: 900"), chunk),
                Act::Close,
            ],
        ),
        (
            "silent",
            vec![send(begun, &format!("{chunk}\n\n")), Act::Hang],
        ),
        (
            "garbled",
            vec![send(&named, "data: {\"choices\": 7}\n\n"), Act::Close],
        ),
        (
            "gave up waiting",
            whole("524 \r\nx-generation-id: gen-1", "{}"),
        ),
        (
            "a gateway gave up waiting",
            whole("504 \r\nx-generation-id: gen-1", "{}"),
        ),
    ];
    for (name, acts) in cases {
        let server = MisbehavingHttp::start(move |_| acts.clone()).await.unwrap();
        let error = ask(&at(&server, "openrouter")).await.unwrap_err();
        let told = (error.may_be_billed(), error.generation_id());
        assert_eq!(told, (true, Some("gen-1")), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn row_58_an_error_inside_a_stream_is_not_billed() {
    let body = "data: {\"id\":\"gen-1\",\"error\":{\"code\":502,\"message\":\"gone\"},\
                \"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n";
    let acts = vec![send("200 OK", body), Act::Close];
    let server = MisbehavingHttp::start(move |_| acts.clone()).await.unwrap();
    let error = ask(&at(&server, "openrouter")).await.unwrap_err();
    assert!(!error.may_be_billed(), "{error:?}");
}

/// A server that knows an answer only when it is asked for the n-th time.
async fn knowing_at(question: usize) -> MisbehavingHttp {
    let asked = AtomicUsize::new(0);
    MisbehavingHttp::start(move |_| {
        if asked.fetch_add(1, Ordering::SeqCst) + 1 < question {
            whole(
                "404 Not Found",
                r#"{"error":{"code":404,"message":"not found"}}"#,
            )
        } else {
            whole("200 OK", &bill())
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn row_73_an_answer_that_is_not_known_yet_is_asked_for_three_times() {
    for (known_at, told, questions) in
        [(1, Some(billed()), 1), (3, Some(billed()), 3), (4, None, 3)]
    {
        let server = knowing_at(known_at).await;
        let usage = at(&server, "openrouter").get_generation("gen-1&x").await;
        assert_eq!(usage.unwrap(), told);
        let asked: Vec<(String, Option<String>)> = (server.requests().into_iter())
            .map(|request| {
                (
                    request.path.clone(),
                    request.header("authorization").map(str::to_owned),
                )
            })
            .collect();
        let question = (
            "/v1/generation?id=gen-1%26x".to_owned(),
            Some(format!("Bearer {KEY}")),
        );
        assert_eq!(asked, vec![question; questions]);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_time_for_all_questions() {
    let server = MisbehavingHttp::start(|_| vec![Act::Hang]).await.unwrap();
    let start = Instant::now();
    let usage = at(&server, "openrouter").get_generation("gen-1").await;
    assert_eq!(usage.unwrap(), None);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_cost_that_is_no_amount_or_missing_is_never_taken_for_nothing() {
    for cost in ["null", "-1", "\"dear\"", "{}"] {
        let body = format!("{{\"data\":{{\"total_cost\":{cost}}}}}");
        let server = MisbehavingHttp::start(move |_| whole("200 OK", &body))
            .await
            .unwrap();
        let usage = at(&server, "openrouter").get_generation("gen-1").await;
        assert!(
            matches!(usage, Err(Error::Malformed { .. })),
            "{cost}: {usage:?}"
        );
    }
    let server = MisbehavingHttp::start(|_| whole("200 OK", "{\"data\":{}}"))
        .await
        .unwrap();
    let usage = at(&server, "openrouter").get_generation("gen-1").await;
    assert!(matches!(usage, Err(Error::Malformed { .. })), "{usage:?}");
}

#[tokio::test]
async fn a_vendor_without_such_an_account_is_not_asked() {
    let server = knowing_at(1).await;
    for name in ["openai", "anthropic", "vllm"] {
        let usage = at(&server, name).get_generation("gen-1").await;
        assert_eq!(usage.unwrap(), None);
    }
    assert_eq!(server.requests(), []);
}

#[derive(Default)]
struct Told(Mutex<Vec<Option<Usage>>>, Mutex<Vec<String>>);

impl DeltaSink for Told {
    fn take(&self, _: Delta<'_>) {}

    fn began(&self, generation: &str) {
        self.1.lock().unwrap().push(generation.to_owned());
    }

    fn lost(&self, cost: Option<Usage>) -> bool {
        self.0.lock().unwrap().push(cost);
        true
    }
}

#[tokio::test]
async fn a_turn_that_came_at_the_second_try_tells_what_the_first_one_cost() {
    let turns = AtomicUsize::new(0);
    let server = MisbehavingHttp::start(move |request| {
        if !is_turn(request) {
            return whole("200 OK", &bill());
        }
        if turns.fetch_add(1, Ordering::SeqCst) == 0 {
            let head = "200 OK\r\ncontent-type: text/event-stream\r\nx-generation-id: gen-1";
            return vec![send(head, ": OPENROUTER PROCESSING\n\n"), Act::Close];
        }
        let answer = json!({
            "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 2, "completion_tokens": 1, "cost": 0.5},
        });
        whole("200 OK", &answer.to_string())
    })
    .await
    .unwrap();
    let observer: Arc<dyn Observer> = Arc::new(NoObserver);
    let options = LayerOptions::default();
    let layered = Layered::new(at(&server, "openrouter"), "openrouter", options, &observer);
    let (told, messages) = (Told::default(), greeting());
    let turn = layered
        .send_message(&request(&messages), &told)
        .await
        .unwrap();
    let half = Cost::from_usd("0.5".parse().unwrap()).unwrap();
    assert_eq!((turn.usage.turns, turn.usage.cost), (1, half));
    assert_eq!(told.0.into_inner().unwrap(), [Some(billed())]);
    assert_eq!(told.1.into_inner().unwrap(), ["gen-1"]);
    let mut all = turn.usage;
    all += billed();
    assert_eq!(layered.figures().usage, all);
}
