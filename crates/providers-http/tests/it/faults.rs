use std::time::{Duration, Instant};

use fusion_core::{Coded, ErrorCode};
use fusion_providers::{Error, RetryOptions, Retrying};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{answering, ask, client, ok};

/// Text, code and demanded wait in seconds of the error that comes of this answer.
async fn fault(answer: ResponseTemplate) -> (String, ErrorCode, Option<f64>) {
    let server = answering(answer).await;
    let error = ask(&client(&server.uri())).await.unwrap_err();
    let wait = error.retry_after().map(|wait| wait.as_secs_f64());
    let text = error.to_string().replace(&server.uri(), "SERVER");
    (text, error.code(), wait)
}

async fn check(status: u16, body: &Value, text: &str, code: ErrorCode) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    let (got, got_code, _) = fault(answer).await;
    assert_eq!((got.as_str(), got_code), (text, code), "{status} {body}");
}

#[tokio::test]
async fn every_status_has_its_error() {
    use ErrorCode::{Denied, InvalidInput, Limited, Unavailable};
    let said = json!({"error": {"message": "so"}});
    let cases: [(&[u16], &str, ErrorCode); 5] = [
        (
            &[400, 404, 413, 418, 422],
            "can't do this request (STATUS)",
            InvalidInput,
        ),
        (&[401, 403], "refused the request (STATUS)", Denied),
        (&[402], "wants to be paid first", Denied),
        (&[429], "limits the requests", Limited),
        (
            &[408, 500, 502, 503, 504, 524, 529],
            "failed (STATUS)",
            Unavailable,
        ),
    ];
    for (statuses, words, code) in cases {
        for status in statuses {
            let words = words.replace("STATUS", &status.to_string());
            let text = format!("openai-compatible {words}: so");
            check(*status, &said, &text, code).await;
        }
    }
}

#[tokio::test]
async fn the_message_is_found_in_every_shape() {
    let cases = [
        (json!({"error": {"message": "so", "code": 400}}), "so"),
        (json!({"error": "so"}), "so"),
        (json!({"message": "so", "type": "x"}), "so"),
        (json!({"detail": "so"}), "so"),
        (
            json!({"error": {"message": "Provider returned error", "metadata": {"raw": "so"}}}),
            "Provider returned error: so",
        ),
        (json!({"error": {"code": 400}}), "no reason given"),
        (json!([1]), "no reason given"),
    ];
    for (body, words) in cases {
        let text = format!("openai-compatible can't do this request (400): {words}");
        check(400, &body, &text, ErrorCode::InvalidInput).await;
    }
}

#[tokio::test]
async fn the_words_beside_a_status_can_change_its_meaning() {
    let in_flight =
        json!({"error": {"message": "so", "metadata": {"reason": "in_flight_budget_exhausted"}}});
    let no_money = json!({"error": {"message": "so", "code": "insufficient_quota"}});
    let key_limit =
        json!({"error": {"message": "so", "metadata": {"limit_source": "openrouter_key_limit"}}});
    let passing = json!({"error": {"message": "so", "availability": {"code": "no_endpoints", "retryable": true}}});
    let not_there = json!({"error": {"message": "model \"tiny\" not found, try pulling it first"}});
    let not_valid = json!({"error": {"message": "tiny is not a valid model ID"}});
    let cases = [
        (
            402,
            in_flight,
            "openai-compatible limits the requests: so",
            ErrorCode::Limited,
        ),
        (
            429,
            no_money,
            "openai-compatible wants to be paid first: so",
            ErrorCode::Denied,
        ),
        (
            403,
            key_limit,
            "openai-compatible wants to be paid first: so",
            ErrorCode::Denied,
        ),
        (
            404,
            passing,
            "openai-compatible failed (404): so",
            ErrorCode::Unavailable,
        ),
        (
            404,
            not_there,
            "openai-compatible has no model 'tiny'",
            ErrorCode::NotFound,
        ),
        (
            400,
            not_valid,
            "openai-compatible has no model 'tiny'",
            ErrorCode::NotFound,
        ),
    ];
    for (status, body, text, code) in cases {
        check(status, &body, text, code).await;
    }
}

#[tokio::test]
async fn a_404_without_a_reason_means_that_the_base_url_is_wrong() {
    let text = "openai-compatible is not set up right: there is no such API at SERVER/v1 (404); \
                the base URL mostly ends in /v1";
    let bodies = [
        ResponseTemplate::new(404),
        ResponseTemplate::new(404).set_body_string("<html>Not Found</html>"),
        ResponseTemplate::new(404).set_body_json(json!({"detail": "Not Found"})),
        ResponseTemplate::new(404).set_body_json(json!({"error": {"message": "File Not Found"}})),
    ];
    for body in bodies {
        assert_eq!(
            fault(body).await,
            (text.to_owned(), ErrorCode::InvalidInput, None)
        );
    }
}

