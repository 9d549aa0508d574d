//! Stored workflows: versions, what changed, graphs, starting and cancelling.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::Serving;
use crate::support::{Project, gated_script, said};

const FLOW: &str = "
version: 1
name: gated
description: Two steps.
inputs:
  size: { type: integer, default: 1 }
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: worker, prompt: one }
  - { id: second, agent: worker, needs: [first], prompt: two }
";

fn project() -> Project {
    Project::with(
        FLOW,
        "version: 1\nsteps:\n  first: [{ text: a }]\n  second: [{ text: b }]\n",
    )
}

#[tokio::test]
async fn each_new_text_is_a_version_that_is_listed() {
    let project = project();
    let none = said(&project, "workflow list").await.expect(0);
    none.says(&["no workflows yet"]);
    let first = said(&project, "workflow create flow.yaml --json")
        .await
        .expect(0)
        .json();
    assert_eq!(
        json!([first["name"], first["version"], first["created"]]),
        json!(["gated", 1, true])
    );
    let same = said(&project, "workflow create flow.yaml --json")
        .await
        .expect(0)
        .json();
    assert_eq!(
        json!([same["id"], same["created"]]),
        json!([first["id"], false])
    );
    project.write("flow.yaml", FLOW.replace("prompt: two", "prompt: three"));
    let second = said(&project, "workflow create flow.yaml --json")
        .await
        .expect(0)
        .json();
    assert_eq!(second["version"], 2);
    let versions = said(&project, "workflow versions gated --json")
        .await
        .expect(0)
        .json();
    let numbers: Vec<&Value> = versions["workflows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["version"])
        .collect();
    assert_eq!(numbers, [2, 1]);
    let list = said(&project, "workflow list --json")
        .await
        .expect(0)
        .json();
    assert_eq!(list["workflows"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_is_shown_compared_and_started() {
    let project = project();
    let first = said(&project, "workflow create flow.yaml --json")
        .await
        .expect(0)
        .json();
    project.write("flow.yaml", FLOW.replace("prompt: two", "prompt: three"));
    said(&project, "workflow create flow.yaml").await.expect(0);
    let old = said(&project, "workflow get gated --version 1 --json")
        .await
        .expect(0)
        .json();
    assert_eq!(old["source"], FLOW);
    let line = format!("workflow get {} --json", first["id"].as_str().unwrap());
    let by_id = said(&project, &line);
    assert_eq!(by_id.await.expect(0).json(), old);
    let diff = said(&project, "workflow diff gated 1 2")
        .await
        .expect(0)
        .stdout;
    assert!(
        diff.starts_with("--- gated version 1\n+++ gated version 2\n@@"),
        "{diff}"
    );
    assert!(
        diff.contains("\n-  - { id: second, agent: worker, needs: [first], prompt: two }\n+"),
        "{diff}"
    );
    let run = said(
        &project,
        "workflow start gated --version 1 -i size=7 --json",
    )
    .await;
    let run = run.expect(0).json();
    assert_eq!(
        json!([run["state"], run["inputs"]["size"]]),
        json!(["completed", 7])
    );
    said(&project, "workflow start gated -i size=big")
        .await
        .expect(2)
        .says(&["must be of type integer"]);
    said(&project, "workflow get gatd")
        .await
        .expect(3)
        .says(&["did you mean 'gated'?"]);
    said(&project, "workflow get gated --version 9")
        .await
        .expect(3)
        .says(&["has no version 9"]);
}

#[tokio::test]
async fn a_file_and_a_stored_workflow_have_the_same_graph() {
    let project = Project::with(FLOW, &gated_script());
    let drawn = said(&project, "workflow graph flow.yaml")
        .await
        .expect(0)
        .stdout;
    assert_eq!(drawn, "gated (2 steps)\n└─ first\n   └─ second\n");
    said(&project, "workflow create flow.yaml").await.expect(0);
    let stored = said(&project, "workflow graph gated --format mermaid")
        .await
        .expect(0)
        .stdout;
    assert_eq!(
        stored,
        "flowchart TD\n  s0[\"first\"]\n  s1[\"second\"]\n  s0 --> s1\n"
    );
    let dot = said(&project, "workflow graph gated --format dot")
        .await
        .expect(0)
        .stdout;
    assert_eq!(
        dot,
        "digraph \"gated\" {\n  \"first\";\n  \"second\";\n  \"first\" -> \"second\";\n}\n"
    );
}

#[tokio::test]
async fn every_open_run_of_a_workflow_is_cancelled_and_no_other() {
    let project = Project::with(FLOW, &gated_script());
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the command", |run| {
            run["steps"][1]["activity"] == "run_command"
        })
        .await;
    let ended = said(&project, "workflow cancel gated --json")
        .await
        .expect(0)
        .json();
    assert_eq!(ended["runs"][0]["state"], "cancelled");
    running.finish().await.expect(6);
    said(&project, "workflow cancel gated")
        .await
        .expect(0)
        .says(&["it has no open run"]);
}

#[tokio::test]
async fn a_stored_workflow_is_checked_by_its_name() {
    let project = Project::of_examples();
    let create = ["workflow", "create", "hello.yaml"];
    project.run(create).await.expect(0);
    let by_name = ["workflow", "validate", "hello", "--json"];
    let by_file = ["workflow", "validate", "hello.yaml", "--json"];
    let stored = project.run(by_name).await.expect(0).json();
    assert_eq!(stored, project.run(by_file).await.expect(0).json());
    let unknown = project.run(["workflow", "validate", "helo"]).await;
    unknown.expect(3).says(&["did you mean 'hello'?"]);
}

/// The project of each version, the newest first.
async fn projects(project: &Project) -> Vec<Value> {
    let serving = Serving::on(project).await;
    let page = serving.get("/api/v1/workflows?name=gated").await;
    let page = page.expect(200).json();
    serving.stop(Signal::TERM).await;
    let rows = page["workflows"].as_array().unwrap().iter();
    rows.map(|row| row["project_id"].clone()).collect()
}

#[tokio::test]
async fn a_text_that_is_stored_in_a_project_is_run_there_with_and_without_a_server() {
    for is_served in [false, true] {
        let project = project();
        let made = said(&project, "project create shop --json").await;
        let shop = made.expect(0).json()["id"].clone();
        said(&project, "workflow create flow.yaml --project shop")
            .await
            .expect(0);
        // The same text in another folder is another version.
        let folder = project.path().join("copy");
        std::fs::create_dir(&folder).unwrap();
        for name in ["flow.yaml", "script.yaml"] {
            std::fs::copy(project.path().join(name), folder.join(name)).unwrap();
        }
        let serving = if is_served {
            Some(Serving::on(&project).await)
        } else {
            None
        };
        for file in ["flow.yaml", "copy/flow.yaml"] {
            let run = format!("run {file} --quiet");
            said(&project, &run).await.expect(0);
        }
        let other = FLOW.replace("Two steps", "Another text");
        project.write("flow.yaml", other);
        said(&project, "run flow.yaml --quiet").await.expect(0);
        if let Some(serving) = serving {
            serving.stop(Signal::TERM).await;
        }
        let expected = [Value::Null, shop.clone(), shop];
        assert_eq!(projects(&project).await, expected, "served: {is_served}");
    }
}

#[tokio::test]
async fn what_nothing_uses_is_a_warning_of_a_file_and_of_a_stored_workflow() {
    let flow = "
version: 1
name: flow
inputs: { note: { type: string, default: x } }
agents: { a: { provider: scripted, model: script.yaml } }
steps: [{ id: s, agent: a, prompt: Go. }]
";
    let project = Project::with(flow, "version: 1\nsteps: { s: [{ text: done }] }\n");
    project
        .run(["workflow", "create", "flow.yaml"])
        .await
        .expect(0);
    let mut told = Vec::new();
    for workflow in ["flow.yaml", "flow"] {
        let validate = ["workflow", "validate", workflow, "--json"];
        let valid = project.run(validate).await.expect(0).json();
        told.push(valid["warnings"].clone());
        let strict = ["workflow", "validate", workflow, "--strict"];
        let refused = project.run(strict).await.expect(5);
        refused.says(&["nothing uses the input 'note' (unused-input)"]);
    }
    let expected = json!([{
        "rule": "unused-input", "message": "nothing uses the input 'note'",
        "help": "take it out, or name it: ${{ inputs.note }}",
        "line": 4, "column": 11, "offset": 33, "length": 4,
    }]);
    assert_eq!(told, [expected.clone(), expected]);
    let serving = Serving::on(&project).await;
    let list = serving.get("/api/v1/workflows").await.expect(200).json();
    let id = list["workflows"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/workflows/{id}/validate");
    let checked = serving.post(&path, &json!({})).await.expect(200).json();
    let warned = "line 4, column 11: nothing uses the input 'note'; take it out, or name it: ${{ inputs.note }} (unused-input)";
    assert_eq!(
        checked,
        json!({ "valid": true, "errors": [], "warnings": [warned] })
    );
    serving.stop(Signal::TERM).await;
}
