//! Runs that are left to a server, and inputs from a file.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::support::{GATE, Project, said};

fn flow(command: &str) -> String {
    format!(
        "
version: 1
name: flow
inputs:
  name: {{ type: string }}
  count: {{ type: integer, default: 1 }}
steps:
  - {{ id: first, run: '{command}' }}
outputs:
  name: ${{{{ inputs.name }}}}
  count: ${{{{ inputs.count }}}}
"
    )
}

const SCRIPT: &str = "version: 1\nsteps: {}\n";

#[tokio::test]
async fn a_run_is_left_to_a_server_and_to_nothing_else() {
    let project = Project::with(&flow(GATE), SCRIPT);
    for line in [
        "run flow.yaml -i name=Ada --detach",
        "workflow start flow -i name=Ada --detach",
    ] {
        let without = said(&project, line).await;
        if line.starts_with("run") {
            without.expect(10).says(&["no server goes on with the run"]);
            assert_eq!(
                said(&project, "run list --json").await.json()["runs"],
                json!([])
            );
            said(&project, "workflow create flow.yaml").await.expect(0);
        } else {
            without.expect(10);
        }
    }
    let serving = Serving::on(&project).await;
    for line in [
        "run flow.yaml -i name=Ada --detach --json",
        "workflow start flow -i name=Ada --detach --json",
    ] {
        let left = said(&project, line).await.expect(0).json();
        assert_ne!(left["state"], "completed", "{left:#}");
        let id = left["id"].as_str().unwrap().to_owned();
        let told = said(&project, &format!("run show {id} --json")).await;
        assert_eq!(told.expect(0).json()["id"], left["id"]);
        let run = format!("/api/v1/runs/{id}");
        let is_at_work = |run: &Value| run["steps"][0]["state"] == "running";
        serving.until(&run, is_at_work).await;
        project.open_the_gate();
        let ended = serving.until(&run, |run| run["state"] == "completed").await;
        assert_eq!(ended["outputs"], json!({ "name": "Ada", "count": 1 }));
    }
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn inputs_come_from_a_file_and_those_of_the_command_line_stand_above_them() {
    let project = Project::with(&flow("echo done"), SCRIPT);
    fs::write(project.path().join("in.yaml"), "name: Ada\ncount: 3\n").unwrap();
    let line = "run flow.yaml --input-file in.yaml -i name=Bob --json";
    let ran = said(&project, line).await.expect(0).json();
    assert_eq!(ran["outputs"], json!({ "name": "Bob", "count": 3 }));
    let line = "workflow start flow --input-file in.yaml --json";
    let ran = said(&project, line).await.expect(0).json();
    assert_eq!(ran["outputs"], json!({ "name": "Ada", "count": 3 }));
    fs::write(project.path().join("in.yaml"), "- Ada\n").unwrap();
    for line in [
        "run flow.yaml --input-file in.yaml",
        "run flow.yaml --input-file gone.yaml",
    ] {
        let refused = said(&project, line).await.expect(2);
        refused.says(&["the inputs of ", "NAME: VALUE"]);
    }
}
