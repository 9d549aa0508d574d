//! Runs are held, let go on and ended over the API, and by commands that go through a server.

use serde_json::{Value, json};

use super::client::Serving;
use super::runs::{start, store};
use crate::support::{Project, gated_script};

const GATED: &str = "
version: 1
name: gated
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: worker, prompt: one }
  - { id: second, agent: worker, needs: [first], prompt: two }
";

/// A server with a run whose second step has a command under way; and the path of the run.
async fn at_work(project: &Project) -> (Serving, String) {
    let serving = Serving::on(project).await;
    let run = start(&serving, project, "flow.yaml").await;
    let path = format!("/api/v1/runs/{run}");
    serving
        .until(&path, |run| run["steps"][1]["activity"] == "run_command")
        .await;
    (serving, path)
}

#[tokio::test]
async fn a_held_run_goes_on_when_it_is_let_to() {
    let project = Project::with(GATED, &gated_script());
    let (serving, path) = at_work(&project).await;
    let pause = format!("{path}/pause");
    let held = serving.post(&pause, &json!({ "at": "now" })).await;
    let held = held.expect(200).json();
    assert_eq!(
        json!([held["state"], held["halt"]["kind"]]),
        json!(["running", "now"])
    );
    serving
        .until(&path, |run| run["steps"][1]["state"] == "queued")
        .await;
    let refused = serving.post(&pause, &json!({ "at": "later" })).await;
    let refused = refused.expect(400).json();
    assert_eq!(refused["errors"][0]["pointer"], "/at");
    project.open_the_gate();
    let resume = format!("{path}/resume");
    let unknown = json!({ "budget_of": "nobody", "budget_tokens": 7 });
    serving.post(&resume, &unknown).await.expect(400);
    let going = serving.post(&resume, &json!({})).await.expect(200).json();
    assert_eq!(going.get("halt"), None);
    let done = serving
        .until(&path, |run| run["state"] == "completed")
        .await;
    assert_eq!(done["steps"][1]["state"], "completed");
    for action in ["pause", "resume", "cancel"] {
        let refused = serving.post(&format!("{path}/{action}"), &json!({})).await;
        assert_eq!(refused.expect(409).json()["error"], "conflict", "{action}");
    }
}

#[tokio::test]
async fn a_run_and_all_runs_of_a_version_are_ended() {
    let project = Project::with(GATED, &gated_script());
    let (serving, path) = at_work(&project).await;
    for _ in 0..2 {
        let ended = serving.post(&format!("{path}/cancel"), &json!({})).await;
        assert_eq!(ended.expect(200).json()["state"], "cancelled");
    }
    let shown = serving.get(&path).await.expect(200).json();
    assert_eq!(shown["steps"][1]["cancel_reason"], "requested");
    let workflow = store(&serving, &project, "flow.yaml").await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(start(&serving, &project, "flow.yaml").await);
    }
    let id = workflow["id"].as_str().unwrap();
    let all = serving
        .post(&format!("/api/v1/workflows/{id}/cancel"), &json!({}))
        .await
        .expect(200)
        .json();
    let all = all["runs"].as_array().unwrap();
    let states: Vec<&Value> = all.iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["cancelled"; 3]);
    let found: Vec<&str> = all.iter().filter_map(|run| run["id"].as_str()).collect();
    assert!(runs.iter().all(|run| found.contains(&run.as_str())));
    let told = serving
        .get("/api/v1/events?event_type=record.changed&q=cancelled")
        .await
        .expect(200)
        .json();
    assert_eq!(told["events"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn commands_steer_runs_through_the_server() {
    let project = Project::with(GATED, &gated_script());
    let (serving, path) = at_work(&project).await;
    let id = path.rsplit('/').next().unwrap();
    let held = project.run(["run", "pause", id, "--now", "--json"]).await;
    assert_eq!(held.expect(0).json()["halt"]["kind"], "now");
    serving
        .until(&path, |run| run["steps"][1]["state"] == "queued")
        .await;
    project.open_the_gate();
    let done = project.run(["resume", id, "--json"]).await.expect(0).json();
    assert_eq!(json!([done["id"], done["state"]]), json!([id, "completed"]));
    let seen = project.run(["run", "watch", id, "--json"]).await.expect(0);
    assert_eq!(seen.json()["state"], "completed");
    let late = project.run(["run", "cancel", id]).await.expect(5);
    late.says(&["is completed already"]);
    let listed = project
        .run([
            "run",
            "list",
            "--state",
            "completed",
            "--workflow",
            "gated",
            "--json",
        ])
        .await;
    assert_eq!(listed.expect(0).json()["runs"][0]["id"], id);
}
