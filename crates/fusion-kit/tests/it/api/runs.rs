//! Workflows are stored, started and watched over the API.

use serde_json::{Value, json};

use super::client::Serving;
use crate::support::Project;

/// Stores a workflow file of a project and starts it; gives the id of the run.
pub(crate) async fn start(serving: &Serving, project: &Project, file: &str) -> String {
    let workflow = store(serving, project, file).await;
    let path = format!(
        "/api/v1/workflows/{}/start",
        workflow["id"].as_str().unwrap()
    );
    let started = serving.post(&path, &json!({})).await.expect(200).json();
    started["run_id"].as_str().unwrap().to_owned()
}

pub(super) async fn store(serving: &Serving, project: &Project, file: &str) -> Value {
    let source = std::fs::read_to_string(project.path().join(file)).unwrap();
    let body = json!({ "source": source, "base_dir": project.path() });
    let stored = serving.post("/api/v1/workflows", &body).await;
    assert!(matches!(stored.status, 200 | 201), "{stored:?}");
    stored.json()
}

#[tokio::test]
async fn an_example_runs_and_every_part_of_it_is_shown() {
    let project = Project::of_examples();
    let serving = Serving::on(&project).await;
    let run = start(&serving, &project, "plan-implement-review.yaml").await;
    let path = format!("/api/v1/runs/{run}");
    let shown = serving
        .until(&path, |run| run["state"] == "completed")
        .await;
    assert_eq!(shown["interrupted"], false);
    let agents = serving
        .get(&format!("/api/v1/agents?run_id={run}"))
        .await
        .expect(200)
        .json();
    assert_eq!(agents["total"], shown["agents"].as_array().unwrap().len());
    let tasks = serving
        .get(&format!("/api/v1/tasks?run_id={run}"))
        .await
        .expect(200)
        .json();
    assert_eq!(tasks["total"], shown["steps"].as_array().unwrap().len());
    for task in tasks["tasks"].as_array().unwrap() {
        let one = serving
            .get(&format!("/api/v1/tasks/{}", task["id"].as_str().unwrap()))
            .await;
        let mut one = one.expect(200).json();
        // Told of a single task only.
        assert_eq!(one["waits_for"].take(), json!([]));
        one.as_object_mut().unwrap().remove("waits_for");
        assert_eq!(&one, task);
        let agent = task["agent_id"].as_str().unwrap();
        let logs = serving
            .get(&format!("/api/v1/agents/{agent}/logs"))
            .await
            .expect(200)
            .json();
        assert!(!logs["logs"].as_array().unwrap().is_empty());
        let metrics = serving
            .get(&format!("/api/v1/agents/{agent}/metrics"))
            .await;
        assert_eq!(metrics.expect(200).json(), json!({ "metrics": [] }));
    }
    // The commands see the same.
    let listed = project
        .run(["run", "list", "--json"])
        .await
        .expect(0)
        .json();
    let runs = serving.get("/api/v1/runs").await.expect(200).json();
    assert_eq!(runs["runs"], listed["runs"]);
    assert_eq!(project.shown().await, serving.get(&path).await.json());
}

#[tokio::test]
async fn every_fault_of_a_definition_is_told_and_nothing_is_stored() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let source = "version: 1\nname: x\nstpes: []\nagents: {}\n";
    let refused = serving
        .post("/api/v1/workflows", &json!({ "source": source }))
        .await;
    let refused = refused.expect(400).json();
    assert!(
        refused["details"].as_array().unwrap().len() > 1,
        "{refused}"
    );
    assert_eq!(refused["errors"][0]["pointer"], "/source");
    assert_eq!(serving.get("/api/v1/workflows").await.json()["total"], 0);
}

#[tokio::test]
async fn each_text_is_a_version_and_a_run_pins_its_own() {
    let project = Project::of_examples();
    let serving = Serving::on(&project).await;
    let first = store(&serving, &project, "hello.yaml").await;
    let same = store(&serving, &project, "hello.yaml").await;
    assert_eq!(same, first, "the same text is the same version");
    let changed = std::fs::read_to_string(project.path().join("hello.yaml")).unwrap();
    project.write("hello.yaml", format!("{changed}\n# once more\n"));
    let second = store(&serving, &project, "hello.yaml").await;
    assert_eq!(json!([first["version"], second["version"]]), json!([1, 2]));
    let id = first["id"].as_str().unwrap();
    let valid = serving.request("POST", &format!("/api/v1/workflows/{id}/validate"));
    assert_eq!(
        valid.send().await.expect(200).json(),
        json!({ "valid": true, "errors": [], "warnings": [] })
    );
    let path = format!("/api/v1/workflows/{id}/start");
    let wrong = serving
        .post(&path, &json!({ "inputs": { "name": 7, "nmae": "x" } }))
        .await;
    let wrong = wrong.expect(400).json();
    let pointers: Vec<&Value> = wrong["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| &fault["pointer"])
        .collect();
    assert_eq!(pointers, ["/inputs/nmae", "/inputs/name"]);
    let start = serving
        .request("POST", &path)
        .json(&json!({ "inputs": { "name": "Ada" } }));
    let start = start.header("Idempotency-Key", "once");
    let (one, again) = (
        start.send().await.expect(200),
        start.send().await.expect(200),
    );
    assert_eq!(one.body, again.body);
    let runs = serving
        .get(&format!("/api/v1/workflows/{id}/runs"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        json!([runs["total"], runs["runs"][0]["id"]]),
        json!([1, one.json()["run_id"]])
    );
    let path = format!(
        "/api/v1/runs/{}?wait=30",
        one.json()["run_id"].as_str().unwrap()
    );
    let run = serving
        .until(&path, |run| run["state"] == "completed")
        .await;
    assert_eq!(run["inputs"], json!({ "name": "Ada" }));
}
