//! Several tasks in one request, and definitions that come as graphs.

use serde_json::{Value, json};

use super::client::Serving;
use crate::support::Project;

/// The states of the tasks of an answer, and whether each was refused.
fn came_to(answer: &Value) -> Vec<(Value, bool)> {
    let results = answer["results"].as_array().unwrap().iter();
    results
        .map(|one| (one["task"]["state"].clone(), !one["error"].is_null()))
        .collect()
}

fn ids(answer: &Value) -> Vec<&Value> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|one| &one["id"]).collect()
}

#[tokio::test]
async fn a_batch_of_tasks_is_made_each_by_itself_and_once_under_its_key() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let body = json!({ "tasks": [
        { "description": "One.", "priority": 1 },
        { "description": "Two.", "agent": "nobody" },
        { "description": "Three.", "dependencies": ["00000000-0000-7000-8000-000000000000"] },
        { "description": "Four." },
    ] });
    let batch = serving.request("POST", "/api/v1/tasks/batch").json(&body);
    let batch = batch.header("Idempotency-Key", "k");
    let made = batch.send().await.expect(201).json();
    let queued = (json!("queued"), false);
    let refused = (Value::Null, true);
    assert_eq!(
        came_to(&made),
        [queued.clone(), refused.clone(), refused, queued]
    );
    let again = batch.send().await.expect(201).json();
    assert_eq!(ids(&again), ids(&made));
    assert_eq!(serving.get("/api/v1/tasks").await.json()["total"], 2);
    let wrong =
        json!({ "tasks": [{ "description": "" }, 7, { "descriptoin": "x", "description": "y" }] });
    let wrong = serving.post("/api/v1/tasks/batch", &wrong).await;
    let wrong = wrong.expect(400).json();
    let faults = wrong["errors"].as_array().unwrap().iter();
    let pointers: Vec<&Value> = faults.map(|fault| &fault["pointer"]).collect();
    assert_eq!(
        pointers,
        ["/tasks/0/description", "/tasks/1", "/tasks/2/descriptoin"]
    );
    for empty in [json!({}), json!({ "tasks": [] }), json!({ "tasks": 7 })] {
        serving
            .post("/api/v1/tasks/batch", &empty)
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn one_request_cancels_retries_and_raises_what_is_named_or_selected() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let tasks: Vec<Value> = (0..3)
        .map(|number| json!({ "description": format!("{number}") }))
        .collect();
    let made = serving
        .post("/api/v1/tasks/batch", &json!({ "tasks": tasks }))
        .await
        .expect(201)
        .json();
    let bulk = async |body: Value| {
        let done = serving.post("/api/v1/tasks/bulk", &body).await;
        done.expect(200).json()
    };
    let (first, second) = (&made["results"][0]["id"], &made["results"][1]["id"]);
    let nobody = "00000000-0000-7000-8000-000000000000";
    let raised =
        bulk(json!({ "action": "prioritise", "ids": [first, nobody], "priority": 9 })).await;
    assert_eq!(
        came_to(&raised),
        [(json!("queued"), false), (Value::Null, true)]
    );
    assert_eq!(raised["results"][0]["task"]["priority"], 9);
    let cancelled = bulk(json!({ "action": "cancel", "ids": [second] })).await;
    assert_eq!(came_to(&cancelled), [(json!("cancelled"), false)]);
    let others = bulk(json!({ "action": "cancel", "filter": { "state": ["queued"] } })).await;
    assert_eq!(came_to(&others), vec![(json!("cancelled"), false); 2]);
    let again = serving.request("POST", "/api/v1/tasks/bulk");
    let again = again.json(&json!({ "action": "retry", "ids": [first, second] }));
    let again = again.header("Idempotency-Key", "again");
    let retried = again.send().await.expect(200).json();
    assert_eq!(came_to(&retried), vec![(json!("queued"), false); 2]);
    assert_ne!(retried["results"][0]["task"]["id"], *first);
    let repeated = again.send().await.expect(200).json();
    assert_eq!(
        repeated["results"][0]["task"]["id"],
        retried["results"][0]["task"]["id"]
    );
    let list = serving.get("/api/v1/tasks").await.json();
    assert_eq!(list["total"], 5, "nothing was made twice");
    // Who asked is told of each change.
    let told = serving
        .get("/api/v1/events?event_type=record.changed&limit=500")
        .await;
    assert!(told.expect(200).body.contains("cancelled"));
    for wrong in [
        json!({ "action": "cancel" }),
        json!({ "action": "cancel", "ids": [], "filter": {} }),
        json!({ "action": "prioritise", "ids": [] }),
        json!({ "action": "retry", "ids": [], "priority": 1 }),
        json!({ "action": "cancel", "filter": { "state": ["lost"] } }),
    ] {
        serving.post("/api/v1/tasks/bulk", &wrong).await.expect(400);
    }
}

#[tokio::test]
async fn a_graph_of_nodes_and_edges_is_stored_shown_and_run() {
    let script = "version: 1\nsteps:\n  plan: [{ text: planned }]\n  build: [{ text: built }]\n";
    let project = Project::with("", script);
    let serving = Serving::on(&project).await;
    let nodes = json!([
        { "id": "plan", "agent": "a", "capabilities": [], "prompt": "Plan.", "priority": 2 },
        { "id": "build", "agent": null, "capabilities": ["rust"], "prompt": "Build.", "priority": 0 },
    ]);
    let edges = json!([{ "from": "plan", "to": "build" }]);
    let agent = json!({ "provider": "scripted", "model": "script.yaml", "capabilities": ["rust"] });
    let body = json!({
        "name": "drawn", "description": "Plan, then build.",
        "dag_definition": { "nodes": nodes, "edges": edges },
        "execution_parameters": { "agents": { "a": agent } },
        "base_dir": project.path(),
    });
    let stored = serving.post("/api/v1/workflows", &body).await.expect(201);
    let stored = stored.json();
    assert_eq!(
        json!([
            stored["name"],
            stored["description"],
            stored["dag_definition"],
            stored["state"],
            stored["version"]
        ]),
        json!(["drawn", "Plan, then build.", { "nodes": nodes, "edges": edges }, "ready", 1])
    );
    let path = format!("/api/v1/workflows/{}", stored["id"].as_str().unwrap());
    let started = serving.post(&format!("{path}/start"), &json!({})).await;
    let run = started.expect(200).json();
    let run = format!("/api/v1/runs/{}?wait=30", run["run_id"].as_str().unwrap());
    let run = serving.until(&run, |run| run["state"] == "completed").await;
    assert_eq!(run["steps"][1]["outputs"]["text"], "built");
    let mut circle = body.clone();
    circle["dag_definition"]["edges"] =
        json!([{ "from": "plan", "to": "build" }, { "from": "build", "to": "plan" }]);
    let refused = serving.post("/api/v1/workflows", &circle).await.expect(400);
    assert!(
        refused.body.contains("plan") && refused.body.contains("build"),
        "{refused:?}"
    );
    assert_eq!(
        serving.get("/api/v1/workflows?name=drawn").await.json()["total"],
        1
    );
}
