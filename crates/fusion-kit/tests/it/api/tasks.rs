//! Tasks of their own through the API, and by the commands beside a server.

use serde_json::{Value, json};

use super::client::Serving;
use crate::support::Project;

const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - text: "Done."
"#;

async fn serving() -> (Project, Serving) {
    let project = Project::with("", SCRIPT);
    let spawn = "agent spawn --name w --provider scripted --model script.yaml --capabilities prose";
    project.run(spawn.split_whitespace()).await.expect(0);
    let serving = Serving::on(&project).await;
    (project, serving)
}

#[tokio::test]
async fn a_task_that_is_posted_is_done_by_an_agent_of_the_server() {
    let (_project, serving) = serving().await;
    let body = json!({
        "name": "poem", "description": "Write.", "required_capabilities": ["prose"],
        "priority": -2, "input_artifacts": { "tone": "calm" }, "agent": "w", "demanded": true,
        "timeout_seconds": 60,
    });
    let request = serving.request("POST", "/api/v1/tasks").json(&body);
    let request = request.header("Idempotency-Key", "k");
    let made = request.send().await.expect(201);
    let again = request.send().await.expect(201);
    assert_eq!(made.body, again.body);
    let made = made.json();
    assert_eq!(
        (&made["name"], &made["priority"]),
        (&json!("poem"), &json!(-2))
    );
    let id = made["id"].as_str().unwrap();
    let done = serving.get(&format!("/api/v1/tasks/{id}?wait=30")).await;
    let done = done.expect(200).json();
    assert_eq!(
        (&done["state"], &done["waits_for"]),
        (&json!("completed"), &json!([]))
    );
    let listed = serving
        .get("/api/v1/tasks?state=completed")
        .await
        .expect(200);
    assert_eq!(listed.json()["total"], 1);
    let cancel = serving.request("PATCH", &format!("/api/v1/tasks/{id}"));
    let refused = cancel.json(&json!({ "state": "cancelled" })).send().await;
    refused.expect(409);
}

#[tokio::test]
async fn why_a_task_is_cancelled_stays_with_it() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let asked = json!({ "description": "Count.", "required_capabilities": ["maths"] });
    let made = serving
        .post("/api/v1/tasks", &asked)
        .await
        .expect(201)
        .json();
    let path = format!("/api/v1/tasks/{}", made["id"].as_str().unwrap());
    let patch = |body: &Value| {
        let request = serving.request("PATCH", &path).json(body);
        async move { request.send().await }
    };
    for wrong in [
        json!({ "state": "cancelled", "reason": " " }),
        json!({ "state": "cancelled", "reason": "x".repeat(1_001) }),
        json!({ "priority": 1, "reason": "late" }),
    ] {
        let refused = patch(&wrong).await.expect(400).json();
        assert_eq!(
            refused["errors"][0]["pointer"], "/reason",
            "{wrong}: {refused}"
        );
    }
    let wrong = json!({ "state": "done", "reason": "late" });
    let refused = patch(&wrong).await.expect(400).json();
    let told = json!([{ "pointer": "/state", "message": "can only be set to `cancelled`" }]);
    assert_eq!(refused["errors"], told);
    let reason = "the customer withdrew it";
    let wanted = json!({ "state": "cancelled", "reason": format!(" {reason} ") });
    let cancelled = patch(&wanted).await.expect(200).json();
    assert_eq!(cancelled["cancel_reason"], "requested");
    let why = format!("a person cancelled it: {reason}");
    assert_eq!(cancelled["error_message"], why);
}

