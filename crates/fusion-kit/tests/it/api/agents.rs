//! Agents are spawned, held, let go on, changed and ended over the API.

use std::collections::BTreeSet;

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Answer, Request, Serving};
use crate::support::Project;

const SCRIPT: &str = "
version: 1
steps:
  task: [{ text: done }]
";

fn project() -> Project {
    let project = Project::new();
    project.write("script.yaml", SCRIPT);
    project
}

fn wanted(project: &Project) -> Value {
    json!({
        "name": "worker", "provider": "scripted", "model_name": project.path().join("script.yaml"),
        "metadata": { "team": "blue" },
    })
}

#[tokio::test]
async fn an_agent_lives_as_the_requests_say() {
    let project = project();
    let serving = Serving::on(&project).await;
    let made = serving
        .post("/api/v1/agents", &wanted(&project))
        .await
        .expect(201)
        .json();
    assert_eq!(
        json!([
            made["name"],
            made["state"],
            made["run_id"],
            made["metadata"]["team"]
        ]),
        json!(["worker", "idle", null, "blue"])
    );
    let path = format!("/api/v1/agents/{}", made["id"].as_str().unwrap());
    let act = async |body: Value| serving.request("PATCH", &path).json(&body).send().await;
    let paused = act(json!({ "action": "pause" })).await.expect(200).json();
    assert_eq!(paused["state"], "paused");
    let again = act(json!({ "action": "pause" })).await.expect(409).json();
    assert!(
        again["detail"].as_str().unwrap().contains("paused"),
        "{again}"
    );
    let config = json!({ "action": "update_config", "config": { "instructions": "be brief", "metadata": { "team": "red" } } });
    let changed = act(config).await.expect(200).json();
    assert_eq!(changed["metadata"]["team"], "red");
    assert_eq!(
        act(json!({ "action": "resume" })).await.expect(200).json()["state"],
        "idle"
    );
    let end = serving.request("DELETE", &format!("{path}?workspace=remove"));
    end.send().await.expect(204);
    end.send().await.expect(204);
    assert_eq!(
        serving.get(&path).await.expect(200).json()["state"],
        "terminated"
    );
    assert!(!std::path::Path::new(made["workspace_path"].as_str().unwrap()).exists());
    act(json!({ "action": "resume" })).await.expect(409);
    let told = serving
        .get("/api/v1/events?event_type=record.*&after=0")
        .await
        .expect(200)
        .json();
    let done: Vec<&Value> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["data"]["action"])
        .collect();
    assert_eq!(
        done,
        ["spawned", "paused", "updated", "resumed", "terminated"]
    );
}

#[tokio::test]
async fn an_agent_that_can_not_be_had_leaves_nothing() {
    let project = project();
    let serving = Serving::on(&project).await;
    let wrong = json!({ "nmae": "x", "tools": ["fly"], "max_turns": -1, "provider_id": "x" });
    let told = serving
        .post("/api/v1/agents", &wrong)
        .await
        .expect(400)
        .json();
    let mut pointers: Vec<&str> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/max_turns",
            "/model_name",
            "/name",
            "/nmae",
            "/provider_id",
            "/tools"
        ]
    );
    let with = |name: &str, value: Value| {
        let mut body = wanted(&project);
        body[name] = value;
        body
    };
    for (body, status) in [
        (with("provider", json!("nobody")), 400),
        (with("provider", Value::Null), 400),
        (with("model_name", json!("/nowhere.yaml")), 400),
        (
            with("project_id", json!("019ab3c4-0000-7000-8000-000000000000")),
            400,
        ),
        (with("name", json!("two words")), 400),
    ] {
        let answer = serving.post("/api/v1/agents", &body).await;
        assert_eq!(answer.status, status, "{body} {answer:?}");
    }
    let living = "/api/v1/agents?state=idle&state=spawning&state=working&state=paused";
    assert_eq!(serving.get(living).await.expect(200).json()["total"], 0);
    let folders = std::fs::read_dir(project.data_dir().join("workspaces")).unwrap();
    assert_eq!(folders.count(), 0);
}

/// A spawn under a key.
async fn keyed(serving: &Serving, project: &Project, path: &str, body: &Value) -> Answer {
    let mut body = body.clone();
    if body == Value::Null {
        body = wanted(project);
    }
    let request = serving.request("POST", path).json(&body);
    request.header("Idempotency-Key", "k").send().await
}

async fn count(serving: &Serving) -> Value {
    let listed = serving.get("/api/v1/agents").await.expect(200).json();
    listed["total"].clone()
}

