//! Agents are spawned, held, let go on, changed and ended over the API.

use serde_json::{Value, json};

use super::client::Serving;
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
    let keyed = serving
        .request("POST", "/api/v1/agents")
        .json(&wanted(&project));
    keyed
        .header("Idempotency-Key", "k")
        .send()
        .await
        .expect(400);
    let living = "/api/v1/agents?state=idle&state=spawning&state=working&state=paused";
    assert_eq!(serving.get(living).await.expect(200).json()["total"], 0);
    let folders = std::fs::read_dir(project.data_dir().join("workspaces")).unwrap();
    assert_eq!(folders.count(), 0);
}
