//! Commands that ask a server several times, and what they tell when it fails in between.

use std::sync::atomic::{AtomicUsize, Ordering};

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

fn no_such_run() -> Vec<Act> {
    let body = json!({
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no such run",
        "instance": "/", "error": "not_found", "retryable": false, "trace_id": "t",
    });
    answer("404 Not Found", &body)
}

#[tokio::test]
async fn a_run_whose_deletion_got_no_answer_is_looked_for() {
    let asked = AtomicUsize::new(0);
    let server = server(move |request| {
        let id = RUNS.into_iter().find(|id| request.path.contains(id));
        let id = id.unwrap();
        let is_dry = request.path.contains("dry_run=true");
        let number = asked.fetch_add(1, Ordering::SeqCst);
        match (number < RUNS.len(), is_dry) {
            (true, _) => answer("200 OK", &deleted(id, true)),
            (false, false) => vec![Act::Reset],
            (false, true) if id == RUNS[0] => no_such_run(),
            (false, true) if id == RUNS[1] => answer("200 OK", &deleted(id, true)),
            (false, true) => vec![Act::Reset],
        }
    })
    .await;
    let line = format!("run delete {} --yes --json", RUNS.join(" "));
    let ended = say(&server, &line).await.expect(1).json();
    let lost = ended["stopped"].as_str().unwrap().to_owned();
    let kept = |id: &str, why: &str| json!({ "id": id, "workflow": "flow", "why": why });
    let told = json!({
        "dry_run": false,
        "deleted": [deleted(RUNS[0], false)],
        "kept": [
            kept(RUNS[1], &format!("{lost}; it was still there after that")),
            kept(RUNS[2], "it was not tried any more"),
        ],
        "stopped": lost,
    });
    assert_eq!(ended, told);
}

#[tokio::test]
async fn of_a_run_that_can_not_be_looked_for_it_is_told_that_nothing_is_known() {
    let asked = AtomicUsize::new(0);
    let server = server(move |request| {
        let id = RUNS.into_iter().find(|id| request.path.contains(id));
        let id = id.unwrap();
        let is_dry = request.path.contains("dry_run=true");
        // Two looks and a deletion are answered.
        match asked.fetch_add(1, Ordering::SeqCst) < 3 {
            true => answer("200 OK", &deleted(id, is_dry)),
            false => vec![Act::Reset],
        }
    })
    .await;
    let line = format!("run delete {} {} --yes --json", RUNS[0], RUNS[1]);
    let ended = say(&server, &line).await.expect(1).json();
    let lost = ended["stopped"].as_str().unwrap();
    let why = format!("it is not known whether it went: {lost}");
    assert_eq!(ended["deleted"], json!([deleted(RUNS[0], false)]));
    assert_eq!(
        ended["kept"],
        json!([{ "id": RUNS[1], "workflow": "flow", "why": why }])
    );
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

/// The same agent with all about it, while nothing is under way.
fn all_about(number: usize) -> Value {
    json!({
        "id": agent(number)["id"], "name": agent(number)["name"], "state": "paused",
        "paused": "next_step", "ending": null, "run": null, "project": null, "provider": "p",
        "model": "m", "capabilities": [], "created_at": "2026-11-28T08:00:00Z",
        "updated_at": "2026-11-28T08:00:00Z", "last_heartbeat": null, "instructions": null,
        "tools": null, "max_turns": null, "subscriptions": [], "metadata": {}, "sandbox": null,
        "workspace": { "path": "/a", "exists": true, "uid": null, "archive": null, "error": null },
        "task": null, "inbox": 0, "tasks_completed": 0, "tasks_failed": 0,
        "usage": { "turns": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0" },
    })
}

#[tokio::test]
async fn who_was_held_for_an_end_that_was_refused_goes_on_again_unless_it_was_held_before() {
    let server = server(|request| {
        let number = usize::from(request.path.contains("000000000001"));
        let is_held = number == 1 && request.body.windows(5).any(|part| part == b"pause");
        match request.method.as_str() {
            "GET" if request.path.ends_with("/detail") => answer("200 OK", &all_about(number)),
            "GET" => answer("200 OK", &agent(number)),
            "PATCH" if !is_held => answer("200 OK", &agent(number)),
            _ => refusal(),
        }
    })
    .await;
    let ids = [agent(0), agent(1)].map(|agent| agent["id"].as_str().unwrap().to_owned());
    let line = format!("agent terminate {} --grace 5s", ids.join(" "));
    let ended = say(&server, &line).await.expect(5);
    ended.says(&["a-0 goes on again", "it is taken"]);
    let changes = server.requests().into_iter();
    let changes = changes.filter(|request| request.method == "PATCH");
    let asked: Vec<(bool, Value)> = changes
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            (request.path.ends_with(&ids[0]), body["action"].clone())
        })
        .collect();
    let wanted = [(true, "pause"), (false, "pause"), (true, "resume")];
    assert_eq!(asked, wanted.map(|(first, action)| (first, json!(action))));
}
