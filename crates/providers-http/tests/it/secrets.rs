use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use fusion_providers::{Error, Provider, RetryOptions, Retrying};
use fusion_providers_http::{HttpProvider, Options, vendor};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Log, ask, client_with, clock, ok, spawn};

const KEY: &str = "sk-canary-0123456789";

fn options(vendor_name: &str, server: &str) -> Options {
    let url = format!("{server}/v1?token={KEY}");
    Options::of(vendor(vendor_name).unwrap(), Some(url), Some(KEY.into()))
}

/// Everything that an error can show.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {:?}", error.help());
    let mut cause = error.source();
    while let Some(source) = cause {
        write!(text, " {source} {source:?}").unwrap();
        cause = source.source();
    }
    text
}

/// A server that gives this answer to everything.
async fn answering_all(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// Answers that repeat the key wherever an answer can.
fn echoes() -> Vec<ResponseTemplate> {
    let echo = format!("Incorrect API key provided: {KEY}");
    let error = json!({"error": {"message": echo, "code": 400, "metadata": {"raw": echo}}});
    let stream = |data: &str| {
        let body = format!(": {KEY}\n\ndata: {data}\n\n");
        ResponseTemplate::new(200).set_body_raw(body, "text/event-stream")
    };
    vec![
        ResponseTemplate::new(401).set_body_json(json!({"error": {"message": echo}})),
        ResponseTemplate::new(502).set_body_string(format!("<html>{echo}</html>")),
        ResponseTemplate::new(500).insert_header("request-id", KEY),
        ResponseTemplate::new(200).set_body_string(echo),
        ResponseTemplate::new(200).set_body_string(format!("{{\"{KEY}\": [")),
        ResponseTemplate::new(302).insert_header("location", format!("https://x/?key={KEY}")),
        ok(&error),
        stream(&error.to_string()),
        stream(&format!("{{\"choices\": \"{KEY}\"}}")),
        stream(&format!(
            "{{\"type\": \"error\", \"error\": {{\"message\": \"{KEY}\"}}}}"
        )),
    ]
}

#[tokio::test]
async fn the_key_is_sent_and_shown_nowhere() {
    let (log, _guard) = Log::begin();
    let once = RetryOptions {
        max_attempts: 2,
        first_wait: Duration::from_millis(1),
        ..RetryOptions::default()
    };
    for (vendor, header, value) in [
        ("openrouter", "authorization", format!("Bearer {KEY}")),
        ("anthropic", "x-api-key", KEY.to_owned()),
    ] {
        for answer in echoes() {
            let server = answering_all(answer).await;
            let client = client_with(options(vendor, &server.uri()));
            let client = Retrying::new(client, once);
            let errors = [
                ask(&client).await.err(),
                spawn(&client, "tiny").await.err(),
                client.get_quota_info().await.err(),
            ];
            for error in errors.into_iter().flatten() {
                let text = shown(&error);
                assert!(!text.contains(KEY), "{text}");
            }
            assert!(!format!("{client:?}").contains(KEY));
            for request in server.received_requests().await.unwrap() {
                assert_eq!(request.headers[header], value);
            }
        }
    }
    let log = log.text();
    assert!(log.contains("is tried again"), "{log}");
    assert!(!log.contains(KEY), "{log}");
}

#[tokio::test]
async fn the_key_is_not_shown_when_nobody_answers() {
    let client = client_with(options("openrouter", "http://127.0.0.1:1"));
    for error in [
        ask(&client).await.unwrap_err(),
        spawn(&client, "tiny").await.unwrap_err(),
    ] {
        let text = shown(&error);
        assert!(text.contains("127.0.0.1:1/v1"), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
}

#[test]
fn the_key_is_not_shown_by_debug_or_a_wrong_key() {
    let given = Options::openrouter(Some(KEY.into()));
    assert!(!format!("{given:?}").contains(KEY));
    let client = HttpProvider::new(given, clock()).unwrap();
    assert!(!format!("{client:?}").contains(KEY));
    let wrong = Options::openrouter(Some(format!("{KEY}\u{1}x").into()));
    let error = HttpProvider::new(wrong, clock()).unwrap_err();
    assert!(!shown(&error).contains(KEY));
}
