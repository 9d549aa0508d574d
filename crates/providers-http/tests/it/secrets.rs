use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use fusion_providers::{Error, RetryOptions, Retrying};
use fusion_providers_http::{HttpProvider, Options};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::support::{answering, ask, client_with, clock, ok, spawn};

const KEY: &str = "sk-canary-0123456789";

fn options(server: &str) -> Options {
    Options {
        base_url: format!("{server}/v1?token={KEY}"),
        ..Options::openrouter(Some(KEY.into()))
    }
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

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_key_is_sent_and_shown_nowhere() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let echo = format!("Incorrect API key provided: {KEY}");
    let answers = [
        ResponseTemplate::new(401).set_body_json(json!({"error": {"message": echo}})),
        ResponseTemplate::new(502).set_body_string(format!("<html>{echo}</html>")),
        ResponseTemplate::new(200).set_body_string(echo.clone()),
        ResponseTemplate::new(302).insert_header("location", format!("https://x/?key={KEY}")),
        ok(&json!({"error": {"message": echo, "code": 400}})),
    ];
    for answer in answers {
        let server = answering(answer).await;
        let client = client_with(options(&server.uri()));
        let once = RetryOptions {
            max_attempts: 2,
            ..RetryOptions::default()
        };
        let client = Retrying::new(client, once);
        let error = ask(&client).await.unwrap_err();
        let text = shown(&error);
        assert!(!text.contains(KEY), "{text}");
        let request = server.received_requests().await.unwrap().remove(0);
        assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("is tried again"), "{log}");
    assert!(!log.contains(KEY), "{log}");
}

#[tokio::test]
async fn the_key_is_not_shown_when_nobody_answers() {
    let client = client_with(options("http://127.0.0.1:1"));
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
