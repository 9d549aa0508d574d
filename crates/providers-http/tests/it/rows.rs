//! The checklist of answers that are errors, by the numbers of its rows (`rows.json`): which error it
//! is, what it says (`_` stands for the provider), how long it asks to wait in seconds, and whether
//! it may pass. Rows about the layers above the wire are tested with the layers.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::Coded;
use fusion_providers::{Error, Message, NoDeltas, Provider};
use fusion_providers_http::{HttpProvider, Options, vendor};
use serde::Deserialize;
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Log, ask, client_with, greeting, request, spawn};

/// The time of the servers.
const NOW: &str = "Wed, 25 Nov 2026 12:00:00 GMT";

/// The rules of the table, each with a test below.
const RULES: [&str; 6] = ["request", "length", "money", "limit", "failing", "inside"];

/// One answer and what it means.
#[derive(Debug, Deserialize)]
struct Row {
    row: u32,
    rule: String,
    #[serde(default = "openrouter")]
    vendor: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
    class: String,
    text: String,
    wait: Option<f64>,
    #[serde(default)]
    is_transient: bool,
    /// Tokens sent and tokens that fit.
    #[serde(default)]
    figures: (Option<u64>, Option<u64>),
}

fn openrouter() -> String {
    "openrouter".to_owned()
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("rows.json")).unwrap()
}

fn client(vendor_name: &str, server: &MockServer) -> HttpProvider {
    let url = format!("{}/v1", server.uri());
    let key = Some("a-long-enough-key".into());
    client_with(Options::of(vendor(vendor_name).unwrap(), Some(url), key))
}

/// The error that comes of a row's answer.
async fn error(row: &Row) -> Error {
    let server = MockServer::start().await;
    let mut answer = ResponseTemplate::new(row.status)
        .insert_header("date", NOW)
        .set_body_json(&row.body);
    for (name, value) in &row.headers {
        answer = answer.insert_header(name.as_str(), value.as_str());
    }
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    ask(&client(&row.vendor, &server)).await.unwrap_err()
}

async fn check(rule: &str) {
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.rule == rule).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let error = error(&row).await;
        let name = format!("{error:?}");
        let name = name.split(' ').next().unwrap();
        let text = row.text.replacen('_', &row.vendor, 1);
        let wait = error.retry_after().map(|wait| wait.as_secs_f64());
        assert_eq!(
            (name, error.to_string(), wait, error.is_transient()),
            (row.class.as_str(), text, row.wait, row.is_transient),
            "row {}: {}",
            row.row,
            row.body
        );
        if let Error::ContextTooLong { tokens, limit, .. } = error {
            assert_eq!((tokens, limit), row.figures, "{}", row.vendor);
        }
    }
}

#[test]
fn every_row_of_the_table_belongs_to_a_rule_that_is_tested() {
    let rules: BTreeSet<String> = rows().into_iter().map(|row| row.rule).collect();
    assert_eq!(rules, RULES.map(str::to_owned).into());
}

#[tokio::test]
async fn rows_1_to_16_what_is_wrong_with_a_request_or_its_model_is_said_and_not_repeated() {
    check("request").await;
}

#[tokio::test]
async fn row_2_a_prompt_that_is_too_long_is_told_with_its_figures() {
    check("length").await;
}

#[tokio::test]
async fn rows_5_to_8_and_75_missing_money_waits_for_a_person_and_taken_money_for_its_return() {
    check("money").await;
}

#[tokio::test]
async fn rows_17_to_23_74_and_78_a_limit_waits_as_long_as_the_server_asks() {
    check("limit").await;
}

#[tokio::test]
async fn rows_24_to_29_and_81_a_failing_server_may_be_asked_again() {
    check("failing").await;
}

#[tokio::test]
async fn rows_36_37_58_and_76_an_error_in_a_good_answer_counts_by_its_code_or_its_words() {
    check("inside").await;
}

#[tokio::test]
async fn row_12_a_model_that_is_gone_names_the_one_in_its_place() {
    let gone = rows().into_iter().find(|row| row.row == 12).unwrap();
    assert_eq!(
        error(&gone).await.help().as_deref(),
        Some("did you mean 'tiny-2'?")
    );
}

#[tokio::test]
async fn row_82_a_server_that_was_started_without_tools_is_known_from_then_on() {
    let server = MockServer::start().await;
    let answer = json!({"error": {"message": "needs --enable-auto-tool-choice"}});
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(400).set_body_json(&answer))
        .mount(&server)
        .await;
    let client = client("vllm", &server);
    assert!(spawn(&client, "tiny").await.is_ok());
    let messages = greeting();
    let asked = client.send_message(&request(&messages), &NoDeltas).await;
    assert!(matches!(asked, Err(Error::BadRequest { .. })), "{asked:?}");
    let looked_up = spawn(&client, "tiny").await;
    assert!(
        matches!(looked_up, Err(Error::NoTools { .. })),
        "{looked_up:?}"
    );
}

#[tokio::test]
async fn row_79_a_model_that_ollama_has_not_fetched_says_how_to_fetch_it() {
    let missing = rows().into_iter().find(|row| row.row == 79).unwrap();
    assert_eq!(
        error(&missing).await.help().as_deref(),
        Some("fetch it first: ollama pull tiny")
    );
}

#[tokio::test]
async fn row_80_a_prompt_that_the_server_cut_is_warned_of() {
    for (read, is_cut) in [(50, true), (1_400, false)] {
        let (log, _guard) = Log::begin();
        let server = MockServer::start().await;
        let answer = json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": read, "completion_tokens": 1}});
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
            .mount(&server)
            .await;
        let messages = [Message::User {
            text: "word ".repeat(1_200),
        }];
        let client = client("ollama", &server);
        client
            .send_message(&request(&messages), &NoDeltas)
            .await
            .unwrap();
        let warned = log
            .text()
            .contains("the server seems to have cut the prompt");
        assert_eq!(warned, is_cut, "{read}");
    }
}

#[tokio::test]
async fn row_34_a_name_that_leads_nowhere_may_be_tried_again() {
    let url = Some("https://no-such-host.invalid/v1".to_owned());
    let client = client_with(Options::of(
        vendor("openai").unwrap(),
        url,
        Some("a-key".into()),
    ));
    let error = ask(&client).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }) && error.is_transient(),
        "{error:?}"
    );
}
