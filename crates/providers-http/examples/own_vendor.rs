//! A vendor that speaks a known wire format: an entry for the table in `src/vendor.rs`, tried out on
//! a server of this machine.

use std::sync::Arc;

use fusion_core::{Clock, Timestamp};
use fusion_providers::{Message, NoDeltas, Result, TurnPlace, TurnRequest};
use fusion_providers_http::{Format, Options, Quirks, TokenLimitField, Vendor, provider};
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// What differs from other vendors of the format is data.
const ACME: Vendor = Vendor {
    name: "acme",
    title: "Acme Models",
    format: Format::ChatCompletions,
    base_url: Some("https://api.acme.example/v1"),
    key_variable: Some("ACME_API_KEY"),
    key_is_needed: true,
    local_port: None,
    quirks: Quirks {
        token_limit_field: TokenLimitField::MaxCompletionTokens,
        headers: &[("X-Acme-Client", "fusion-kit")],
        ..Quirks::PLAIN
    },
};

/// It is never later than this here.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let server = MockServer::start().await;
    let answer = json!({
        "model": "acme-1",
        "choices": [{ "finish_reason": "stop", "message": { "content": "hello" } }],
    });
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", "Bearer acme-key"))
        .and(header("X-Acme-Client", "fusion-kit"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&server)
        .await;
    let base_url = format!("{}/v1", server.uri());
    let options = Options::of(&ACME, Some(base_url), Some("acme-key".into()));
    let acme = provider(options, Arc::new(Stopped))?;
    let request = TurnRequest {
        model: "acme-1",
        system: "",
        messages: &[Message::User {
            text: "Say hello.".to_owned(),
        }],
        tools: &[],
        output_schema: None,
        max_tokens: Some(16),
        temperature: None,
        options: None,
        may_wait: false,
        place: TurnPlace {
            run: "run",
            task: "task",
            step: "greet",
            turn: 1,
            agent: "a",
            key: "greet-1",
        },
    };
    let turn = acme.send_message(&request, &NoDeltas).await?;
    assert_eq!(turn.text, "hello");
    let sent = server.received_requests().await.unwrap_or_default();
    let limits: Vec<u64> = sent
        .iter()
        .filter_map(|request| request.body_json::<Value>().ok())
        .filter_map(|body| body.get("max_completion_tokens")?.as_u64())
        .collect();
    assert_eq!(limits, [16]);
    Ok(())
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
