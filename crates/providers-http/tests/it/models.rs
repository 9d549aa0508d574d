use std::time::Duration;

use fusion_providers::{Ability, Error, ModelInfo};
use fusion_providers_http::{Limits, Options};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{client, client_with, listing, ok, spawn};

/// What the server with this list says about a model.
async fn look_up(list: &Value, model: &str) -> Result<ModelInfo, Error> {
    let server = listing(ok(list)).await;
    spawn(&client(&server.uri()), model).await
}

fn found(model: &str) -> ModelInfo {
    ModelInfo {
        model: model.into(),
        scripted: false,
        context_length: None,
        max_output_tokens: None,
        price: None,
        tools: Ability::Unknown,
        json_schema: Ability::Unknown,
    }
}

fn nearest(result: Result<ModelInfo, Error>) -> Option<String> {
    match result {
        Err(Error::UnknownModel { nearest, .. }) => nearest,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listed_model_is_found() {
    let list = json!({"object": "list", "data": [{"id": "other"}, {"id": "tiny"}]});
    assert_eq!(look_up(&list, "tiny").await.unwrap(), found("tiny"));
}

#[tokio::test]
async fn a_bare_list_and_a_left_out_tag_are_understood() {
    let bare = json!([{"id": "tiny"}, {"name": "no id"}]);
    assert_eq!(look_up(&bare, "tiny").await.unwrap(), found("tiny"));
    let tagged = json!({"data": [{"id": "tiny:latest"}]});
    assert_eq!(look_up(&tagged, "tiny").await.unwrap(), found("tiny"));
}

#[tokio::test]
async fn an_unknown_model_is_answered_with_the_nearest_or_the_only_one() {
    let list = json!({"data": [{"id": "vendor/sonnet-4.5"}, {"id": "vendor/mini"}]});
    let result = look_up(&list, "vendor/sonet-4.5").await;
    assert_eq!(nearest(result).as_deref(), Some("vendor/sonnet-4.5"));
    assert_eq!(nearest(look_up(&list, "qqq").await), None);
    let only = json!({"data": [{"id": "tiny"}]});
    assert_eq!(
        nearest(look_up(&only, "qqq").await).as_deref(),
        Some("tiny")
    );
    assert_eq!(nearest(look_up(&json!({"data": null}), "tiny").await), None);
}

#[tokio::test]
async fn a_server_without_a_list_is_taken_at_its_word() {
    for status in [404, 405, 501] {
        let server = listing(ResponseTemplate::new(status)).await;
        let result = spawn(&client(&server.uri()), "tiny").await;
        assert_eq!(result.unwrap(), found("tiny"), "{status}");
    }
}

#[tokio::test]
async fn a_failing_list_is_an_error() {
    let server = listing(ResponseTemplate::new(401)).await;
    let error = spawn(&client(&server.uri()), "tiny").await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { status: 401, .. }),
        "{error:?}"
    );
    let server = listing(ResponseTemplate::new(200).set_body_string("<html>")).await;
    let error = spawn(&client(&server.uri()), "tiny").await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_model_that_is_said_to_have_no_tools_is_refused() {
    let list = json!({"data": [{"id": "tiny", "supported_parameters": ["temperature"]}]});
    let error = look_up(&list, "tiny").await.unwrap_err();
    assert!(matches!(error, Error::NoTools { .. }), "{error:?}");
    let list = json!({"data": [{"id": "tiny", "supported_parameters": ["tools"]}]});
    let able = ModelInfo {
        tools: Ability::Yes,
        json_schema: Ability::No,
        ..found("tiny")
    };
    assert_eq!(look_up(&list, "tiny").await.unwrap(), able);
}

#[tokio::test]
async fn a_variant_of_the_vendor_means_its_model() {
    let server = listing(ok(&json!({"data": [{"id": "tiny"}, {"id": "big"}]}))).await;
    let client = client_with(Options {
        base_url: format!("{}/v1", server.uri()),
        ..Options::openrouter(Some("a-long-enough-key".into()))
    });
    let info = spawn(&client, "tiny:nitro").await.unwrap();
    assert_eq!(info, found("tiny:nitro"));
    let unknown = spawn(&client, "tiny:other").await;
    assert_eq!(nearest(unknown).as_deref(), Some("tiny"));
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let server = MockServer::start().await;
    let page = |body: Value| {
        Mock::given(method("GET"))
            .and(path("/v1/models"))
            .respond_with(ok(&body))
    };
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .and(query_param("offset", "1"))
        .respond_with(ok(
            &json!({"data": [{"id": "second"}], "links": {"next": null}}),
        ))
        .mount(&server)
        .await;
    page(json!({"data": [{"id": "first"}], "links": {"next": "/v1/models?offset=1"}}))
        .mount(&server)
        .await;
    let client = client(&server.uri());
    assert_eq!(spawn(&client, "second").await.unwrap(), found("second"));
}

#[tokio::test]
async fn a_list_that_does_not_come_in_time_is_not_waited_for() {
    let server = listing(ok(&json!([])).set_delay(Duration::from_secs(60))).await;
    let limit = Duration::from_millis(200);
    let client = client_with(Options {
        limits: Limits {
            lookup: limit,
            ..Limits::default()
        },
        ..Options::openai_compatible(format!("{}/v1", server.uri()), None)
    });
    let error = spawn(&client, "tiny").await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { limit: told, .. } if told == limit),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_list_without_end_is_left() {
    let endless = json!({"data": [{"id": "a"}], "links": {"next": "/v1/models?offset=1"}});
    let server = listing(ok(&endless)).await;
    assert_eq!(nearest(spawn(&client(&server.uri()), "zzz").await), None);
    assert_eq!(server.received_requests().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_next_page_at_another_server_is_not_asked_for() {
    let elsewhere = MockServer::start().await;
    let next = format!("{}/v1/models", elsewhere.uri());
    let server = MockServer::start().await;
    Mock::given(path("/v1/models"))
        .and(query_param_is_missing("offset"))
        .respond_with(ok(&json!({"data": [], "links": {"next": next}})))
        .mount(&server)
        .await;
    let error = spawn(&client(&server.uri()), "tiny").await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}
