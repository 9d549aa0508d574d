//! What keeps a server in order: limits of tokens, settings that are read again, figures, a page to read.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::client::{Answer, Request, Serving};
use crate::support::Project;

fn look(serving: &Serving, token: &str) -> Request {
    Request::new(serving.address, "GET", "/api/v1/runs")
        .header("Authorization", &format!("Bearer {token}"))
}

fn hang_up(serving: &Serving) {
    let pid = Pid::from_raw(i32::try_from(serving.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

/// Looks until the status is as wanted.
async fn until(serving: &Serving, token: &str, status: u16) -> Answer {
    let began = std::time::Instant::now();
    loop {
        let answer = look(serving, token).send().await;
        if answer.status == status {
            return answer;
        }
        crate::support::breathe(began, "the settings to be read again").await;
    }
}

#[tokio::test]
async fn a_token_asks_as_much_as_the_settings_allow_until_they_are_read_again() {
    let project = Project::new();
    project.write(".env", "API_REQUESTS_PER_MINUTE=4\n");
    let serving = Serving::on(&project).await;
    let other = json!({ "name": "other", "scope": "read" });
    let made = serving.post("/api/v1/tokens", &other).await.expect(201);
    let other = made.json()["secret"].as_str().unwrap().to_owned();
    let refused = until(&serving, &other, 429).await;
    assert_eq!(refused.json()["error"], "limited");
    let wait: u64 = refused.headers["retry-after"].parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // Each token by itself.
    look(&serving, &serving.token).send().await.expect(200);
    project.write(
        ".env",
        "API_REQUESTS_PER_MINUTE=\nAPI_ALLOWED_HOSTS=fusion.test\n",
    );
    let named = || look(&serving, &other).header("Host", "fusion.test");
    named().send().await.expect(421);
    hang_up(&serving);
    until(&serving, &other, 200).await;
    named().send().await.expect(200);
    // What is wrong leaves all as it was.
    project.write(".env", "API_REQUESTS_PER_MINUTE=many\n");
    hang_up(&serving);
    hang_up(&serving);
    for _ in 0..20 {
        named().send().await.expect(200);
    }
}

#[tokio::test]
async fn a_limit_that_is_no_number_is_refused_at_the_start() {
    let mut project = Project::new();
    project.set("API_REQUESTS_PER_MINUTE", "0");
    let refused = project.run(["serve", "--port", "0"]).await.expect(2);
    refused.says(&["API_REQUESTS_PER_MINUTE is '0'", "from 1 to 1000000"]);
}

#[tokio::test]
async fn figures_tell_what_there_is() {
    let project = Project::new();
    project.write(
        "script.yaml",
        "version: 1\nsteps:\n  task: [{ text: done }]\n",
    );
    let serving = Serving::on(&project).await;
    let agent = json!({
        "name": "w", "provider": "scripted", "model_name": project.path().join("script.yaml"),
    });
    serving.post("/api/v1/agents", &agent).await.expect(201);
    serving.get("/api/v1/agents/x").await.expect(400);
    let _socket = serving.socket("").await;
    let answer = serving.get("/metrics").await.expect(200);
    assert_eq!(
        answer.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for line in [
        "fusion_agents{state=\"idle\"} 1",
        "fusion_agents{state=\"working\"} 0",
        "fusion_tasks{state=\"queued\"} 0",
        "fusion_runs{state=\"running\"} 0",
        "fusion_stream_readers 1",
        "fusion_http_answers_total{status=\"4xx\"} 1",
        "# EOF",
    ] {
        assert!(
            answer.body.lines().any(|told| told == line),
            "{line}\n{}",
            answer.body
        );
    }
    let bare = Request::new(serving.address, "GET", "/metrics");
    bare.send().await.expect(401);
}

#[tokio::test]
async fn the_page_of_the_api_tells_every_route_and_loads_nothing_from_elsewhere() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let page = Request::new(serving.address, "GET", "/reference");
    let page = page.send().await.expect(200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = &page.headers["content-security-policy"];
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let script = "<script src=\"reference/page.js\"></script>";
    assert_eq!(page.body.matches(script).count(), 1);
    let body = page.body.replace(script, "");
    let loads = [
        "<script", "<link", "<img", "src=", "href=", "@import", "url(",
    ];
    assert!(loads.iter().all(|part| !body.contains(part)));
    let script = Request::new(serving.address, "GET", "/reference/page.js");
    let script = script.send().await.expect(200);
    assert_eq!(script.headers["content-type"], "text/javascript");
    let described = serving.get("/api/v1/openapi.json").await.expect(200).json();
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let heading = format!("<h3>{} {path}</h3>", method.to_uppercase());
            assert!(page.body.contains(&heading), "{heading}");
        }
    }
}
