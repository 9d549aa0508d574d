//! No input is answered with a fault of the server.

use serde_json::json;

use super::client::Serving;
use crate::support::Project;

/// Paths that people and programs try.
fn paths() -> Vec<(&'static str, String)> {
    let id = |text: &str| format!("/api/v1/agents/{text}");
    vec![
        ("h01 encoded traversal", id("..%2f..%2fetc%2fpasswd")),
        ("h02 NUL", id("%00")),
        ("h03 SQL", id("1'%20OR%20'1'='1")),
        ("h04 300 characters", id(&"a".repeat(300))),
        ("h05 64 KiB", id(&"a".repeat(64 * 1024))),
        ("h06 CR LF", id("a%0d%0aX-Evil:%201")),
        ("h07 emoji", id("%F0%9F%92%A3")),
        ("h08 not UTF-8", id("%ff%fe")),
        ("h09 over-long dots", id("%c0%ae%c0%ae")),
        ("h10 double encoding", id("%252e%252e%252f")),
        ("h11 raw dot segments", id("../../health")),
        ("h12 empty segments", "/api//v1///agents".to_owned()),
        ("h13 broken percent", id("%zz")),
        ("h14 matrix parameter", id("x;a=b")),
        ("h15 limit -1", "/api/v1/agents?limit=-1".to_owned()),
        (
            "h16 huge limit",
            "/api/v1/agents?limit=99999999999999999999".to_owned(),
        ),
        (
            "h17 sort injection",
            "/api/v1/agents?sort=id;drop".to_owned(),
        ),
        ("a NUL in a filter", "/api/v1/projects?name=%00".to_owned()),
        ("a cursor of nobody", "/api/v1/tasks?cursor=';--".to_owned()),
        (
            "a pattern without end",
            "/api/v1/events?event_type=%5Ba-%C3%A4%5D".to_owned(),
        ),
        (
            "a year that is none",
            "/api/v1/events?since=99999-01-01T00:00:00Z".to_owned(),
        ),
        (
            "a place beyond all",
            "/api/v1/events?after=18446744073709551615".to_owned(),
        ),
        (
            "a cursor at the edge",
            "/api/v1/events?cursor=b9223372036854775807.9223372036854775807".to_owned(),
        ),
        (
            "a search of nothing",
            "/api/v1/events?q=%22%2A%28".to_owned(),
        ),
    ]
}

#[tokio::test]
async fn no_path_and_no_query_is_answered_with_a_fault_of_the_server() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    for (name, path) in paths() {
        let Some(answer) = serving.request("GET", &path).try_send().await else {
            panic!("{name}: no answer");
        };
        let is_refused = (400..500).contains(&answer.status);
        let finds_nothing = name.starts_with("a search") || name.starts_with("a cursor at");
        assert!(
            is_refused || (finds_nothing && answer.status == 200),
            "{name}: {answer:?}"
        );
        assert!(!answer.headers.contains_key("x-evil"), "{name}");
    }
    for (method, status) in [
        ("TRACE", 405),
        ("PUT", 405),
        ("BREW", 405),
        ("OPTIONS", 405),
    ] {
        let answer = serving
            .request(method, "/api/v1/runs")
            .send()
            .await
            .expect(status);
        assert_eq!(answer.headers["allow"], "GET,HEAD");
    }
    let overridden = serving
        .request("GET", "/api/v1/agents")
        .header("X-HTTP-Method-Override", "DELETE");
    overridden.send().await.expect(200);
}

fn named(name: &str) -> Vec<u8> {
    json!({ "name": name }).to_string().into_bytes()
}

/// Bodies that make no project, and the status that says so.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16)> {
    let deep = format!(
        "{{\"metadata\": {}{}}}",
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    vec![
        ("h37 empty name", named(""), 400),
        ("h38 3 MiB name", named(&"n".repeat(3 * 1024 * 1024)), 413),
        ("h39 escape codes", named("\u{1b}[31mred"), 400),
        ("h40 20000 deep", deep.into_bytes(), 400),
        (
            "h41 1e400",
            br#"{"name": "x", "metadata": {"a": 1e400}}"#.to_vec(),
            400,
        ),
        ("h42 broken JSON", b"{\"name\": ".to_vec(), 400),
        ("not UTF-8", b"{\"name\": \"\xff\"}".to_vec(), 400),
        ("a lone surrogate", br#"{"name": "\ud800"}"#.to_vec(), 400),
        (
            "a NUL",
            br#"{"name": "x", "description": "\u0000"}"#.to_vec(),
            400,
        ),
        ("a list", b"[]".to_vec(), 400),
        (
            "a field twice",
            br#"{"name": "x", "name": "y"}"#.to_vec(),
            400,
        ),
        (
            "a field twice, deep in",
            br#"{"name": "x", "metadata": {"a": 1, "a": 2}}"#.to_vec(),
            400,
        ),
        ("nothing", Vec::new(), 400),
        ("256 characters", named(&"n".repeat(256)), 400),
        (
            "a provider of nobody",
            br#"{"name": "x", "default_provider_id": "019ab3c4-0000-7000-8000-000000000000"}"#
                .to_vec(),
            400,
        ),
    ]
}

#[tokio::test]
async fn no_body_is_answered_with_a_fault_of_the_server() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let post = |body: Vec<u8>| {
        let request = serving.request("POST", "/api/v1/projects");
        request
            .header("Content-Type", "application/json")
            .body(body)
    };
    for (name, body, status) in bodies() {
        let answer = post(body).send().await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{name}"
        );
    }
    for (kind, status) in [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let request = serving
            .request("POST", "/api/v1/projects")
            .header("Content-Type", kind);
        request.body(named("x")).send().await.expect(status);
    }
    serving
        .request("POST", "/api/v1/projects")
        .body(named("x"))
        .send()
        .await
        .expect(415);
    assert_eq!(serving.get("/api/v1/projects").await.json()["total"], 0);
}

#[tokio::test]
async fn every_fault_of_a_body_is_told_at_once_with_its_place() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let body = json!({ "nmae": 1, "description": 7, "metadata": [], "default_provider_id": "x" });
    let refused = serving
        .post("/api/v1/projects", &body)
        .await
        .expect(400)
        .json();
    let mut pointers: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/default_provider_id",
            "/description",
            "/metadata",
            "/name",
            "/nmae"
        ]
    );
    assert_eq!(refused["details"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn the_parameters_that_are_described_are_those_that_are_known() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let described = serving.get("/api/v1/openapi.json").await.expect(200).json();
    let mut looked_at = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else {
            continue;
        };
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let queries = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query");
        let names: Vec<&str> = queries
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let path = path.replace("{id}", "019ab3c4-0000-7000-8000-000000000000");
        let refused = serving
            .get(&format!("{path}?zzz=1"))
            .await
            .expect(400)
            .json();
        let told = refused["details"][0].as_str().unwrap();
        let listed = match names.as_slice() {
            [] => "zzz: there are no query parameters here".to_owned(),
            some => format!(
                "zzz: there is no such query parameter; known are: {}",
                some.join(", ")
            ),
        };
        assert_eq!(told, listed, "{path}");
        looked_at += 1;
    }
    assert!(looked_at > 20);
}
