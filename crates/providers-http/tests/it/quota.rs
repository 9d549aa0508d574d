//! Rows 17, 8, 48, 68 to 72, 74: what is left at a provider, and what its models cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fusion_core::{Cost, Timestamp};
use fusion_providers::{
    Ability, CostSource, Model, Price, Provider, QuotaLimit, QuotaSource, QuotaUnit,
};
use fusion_providers_http::{HttpProvider, Options, vendor};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{ask, client_with, ok, spawn};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn at(server: &MockServer, name: &str) -> HttpProvider {
    let url = format!("{}/v1", server.uri());
    client_with(Options::of(
        vendor(name).unwrap(),
        Some(url),
        Some("a-long-enough-key".into()),
    ))
}

async fn answer(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(format!("/v1{at}")))
        .respond_with(answer)
        .mount(server)
        .await;
}

fn limit(unit: QuotaUnit, source: QuotaSource) -> QuotaLimit {
    QuotaLimit {
        unit,
        window: None,
        limit: None,
        remaining: None,
        used: None,
        resets_at: None,
        source,
        told_at: NOW,
    }
}

fn amount(text: &str) -> Option<rust_decimal::Decimal> {
    Some(text.parse().unwrap())
}

fn usd(text: &str) -> Cost {
    Cost::from_usd(text.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn row_68_the_account_of_a_key_is_told_exactly() {
    let server = MockServer::start().await;
    let key = json!({"data": {"limit": 100, "limit_remaining": 74.5, "limit_reset": "monthly", "usage": 300.25,
        "free_model_daily_requests": {"used": 12, "limit": 50, "remaining": 38}}});
    answer(&server, "GET", "/key", ok(&key)).await;
    let credits = json!({"data": {"total_credits": 110.5, "total_usage": 25.25}});
    answer(&server, "GET", "/credits", ok(&credits)).await;
    let info = at(&server, "openrouter").get_quota_info().await.unwrap();
    assert_eq!(
        info.limits,
        [
            QuotaLimit {
                window: Some("monthly".into()),
                limit: amount("100"),
                remaining: amount("74.5"),
                used: amount("25.5"),
                ..limit(QuotaUnit::Credit, QuotaSource::Key)
            },
            QuotaLimit {
                window: Some("day".into()),
                limit: amount("50"),
                remaining: amount("38"),
                used: amount("12"),
                ..limit(QuotaUnit::Requests, QuotaSource::Key)
            },
            QuotaLimit {
                limit: amount("110.5"),
                remaining: amount("85.25"),
                used: amount("25.25"),
                ..limit(QuotaUnit::Credit, QuotaSource::Credits)
            },
        ]
    );
}

#[tokio::test]
async fn rows_69_and_71_no_cap_is_not_zero_and_a_hidden_credit_is_left_out() {
    let server = MockServer::start().await;
    let key = json!({"data": {"limit": null, "limit_remaining": null, "limit_reset": null, "usage": 1.5}});
    answer(&server, "GET", "/key", ok(&key)).await;
    answer(&server, "GET", "/credits", ResponseTemplate::new(403)).await;
    let info = at(&server, "openrouter").get_quota_info().await.unwrap();
    let expected = QuotaLimit {
        used: amount("1.5"),
        ..limit(QuotaUnit::Credit, QuotaSource::Key)
    };
    assert_eq!(info.limits, [expected]);
}

#[tokio::test]
async fn row_70_an_account_that_can_t_be_asked_is_shown_as_it_was_or_is_an_error() {
    for status in [401, 500] {
        let server = MockServer::start().await;
        let key = json!({"data": {"limit": 5, "limit_remaining": 4}});
        Mock::given(path("/v1/key"))
            .respond_with(ok(&key))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        answer(&server, "GET", "/key", ResponseTemplate::new(status)).await;
        let client = at(&server, "openrouter");
        let first = client.get_quota_info().await.unwrap();
        assert_eq!(first.limits[0].remaining, amount("4"));
        assert_eq!(client.get_quota_info().await.unwrap(), first, "{status}");
        assert!(at(&server, "openrouter").get_quota_info().await.is_err());
    }
}

#[tokio::test]
async fn rows_8_and_17_a_limit_that_an_error_tells_is_kept() {
    let budget = json!({"error": {"message": "so", "metadata": {"limit_source": "openrouter_key_limit",
        "limit_usd": 10, "spend_usd": 10.5, "resets_at": "2026-12-01T00:00:00Z"}}});
    let rate = json!({"error": {"message": "Rate limit exceeded: free-models-per-min", "metadata": {"headers": {
        "X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795608030000"}}}});
    let expected = [
        QuotaLimit {
            limit: amount("10"),
            used: amount("10.5"),
            remaining: amount("0"),
            resets_at: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            ..limit(QuotaUnit::Credit, QuotaSource::Error)
        },
        QuotaLimit {
            window: Some("minute".into()),
            limit: amount("20"),
            remaining: amount("0"),
            resets_at: Some("2026-11-25T12:00:30Z".parse().unwrap()),
            ..limit(QuotaUnit::Requests, QuotaSource::Error)
        },
    ];
    for ((status, body), expected) in [(403, budget), (429, rate)].into_iter().zip(expected) {
        let server = MockServer::start().await;
        let refusal = ResponseTemplate::new(status).set_body_json(body);
        answer(&server, "POST", "/chat/completions", refusal).await;
        let client = at(&server, "openai");
        ask(&client).await.unwrap_err();
        assert_eq!(client.get_quota_info().await.unwrap().limits, [expected]);
    }
}

#[tokio::test]
async fn row_74_all_headers_of_anthropic_are_kept_and_the_newest_count() {
    let server = MockServer::start().await;
    for (remaining, times) in [("9", 1), ("8", 9)] {
        let mut good =
            ok(&json!({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}));
        for part in ["requests", "tokens", "input-tokens", "output-tokens"] {
            let name = |end: &str| format!("anthropic-ratelimit-{part}-{end}");
            good = good
                .insert_header(name("limit").as_str(), "10")
                .insert_header(name("remaining").as_str(), remaining)
                .insert_header(name("reset").as_str(), "2026-11-25T12:00:00Z");
        }
        Mock::given(path("/v1/messages"))
            .respond_with(good)
            .up_to_n_times(times)
            .mount(&server)
            .await;
    }
    let client = at(&server, "anthropic");
    ask(&client).await.unwrap();
    ask(&client).await.unwrap();
    let units = [
        QuotaUnit::Requests,
        QuotaUnit::Tokens,
        QuotaUnit::InputTokens,
        QuotaUnit::OutputTokens,
    ];
    let expected = units.map(|unit| QuotaLimit {
        limit: amount("10"),
        remaining: amount("8"),
        resets_at: Some("2026-11-25T12:00:00Z".parse().unwrap()),
        ..limit(unit, QuotaSource::Headers)
    });
    assert_eq!(client.get_quota_info().await.unwrap().limits, expected);
}

#[tokio::test]
async fn headers_that_tell_a_time_from_now_are_understood() {
    let server = MockServer::start().await;
    let good = ok(&json!({"choices": [{"message": {"content": "x"}}]}))
        .insert_header("x-ratelimit-limit-tokens", "1000")
        .insert_header("x-ratelimit-remaining-tokens", "900")
        .insert_header("x-ratelimit-reset-tokens", "1h2m3.5s");
    answer(&server, "POST", "/chat/completions", good).await;
    let client = at(&server, "openai");
    assert_eq!(client.told_quota(), None);
    ask(&client).await.unwrap();
    let told = client.told_quota();
    let expected = QuotaLimit {
        limit: amount("1000"),
        remaining: amount("900"),
        resets_at: Some("1970-01-01T01:02:03.5Z".parse().unwrap()),
        ..limit(QuotaUnit::Tokens, QuotaSource::Headers)
    };
    // The layers hear of it without asking, for their warning.
    assert_eq!(told.unwrap().limits, std::slice::from_ref(&expected));
    assert_eq!(client.get_quota_info().await.unwrap().limits, [expected]);
}

/// A list of two pages with every way to tell a price.
async fn priced() -> MockServer {
    let server = MockServer::start().await;
    let first = json!({"total_count": 3, "links": {"next": "/v1/models?offset=1"}, "data": [{
        "id": "tiny", "name": "Tiny", "context_length": 4096,
        "pricing": {"prompt": "0.0000000075", "completion": "0.000015", "request": "0.001", "image": "0"},
        "top_provider": {"context_length": 4000, "max_completion_tokens": 512},
        "supported_parameters": ["tools", "structured_outputs"]
    }]});
    let second = json!({"links": {"next": null}, "data": [
        {"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}, "supported_parameters": ["temperature"]},
        {"id": "plain", "max_model_len": 2048}
    ]});
    Mock::given(path("/v1/models"))
        .and(query_param("offset", "1"))
        .respond_with(ok(&second))
        .mount(&server)
        .await;
    Mock::given(path("/v1/models"))
        .and(query_param_is_missing("offset"))
        .respond_with(ok(&first))
        .mount(&server)
        .await;
    server
}

fn model(id: &str) -> Model {
    Model {
        id: id.into(),
        name: None,
        context_length: None,
        max_output_tokens: None,
        price: None,
        tools: Ability::Unknown,
        json_schema: Ability::Unknown,
    }
}

fn price() -> Price {
    Price {
        input_token: usd("0.0000000075"),
        output_token: usd("0.000015"),
        request: usd("0.001"),
    }
}

#[tokio::test]
async fn row_72_a_list_of_models_is_read_whole_with_exact_prices() {
    let server = priced().await;
    let catalog = at(&server, "openrouter")
        .list_models()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(catalog.read_at, NOW);
    assert_eq!(
        catalog.models,
        [
            Model {
                name: Some("Tiny".into()),
                context_length: Some(4096),
                max_output_tokens: Some(512),
                price: Some(price()),
                tools: Ability::Yes,
                json_schema: Ability::Yes,
                ..model("tiny")
            },
            Model {
                tools: Ability::No,
                json_schema: Ability::No,
                ..model("auto")
            },
            Model {
                context_length: Some(2048),
                ..model("plain")
            },
        ]
    );
}

/// Cost and its source of a turn with this usage and this model in the answer.
async fn cost(usage: Value, served: &str) -> (Cost, CostSource) {
    let server = priced().await;
    let body = json!({"model": served, "usage": usage, "choices": [{"message": {"content": "x"}}]});
    answer(&server, "POST", "/chat/completions", ok(&body)).await;
    let client = at(&server, "openrouter");
    let info = spawn(&client, "tiny").await.unwrap();
    assert_eq!(info.price, Some(price()));
    let turn = ask(&client).await.unwrap();
    (turn.usage.cost, turn.cost_source)
}

#[tokio::test]
async fn rows_48_and_49_a_cost_that_is_not_told_is_computed_from_the_price_of_the_model_that_answered()
 {
    let told =
        json!({"prompt_tokens": 2, "completion_tokens": 3, "cost": 0.000_42, "is_byok": false});
    assert_eq!(
        cost(told, "tiny").await,
        (usd("0.00042"), CostSource::Provider)
    );
    let untold = || json!({"prompt_tokens": 2, "completion_tokens": 3});
    assert_eq!(
        cost(untold(), "tiny").await,
        (usd("0.001045015"), CostSource::Computed)
    );
    // One that is not listed costs what was asked for.
    assert_eq!(
        cost(untold(), "other").await,
        (usd("0.001045015"), CostSource::Computed)
    );
}

#[tokio::test]
async fn a_list_that_was_read_a_moment_ago_is_not_read_again_for_a_model_that_is_in_it() {
    let server = priced().await;
    let client = at(&server, "openrouter");
    for name in ["tiny", "plain", "tiny"] {
        let request = fusion_providers::ModelRequest {
            model: name,
            needs_tools: false,
            needs_json_schema: false,
            base_dir: std::path::Path::new("."),
            steps: &[],
        };
        client.spawn_agent(&request).await.unwrap();
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

/// Counts down with each call, good or limited, and answers after a time of its own: the later of two
/// calls may be answered first.
struct Countdown(AtomicUsize);

const LIMIT: usize = 100;

impl Respond for Countdown {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let used = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = if used.is_multiple_of(5) {
            ResponseTemplate::new(429)
        } else {
            ok(&json!({"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}))
        };
        let delay = u64::try_from(used * 7 % 11).unwrap();
        answer
            .set_delay(Duration::from_millis(delay))
            .insert_header("anthropic-ratelimit-requests-limit", LIMIT.to_string())
            .insert_header(
                "anthropic-ratelimit-requests-remaining",
                (LIMIT - used).to_string(),
            )
            .insert_header("anthropic-ratelimit-requests-reset", "2026-11-25T12:00:00Z")
    }
}

#[tokio::test]
async fn what_is_left_equals_the_server_s_own_count_whatever_answer_comes_first() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(Countdown(AtomicUsize::new(0)))
        .mount(&server)
        .await;
    let client = Arc::new(at(&server, "anthropic"));
    let mut calls = JoinSet::new();
    for _ in 0..60 {
        let client = Arc::clone(&client);
        calls.spawn(async move { ask(&client).await.is_ok() });
    }
    let good = calls
        .join_all()
        .await
        .into_iter()
        .filter(|is_good| *is_good);
    assert_eq!(good.count(), 48);
    let limits = client.get_quota_info().await.unwrap().limits;
    assert_eq!(limits.first().unwrap().remaining, amount("40"));
}
