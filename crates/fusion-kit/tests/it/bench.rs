//! `bench` on the real binary: each row does what it says and leaves nothing.

use fusion_testkit::shared_postgres;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Project, contents};

/// What the last line says.
async fn bench(project: &Project, line: &str) -> Value {
    let words = std::iter::once("bench").chain(line.split(' '));
    let finished = project.run(words).await.expect(0);
    let last = finished.stdout.lines().last().unwrap().to_owned();
    serde_json::from_str(&last).unwrap()
}

/// The counts of a report.
fn counts(report: &Value) -> (u64, u64, u64) {
    let count = |name: &str| report[name].as_u64().unwrap();
    (count("units"), count("llm_calls"), count("steps"))
}

#[tokio::test]
async fn each_row_counts_what_it_did_and_leaves_nothing() {
    let project = Project::new();
    for (line, wanted) in [
        ("W1 --n 3 --store memory", (3, 3, 3)),
        ("W1d --n 2 --store sqlite", (2, 2, 2)),
        ("W2 --n 1 --store memory", (1, 11, 1)),
        ("W3 --n 4 --conc 2", (4, 12, 12)),
        ("W4 --n 1 --store memory", (1, 202, 202)),
        ("W7 --n 3 --conc 3", (3, 15, 15)),
        ("W9 --n 40 --conc 4", (40, 0, 40)),
        ("W6 --n 1", (1, 1, 1)),
    ] {
        let report = bench(&project, &format!("{line} --llm none --data-dir data")).await;
        assert_eq!(counts(&report), wanted, "{line}");
        assert!(report["wall"].as_f64().unwrap() > 0.0, "{report}");
        assert!(report["cpu_total"].as_f64().unwrap() > 0.0, "{report}");
        assert!(report["maxrss_mb"].as_f64().unwrap() > 1.0, "{report}");
        assert!(contents(&project.path().join("data")).is_empty(), "{line}");
    }
}

#[tokio::test]
async fn a_server_is_measured_through_its_api() {
    let project = Project::new();
    let report = bench(
        &project,
        "W3 --n 3 --conc 2 --llm none --via api --data-dir data",
    )
    .await;
    assert_eq!(counts(&report), (3, 9, 9));
    assert!(
        report["srv_cpu"]["fusion-kit"].as_f64().unwrap() > 0.0,
        "{report}"
    );
    assert!(contents(&project.path().join("data")).is_empty());
}

#[tokio::test]
async fn a_model_is_asked_over_http_where_one_is_named() {
    let server = MockServer::start().await;
    let message = json!({ "role": "assistant", "content": "Hello." });
    let answer = json!({
        "id": "1", "object": "chat.completion", "created": 0, "model": "mock",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3 },
    });
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(2 + 20)
        .mount(&server)
        .await;
    let mut project = Project::new();
    let refused = project.run(["bench", "W1"]).await.expect(2);
    refused.says(&["MOCK_URL is not set"]);
    project.set("MOCK_URL", server.uri());
    let report = bench(&project, "W1 --n 2 --store memory --data-dir data").await;
    assert_eq!(counts(&report), (2, 2, 2));
}

#[tokio::test]
async fn a_database_is_made_on_a_server_and_removed() {
    let mut project = Project::new();
    project.set("PG_URL", shared_postgres().unwrap());
    let report = bench(
        &project,
        "W3 --n 2 --conc 2 --store postgres --llm none --data-dir data",
    )
    .await;
    assert_eq!(counts(&report), (2, 6, 6));
    assert!(report["srv_cpu"]["postgres"].as_f64().is_some(), "{report}");
    assert!(report["write_bytes"].as_u64().unwrap() > 1_000, "{report}");
}

#[tokio::test]
async fn idle_agents_are_weighed() {
    let project = Project::new();
    let report = bench(
        &project,
        "W5 --n 30 --store memory --llm none --data-dir data",
    )
    .await;
    assert_eq!(counts(&report), (30, 0, 0));
    assert!(report["bytes_per_agent"].as_u64().is_some(), "{report}");
}

#[tokio::test]
async fn what_would_not_be_what_it_is_called_is_refused() {
    let project = Project::new();
    for (line, told) in [
        (
            "W5 --via api",
            "only rows whose units are runs go through a server",
        ),
        (
            "W3 --via api --store memory",
            "keeps its data in a file or on a server",
        ),
        (
            "W6 --store sqlite",
            "keeps its data in a file or on a server",
        ),
        ("W9 --n 20000 --store memory", "W9 takes 9980 tasks at most"),
        ("W1 --store postgres", "PG_URL is not set"),
    ] {
        let words = std::iter::once("bench").chain(line.split(' '));
        let words = words.chain(["--llm", "none"]);
        project.run(words).await.expect(2).says(&[told]);
    }
}