#[tokio::test]
async fn a_web_page_as_error_is_shown_without_its_tags() {
    let page = "<html>\n<body><h1>502 Bad Gateway</h1>\u{7}nginx</body></html>";
    let (text, _, _) = fault(ResponseTemplate::new(502).set_body_string(page)).await;
    assert_eq!(
        text,
        "openai-compatible failed (502): 502 Bad Gateway nginx"
    );
}

#[tokio::test]
async fn the_wait_is_read_from_headers_and_body() {
    let limited = || ResponseTemplate::new(429).set_body_json(json!({"error": {"message": "so"}}));
    let in_body = json!({"error": {"message": "so", "availability": {"retry_after": 40}}});
    let cases = [
        (limited(), None),
        (limited().insert_header("retry-after", "7"), Some(7.0)),
        (
            ResponseTemplate::new(503).insert_header("retry-after", "2"),
            Some(2.0),
        ),
        (
            ResponseTemplate::new(429).set_body_json(in_body),
            Some(40.0),
        ),
        (ResponseTemplate::new(529), Some(2.0)),
    ];
    for (answer, expected) in cases {
        assert_eq!(fault(answer).await.2, expected);
    }
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_an_error() {
    let limited = json!({"error": {"code": 429, "message": "so"}});
    let as_text = json!({"error": {"code": "429", "message": "so"}, "choices": []});
    let in_choice = json!({"choices": [{
        "message": {"content": "half"}, "finish_reason": "error",
        "error": {"code": 503, "message": "so"}
    }]});
    let unsaid = json!({"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]});
    let cases = [
        (limited, "openai-compatible limits the requests: so"),
        (as_text, "openai-compatible limits the requests: so"),
        (in_choice, "openai-compatible failed (503): so"),
        (unsaid, "openai-compatible failed (502): the model failed"),
    ];
    for (body, text) in cases {
        assert_eq!(fault(ok(&body)).await.0, text, "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_may_be_cut_is_never_a_turn() {
    let nothing = json!({"choices": [{"message": {"content": ""}, "finish_reason": null}]});
    let no_message = json!({"choices": [{}]});
    let text =
        "the answer of openai-compatible is not complete: it has no content and no finish reason";
    for body in [nothing, no_message] {
        let (got, code, _) = fault(ok(&body)).await;
        assert_eq!((got.as_str(), code), (text, ErrorCode::Unavailable));
    }
    let half = r#"{"choices":[{"message":{"content":"half of an ans"#;
    for (body, what) in [("", "it is empty"), (half, "its JSON ends too early")] {
        let (got, code, _) = fault(ResponseTemplate::new(200).set_body_string(body)).await;
        let text = format!("the answer of openai-compatible is not complete: {what}");
        assert_eq!((got, code), (text, ErrorCode::Unavailable));
    }
}

#[tokio::test]
async fn an_answer_in_another_format_is_shown_by_its_beginning() {
    let page = format!("<html><title>Sign in</title>{}", "é".repeat(400));
    let answer = ResponseTemplate::new(200).set_body_raw(page, "text/html");
    let (text, code, _) = fault(answer).await;
    let sample = format!("Sign in {}", "é".repeat(192));
    assert!(
        text.starts_with("openai-compatible sent an answer that can't be read ("),
        "{text}"
    );
    assert!(text.ends_with(&format!("): {sample}")), "{text}");
    assert_eq!(code, ErrorCode::Unavailable);
    let (text, _, _) = fault(ok(&json!({"object": "list"}))).await;
    assert_eq!(
        text,
        "openai-compatible sent an answer that can't be read (it has no choices): {\"object\":\"list\"}"
    );
}

#[tokio::test]
async fn a_repeat_waits_as_long_as_the_server_asks() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after-ms", "700"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ok(
            &json!({"choices": [{"message": {"content": "at last"}}]}),
        ))
        .mount(&server)
        .await;
    let provider = Retrying::new(client(&server.uri()), RetryOptions::default());
    let start = Instant::now();
    assert_eq!(ask(&provider).await.unwrap().text, "at last");
    assert!(
        start.elapsed() >= Duration::from_millis(700),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start().await;
    let answer = ResponseTemplate::new(307).insert_header(
        "location",
        format!("{}/v1/chat/completions", elsewhere.uri()),
    );
    let server = answering(answer).await;
    let error = ask(&client(&server.uri())).await.unwrap_err();
    assert!(matches!(error, Error::Setup { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "openai-compatible is not set up right: {}/v1 redirects to {}/v1/chat/completions; \
             set the base URL to the final place",
            server.uri(),
            elsewhere.uri()
        )
    );
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}
