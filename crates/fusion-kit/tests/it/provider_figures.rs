//! Prices and quotas of OpenRouter, as the commands tell them.

use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::model_server::text;
use crate::providers::{add, answering, project};
use crate::support::Project;

/// A server that stands in for OpenRouter, with this account of the key and of the credit.
async fn openrouter(key: ResponseTemplate, credits: ResponseTemplate) -> (MockServer, String) {
    let server = MockServer::start().await;
    let models = json!({ "data": [
        { "id": "free/model", "context_length": 8192, "pricing": { "prompt": "0", "completion": "0" },
          "supported_parameters": ["tools"] },
        { "id": "dear/model", "context_length": 131_072, "name": "Dear: Model",
          "pricing": { "prompt": "0.00000125", "completion": "0.00001" },
          "supported_parameters": ["tools", "structured_outputs"] },
        { "id": "cheap/model", "context_length": 32_768,
          "pricing": { "prompt": "0.00000005", "completion": "0.0000004" },
          "supported_parameters": ["tools"] },
        { "id": "any/model", "pricing": { "prompt": "-1", "completion": "-1" },
          "supported_parameters": [] },
    ]});
    let answer = json!({
        "id": "gen-1", "model": "cheap/model-0901",
        "choices": [{ "finish_reason": "stop", "message": { "content": "ready" } }],
        "usage": { "prompt_tokens": 12, "completion_tokens": 1, "cost": 0.000_001 },
    });
    for (verb, place, answer) in [
        (
            "GET",
            "/v1/models",
            ResponseTemplate::new(200).set_body_json(models),
        ),
        ("GET", "/v1/key", key),
        ("GET", "/v1/credits", credits),
        (
            "POST",
            "/v1/chat/completions",
            ResponseTemplate::new(200).set_body_json(answer),
        ),
    ] {
        let mock = Mock::given(method(verb)).and(path(place));
        mock.respond_with(answer).mount(&server).await;
    }
    let url = format!("{}/v1", server.uri());
    (server, url)
}

fn capped() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "data": {
        "limit": 100, "limit_remaining": 74.5, "limit_reset": "monthly", "usage": 25.5,
    }}))
}

fn closed() -> ResponseTemplate {
    ResponseTemplate::new(403).set_body_json(json!({ "error": { "message": "a management key" } }))
}

async fn with(key: ResponseTemplate, credits: ResponseTemplate) -> (Project, MockServer) {
    let (server, url) = openrouter(key, credits).await;
    let project = project();
    add(&project, "or", &url, &["--type", "openrouter"])
        .await
        .expect(0);
    (project, server)
}

/// Without what differs each time.
fn timeless(mut limit: Value) -> Value {
    assert!(limit["told_at"].is_string());
    limit["told_at"] = Value::Null;
    limit
}

#[tokio::test]
async fn the_quota_is_the_servers_own_account_of_the_key() {
    let (project, _server) = with(capped(), closed()).await;
    let quota = project
        .run(["provider", "quota", "or", "--json"])
        .await
        .expect(0)
        .json();
    let limits = quota["limits"].as_array().unwrap();
    assert_eq!(limits.len(), 1);
    assert_eq!(
        timeless(limits[0].clone()),
        json!({
            "unit": "credit", "window": "monthly", "limit": "100", "remaining": "74.5",
            "used": "25.5", "resets_at": null, "source": "key", "told_at": null,
        })
    );
    let shown = project
        .run(["provider", "quota", "or"])
        .await
        .expect(0)
        .stdout;
    assert!(shown.contains("$74.5   $100  $25.5"), "{shown}");
}

#[tokio::test]
async fn a_key_without_a_cap_has_an_unknown_rest_and_an_account_that_fails_is_no_nought() {
    let open = ResponseTemplate::new(200).set_body_json(
        json!({ "data": { "limit": null, "limit_remaining": null, "usage": 3.25 } }),
    );
    let (project, _server) = with(open, closed()).await;
    let shown = project
        .run(["provider", "quota", "or"])
        .await
        .expect(0)
        .stdout;
    assert!(shown.contains("unknown  no cap  $3.25"), "{shown}");

    let (project, _server) = with(ResponseTemplate::new(500), closed()).await;
    let failed = project.run(["provider", "quota", "or"]).await.expect(10);
    failed.says(&["or failed (500)"]);
    let tested = project
        .run(["provider", "test", "or"])
        .await
        .expect(0)
        .stdout;
    assert!(
        tested.contains("quota  unknown: or failed (500)"),
        "{tested}"
    );
}

#[tokio::test]
async fn a_test_without_a_model_asks_the_cheapest_that_costs_something() {
    let (project, _server) = with(capped(), closed()).await;
    let tested = project
        .run(["provider", "test", "or"])
        .await
        .expect(0)
        .stdout;
    for line in [
        "model  cheap/model-0901 (asked: cheap/model)",
        "used   13 tokens, $0.000001",
        "$74.5   $100  $25.5",
    ] {
        assert!(tested.contains(line), "'{line}' is not in:\n{tested}");
    }
}

#[tokio::test]
async fn prices_are_exact_and_one_that_varies_is_unknown() {
    let (project, _server) = with(capped(), closed()).await;
    let models = project
        .run(["provider", "models", "or"])
        .await
        .expect(0)
        .stdout;
    let lines: Vec<Vec<&str>> = models
        .lines()
        .take(5)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[1..],
        [
            vec!["free/model", "8,192", "0", "0", "yes", "no"],
            vec!["dear/model", "131,072", "1.25", "10", "yes", "yes"],
            vec!["cheap/model", "32,768", "0.05", "0.4", "yes", "no"],
            vec!["any/model", "unknown", "unknown", "unknown", "no", "no"],
        ]
    );
    let found = ["provider", "models", "or", "--search", "DEAR", "--json"];
    let found = project.run(found).await.expect(0).json();
    assert_eq!(
        (
            &found["total"],
            &found["models"][0]["name"],
            &found["models"][0]["output_usd_per_million"]
        ),
        (&json!(4), &json!("Dear: Model"), &json!("10"))
    );
}

#[tokio::test]
async fn what_a_lost_call_cost_is_asked_for_and_in_the_figures_of_the_run() {
    let cut = ResponseTemplate::new(200)
        .insert_header("x-generation-id", "gen-1")
        .set_body_string(r#"{"id":"gen-1","choices":[{"mess"#);
    let (server, url) = answering([cut, text("A poem.")]).await;
    let bill = json!({ "data": {
        "total_cost": 0.000_25, "native_tokens_prompt": 100, "native_tokens_completion": 40,
    }});
    Mock::given(method("GET"))
        .and(path("/v1/generation"))
        .and(query_param("id", "gen-1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(bill))
        .expect(1)
        .mount(&server)
        .await;
    let project = project();
    add(&project, "or", &url, &["--type", "openrouter"])
        .await
        .expect(0);
    project.write(
        "flow.yaml",
        "version: 1\nname: flow\nagents:\n  poet: { provider: or, model: tiny }\n\
         steps:\n  - { id: write, agent: poet, prompt: Write. }\n",
    );
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    let used = json!({
        "turns": 1, "input_tokens": 200, "output_tokens": 47, "cost_usd": "0.00025",
    });
    assert_eq!(
        (&shown["usage"], &shown["steps"][0]["usage"]),
        (&used, &used)
    );
}