#[tokio::test]
async fn a_spawn_under_a_key_is_made_once_and_answered_alike_however_often_it_is_sent() {
    let project = project();
    let serving = Serving::on(&project).await;
    let spawn = || keyed(&serving, &project, "/api/v1/agents", &Value::Null);
    let answers = join_all((0..50).map(|_| spawn())).await;
    let told: BTreeSet<(u16, String)> = answers
        .iter()
        .map(|answer| (answer.status, answer.body.clone()))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(count(&serving).await, 1);
    let (_, first) = told.first().unwrap().clone();
    let made: Value = serde_json::from_str(&first).unwrap();
    let stored = serving
        .get(&format!("/api/v1/agents/{}", made["id"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(stored.json(), made, "what was answered is what is stored");
    serving.stop(Signal::KILL).await;
    let serving = Serving::on(&project).await;
    let again = keyed(&serving, &project, "/api/v1/agents", &Value::Null).await;
    assert_eq!((again.status, again.body.as_str()), (201, first.as_str()));
    assert_eq!(count(&serving).await, 1);
    let mut other = wanted(&project);
    other["name"] = json!("other");
    let reused = keyed(&serving, &project, "/api/v1/agents", &other).await;
    assert_eq!(reused.expect(409).json()["error"], "idempotency_key_reused");
}

#[tokio::test]
async fn agents_of_a_batch_are_spawned_all_or_none() {
    let project = project();
    let serving = Serving::on(&project).await;
    let batch = |count: Value, agent: Value| json!({ "agent": agent, "count": count });
    let made = keyed(
        &serving,
        &project,
        "/api/v1/agents/batch",
        &batch(json!(3), wanted(&project)),
    )
    .await
    .expect(201)
    .json();
    let names: Vec<&Value> = made["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| &agent["name"])
        .collect();
    assert_eq!(names, ["worker-1", "worker-2", "worker-3"]);
    let mut nobody = wanted(&project);
    nobody["provider"] = json!("nobody");
    for wrong in [
        batch(json!(0), wanted(&project)),
        batch(json!(1001), wanted(&project)),
        batch(json!("3"), wanted(&project)),
        batch(json!(3), json!("worker")),
        batch(json!(3), nobody),
        json!({ "count": 3 }),
    ] {
        let answer = serving.post("/api/v1/agents/batch", &wrong).await;
        assert_eq!(answer.status, 400, "{wrong} {answer:?}");
    }
    assert_eq!(count(&serving).await, 3);
}

#[tokio::test]
async fn what_is_asked_of_several_agents_is_answered_for_each() {
    let project = project();
    let serving = Serving::on(&project).await;
    let batch = json!({ "agent": wanted(&project), "count": 2 });
    let made = serving
        .post("/api/v1/agents/batch", &batch)
        .await
        .expect(201)
        .json();
    let ids: Vec<Value> = made["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| agent["id"].clone())
        .collect();
    let act = async |body: Value| {
        let answer = serving.post("/api/v1/agents/bulk", &body).await;
        let results = answer.expect(200).json()["results"].clone();
        let results = results.as_array().unwrap().clone();
        results
            .iter()
            .map(|result| json!([result["agent"]["state"], result["error"].is_string()]))
            .collect::<Vec<_>>()
    };
    let nobody = "019ab3c4-0000-7000-8000-000000000000";
    assert_eq!(
        act(json!({ "action": "pause", "ids": [ids[0], nobody] })).await,
        [json!(["paused", false]), json!([null, true])]
    );
    assert_eq!(
        act(json!({ "action": "pause", "ids": ids })).await,
        [json!(["paused", true]), json!(["paused", false])]
    );
    assert_eq!(
        act(json!({ "action": "resume", "ids": [ids[0]] })).await,
        [json!(["idle", false])]
    );
    let idle = json!({ "action": "terminate", "ids": [ids[1]], "if_state": ["idle", "error"] });
    assert_eq!(act(idle).await, [json!(["paused", true])]);
    let end = json!({ "action": "terminate", "all": true, "workspace": "remove", "if_state": ["paused", "idle"] });
    assert_eq!(
        act(end.clone()).await,
        vec![json!(["terminated", false]); 2]
    );
    assert_eq!(act(end).await, Vec::<Value>::new());
    for wrong in [
        json!({ "action": "fly", "ids": ids }),
        json!({ "action": "pause" }),
        json!({ "action": "pause", "ids": ids, "all": true }),
        json!({ "action": "pause", "ids": ["x"] }),
        json!({ "action": "terminate", "ids": ids, "if_state": ["terminated"] }),
    ] {
        serving
            .post("/api/v1/agents/bulk", &wrong)
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn states_that_agents_must_be_in_are_named_and_asked_of_an_end_only() {
    let project = project();
    let serving = Serving::on(&project).await;
    let made = serving.post("/api/v1/agents", &wanted(&project)).await;
    let id = made.expect(201).json()["id"].clone();
    for wrong in [
        json!({ "action": "terminate", "ids": [id], "if_state": [] }),
        json!({ "action": "terminate", "all": true, "if_state": [] }),
        json!({ "action": "pause", "ids": [id], "if_state": ["idle"] }),
        json!({ "action": "resume", "ids": [id], "if_state": ["paused"] }),
        json!({ "action": "restart", "ids": [id], "if_state": ["idle"] }),
    ] {
        let refused = serving.post("/api/v1/agents/bulk", &wrong).await;
        let faults = refused.expect(400).json()["errors"].clone();
        let faults = faults.as_array().unwrap().iter();
        let pointers: Vec<&Value> = faults.map(|fault| &fault["pointer"]).collect();
        assert_eq!(pointers, ["/if_state"], "{wrong}");
    }
    let path = format!("/api/v1/agents/{}", id.as_str().unwrap());
    let agent = serving.get(&path).await.expect(200).json();
    assert_eq!(agent["state"], "idle");
}

#[tokio::test]
async fn a_message_to_an_agent_outside_of_runs_begins_a_run_once() {
    let project = project();
    let serving = Serving::on(&project).await;
    let made = serving
        .post("/api/v1/agents", &wanted(&project))
        .await
        .expect(201)
        .json();
    let body = json!({ "recipient_agent_ids": [made["id"]], "payload": "Write." });
    let send = || keyed(&serving, &project, "/api/v1/messages", &body);
    let (first, again) = (send().await.expect(201), send().await.expect(201));
    assert_eq!(first.body, again.body);
    let path = format!("/api/v1/messages/{}", first.json()["id"].as_str().unwrap());
    let told = serving.get(&path).await.expect(200).json();
    let run = format!("/api/v1/runs/{}", told["begun_run_id"].as_str().unwrap());
    serving.until(&run, |run| run["state"] == "completed").await;
    assert_eq!(serving.get("/api/v1/runs").await.json()["total"], 1);
    let detail = format!("/api/v1/agents/{}/detail", made["id"].as_str().unwrap());
    let detail = serving.get(&detail).await.expect(200).json();
    assert_eq!(
        json!([detail["tasks_completed"], detail["workspace"]["exists"]]),
        json!([1, true])
    );
    let resend = serving.request("POST", &format!("{path}/resend"));
    resend.send().await.expect(409);
}

#[tokio::test]
async fn only_an_administrator_names_folders_of_the_server() {
    let project = project();
    let serving = Serving::on(&project).await;
    let token = json!({ "name": "ci", "scope": "operate" });
    let token = serving.post("/api/v1/tokens", &token).await.expect(201);
    let secret = token.json()["secret"].as_str().unwrap().to_owned();
    let mut body = wanted(&project);
    body["model_name"] = json!("script.yaml");
    body["base_dir"] = json!(project.path());
    let spawn = |token: &str| {
        Request::new(serving.address, "POST", "/api/v1/agents")
            .header("Authorization", &format!("Bearer {token}"))
            .json(&body)
    };
    spawn(&secret).send().await.expect(403);
    spawn(&serving.token).send().await.expect(201);
    body["base_dir"] = json!("here");
    serving.post("/api/v1/agents", &body).await.expect(400);
}

#[tokio::test]
async fn only_an_administrator_has_a_folder_of_the_server_copied_into_a_workspace() {
    let project = project();
    std::fs::create_dir(project.path().join("start")).unwrap();
    project.write("start/notes", "kept");
    let serving = Serving::on(&project).await;
    let token = json!({ "name": "ci", "scope": "operate" });
    let token = serving.post("/api/v1/tokens", &token).await.expect(201);
    let secret = token.json()["secret"].as_str().unwrap().to_owned();
    let mut body = wanted(&project);
    let folder = project.path().join("start");
    body["workspace"] = json!({ "type": "directory", "template": folder });
    let refused = Request::new(serving.address, "POST", "/api/v1/agents")
        .header("Authorization", &format!("Bearer {secret}"))
        .json(&body);
    refused.send().await.expect(403);
    let made = serving.post("/api/v1/agents", &body).await.expect(201);
    let workspace = made.json()["workspace_path"].as_str().unwrap().to_owned();
    let copied = std::fs::read_to_string(format!("{workspace}/projects/notes"));
    assert_eq!(copied.unwrap(), "kept");
    for (workspace, pointer) in [
        (json!({ "type": "folder" }), "/workspace/type"),
        (json!({ "type": "worktree" }), "/workspace/repository"),
        (
            json!({ "type": "directory", "revision": "main" }),
            "/workspace/revision",
        ),
    ] {
        body["workspace"] = workspace;
        let refused = serving.post("/api/v1/agents", &body).await.expect(400);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
}