#[tokio::test]
async fn a_task_that_waits_is_raised_cancelled_and_asked_for_again() {
    let (_project, serving) = serving().await;
    let later = json!({ "description": "Later.", "delay_seconds": 3600 });
    let made = serving
        .post("/api/v1/tasks", &later)
        .await
        .expect(201)
        .json();
    let path = format!("/api/v1/tasks/{}", made["id"].as_str().unwrap());
    let needs = json!({ "description": "After.", "dependencies": [made["id"]] });
    let needs = serving
        .post("/api/v1/tasks", &needs)
        .await
        .expect(201)
        .json();
    let tree = serving
        .get(&format!("{path}/dependencies"))
        .await
        .expect(200)
        .json();
    assert_eq!(tree["needed_by"][0]["id"], needs["id"]);
    let patch = |body: Value| {
        let request = serving.request("PATCH", &path).json(&body);
        async move { request.send().await }
    };
    let raised = patch(json!({ "priority": 7 })).await.expect(200).json();
    assert_eq!(raised["priority"], 7);
    patch(json!({ "state": "running" })).await.expect(400);
    patch(json!({ "state": "cancelled", "priority": 1 }))
        .await
        .expect(400);
    patch(json!({})).await.expect(400);
    let cancelled = patch(json!({ "state": "cancelled" }))
        .await
        .expect(200)
        .json();
    assert_eq!(cancelled["cancel_reason"], "requested");
    let second = format!("/api/v1/tasks/{}", needs["id"].as_str().unwrap());
    let ended = serving
        .get(&format!("{second}?wait=30"))
        .await
        .expect(200)
        .json();
    assert_eq!(ended["cancel_reason"], "dependency_failed");
    let again = serving
        .post(&format!("{path}/retry"), &json!({}))
        .await
        .expect(201)
        .json();
    let id = again["id"].as_str().unwrap();
    let done = serving
        .get(&format!("/api/v1/tasks/{id}?wait=30"))
        .await
        .expect(200);
    assert_eq!(done.json()["state"], "completed");
}

#[tokio::test]
async fn a_task_is_asked_for_again_with_other_words_with_none_and_with_no_body() {
    let (_project, serving) = serving().await;
    let later = json!({ "description": "Later.", "delay_seconds": 3600 });
    let made = serving.post("/api/v1/tasks", &later).await.expect(201);
    let path = format!("/api/v1/tasks/{}", made.json()["id"].as_str().unwrap());
    let cancel = serving.request("PATCH", &path);
    let cancelled = cancel.json(&json!({ "state": "cancelled" })).send().await;
    cancelled.expect(200);
    let retry = async |body: Value| serving.post(&format!("{path}/retry"), &body).await;
    for wrong in [json!({ "description": " " }), json!({ "descripton": "x" })] {
        retry(wrong).await.expect(400);
    }
    let other = retry(json!({ "description": "Instead." })).await;
    assert_eq!(other.expect(201).json()["description"], "Instead.");
    let bare = serving
        .request("POST", &format!("{path}/retry"))
        .send()
        .await;
    assert_eq!(bare.expect(201).json()["description"], "Later.");
}

#[tokio::test]
async fn a_task_that_is_not_as_it_must_be_is_refused_with_its_faults() {
    let (_project, serving) = serving().await;
    for (body, told) in [
        (json!({}), "description"),
        (json!({ "description": "x", "priority": 1e10 }), "priority"),
        (
            json!({ "description": "x", "workflow_id": "y" }),
            "workflow_id",
        ),
        (json!({ "description": "x", "demanded": true }), "demanded"),
        (json!({ "description": "x", "agent": "nobody" }), "agent"),
        (json!({ "description": "x", "project": "none" }), "project"),
        (
            json!({ "description": "x", "dependencies": ["y"] }),
            "dependencies",
        ),
        (
            json!({ "description": "x", "timeout_seconds": 99_999_999_999_u64 }),
            "timeout_seconds",
        ),
    ] {
        let refused = serving.post("/api/v1/tasks", &body).await.expect(400);
        assert!(refused.body.contains(told), "{body}: {}", refused.body);
    }
}

#[tokio::test]
async fn the_commands_go_through_the_server_that_is_there() {
    let (project, _serving) = serving().await;
    let said = async |line: &str| project.run(line.split_whitespace()).await;
    let waited = said("task create Write. --capabilities prose --wait --json").await;
    let waited = waited.expect(0).json();
    assert_eq!(waited["tasks"][0]["state"], "completed");
    let later = said("task create Later. --in 1h --prefer w --json")
        .await
        .expect(0)
        .json();
    let id = later["id"].as_str().unwrap();
    let kinds = later["waits_for"].as_array().unwrap().iter();
    assert_eq!(
        kinds.map(|wait| &wait["kind"]).collect::<Vec<_>>(),
        ["time"]
    );
    said(&format!("task wait {id} --timeout 1s"))
        .await
        .expect(8);
    said(&format!("task cancel {id}")).await.expect(0);
    said(&format!("task retry {id}")).await.expect(0);
    let deps = said(&format!("task deps {id} --json"))
        .await
        .expect(0)
        .json();
    assert_eq!(deps["needs"], json!([]));
    let listed = said("task list --agent w --state cancelled --json")
        .await
        .expect(0)
        .json();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);
}
