//! Commands that ask a server several times, and what they tell when it fails in between.

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use serde_json::{Value, json};

use crate::support::{Finished, Project};

const RUNS: [&str; 3] = [
    "019ab3c4-0000-7000-8000-000000000001",
    "019ab3c4-0000-7000-8000-000000000002",
    "019ab3c4-0000-7000-8000-000000000003",
];

/// More than a server takes at once.
const AGENTS: usize = 1_001;

fn answer(status: &str, body: &Value) -> Vec<Act> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    vec![Act::Send((head + &body).into_bytes())]
}

fn refusal() -> Vec<Act> {
    let body = json!({
        "type": "about:blank", "title": "Conflict", "status": 409, "detail": "it is taken",
        "instance": "/", "error": "conflict", "retryable": false, "trace_id": "t",
    });
    answer("409 Conflict", &body)
}

fn deleted(id: &str, dry_run: bool) -> Value {
    json!({
        "id": id, "workflow": "flow", "state": "completed", "runs": 1, "dry_run": dry_run,
        "workspaces": [], "left": [],
    })
}

async fn server(
    told: impl Fn(&HttpRequest) -> Vec<Act> + Send + Sync + 'static,
) -> MisbehavingHttp {
    let health = json!({
        "status": "healthy", "database": "connected", "bus": "connected", "version": "0.1.0",
        "knows": ["dry_run"],
    });
    MisbehavingHttp::start(move |request: &HttpRequest| match request.path.as_str() {
        "/api/v1/health" => answer("200 OK", &health),
        _ => told(request),
    })
    .await
    .unwrap()
}

async fn say(server: &MisbehavingHttp, line: &str) -> Finished {
    Project::new()
        .fusion_kit(shlex::split(line).unwrap())
        .env("FUSION_SERVER", server.url())
        .env("FUSION_TOKEN", "secret")
        .finish()
        .await
}

#[tokio::test]
async fn runs_that_went_and_runs_that_are_left_are_told_when_a_server_fails_half_way() {
    let server = server(|request| {
        let id = RUNS.into_iter().find(|id| request.path.contains(id));
        let id = id.unwrap();
        let is_dry = request.path.contains("dry_run=true");
        match id == RUNS[1] && !is_dry {
            true => refusal(),
            false => answer("200 OK", &deleted(id, is_dry)),
        }
    })
    .await;
    let line = format!("run delete {} --yes", RUNS.join(" "));
    let ended = say(&server, &format!("{line} --json")).await.expect(1);
    let kept = |id: &str, why: &str| json!({ "id": id, "workflow": "flow", "why": why });
    let told = json!({
        "dry_run": false,
        "deleted": [deleted(RUNS[0], false)],
        "kept": [kept(RUNS[1], "it is taken"), kept(RUNS[2], "it was not tried any more")],
        "stopped": "it is taken",
    });
    assert_eq!(ended.json(), told);
    let ended = say(&server, &line).await.expect(1);
    let [first, second, third] = RUNS;
    let text = format!(
        "deleted run {first} of flow\nkept run {second} of flow: it is taken\n\
         kept run {third} of flow: it was not tried any more\n"
    );
    assert_eq!(ended.stdout, text);
    ended.says(&["it stopped before all were dealt with: it is taken"]);
}

#[tokio::test]
async fn old_runs_that_went_are_told_when_a_later_request_fails() {
    let server = server(|request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        match body["after"].is_null() {
            true => answer(
                "200 OK",
                &json!({
                    "dry_run": false, "deleted": [deleted(RUNS[0], false)], "kept": [], "next": RUNS[0],
                }),
            ),
            false => refusal(),
        }
    })
    .await;
    let line = "run delete --older-than 1d --yes --json";
    let ended = say(&server, line).await.expect(1);
    let told = json!({
        "dry_run": false, "deleted": [deleted(RUNS[0], false)], "kept": [], "stopped": "it is taken",
        "next": RUNS[0],
    });
    assert_eq!(ended.json(), told);
}

fn agent(number: usize) -> Value {
    json!({
        "id": format!("019ab3c4-0000-7000-8000-{number:012}"), "name": format!("a-{number}"),
        "state": "idle", "created_at": "2026-11-28T08:00:00Z", "updated_at": "2026-11-28T08:00:00Z",
        "last_heartbeat": null, "workspace_path": "/a", "provider": "p", "provider_id": null,
        "model_name": "m", "capabilities": [], "metadata": {}, "message_subscriptions": [],
        "project_id": null, "run_id": null,
    })
}

#[tokio::test]
async fn more_agents_than_a_server_takes_at_once_are_ended_in_pieces() {
    let server = server(|request| {
        if request.method == "GET" {
            let agents: Vec<Value> = (0..AGENTS).map(agent).collect();
            let page = json!({ "agents": agents, "total": AGENTS, "next_cursor": null });
            return answer("200 OK", &page);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let ids = body["ids"].as_array().unwrap();
        if ids.len() == 1 {
            return refusal();
        }
        let result = |id: &Value| json!({ "id": id, "agent": agent(0), "error": null });
        let results: Vec<Value> = ids.iter().map(result).collect();
        answer("200 OK", &json!({ "results": results }))
    })
    .await;
    let line = "agent terminate --all --state idle,error --json";
    let ended = say(&server, line).await.expect(1).json();
    assert_eq!(ended["agents"].as_array().unwrap().len(), AGENTS - 1);
    let last = agent(AGENTS - 1);
    let left = json!([{ "id": last["id"], "name": last["name"], "why": "it is taken" }]);
    assert_eq!(ended["left"], left);
    let asked = server.requests().into_iter();
    let asked = asked.filter(|request| request.method == "POST");
    let states: Vec<Value> = asked
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap()["if_state"].clone())
        .collect();
    assert_eq!(states, [json!(["idle", "error"]), json!(["idle", "error"])]);
}
