//! Where settings come from.

use std::fs;

use crate::support::{BINARY, Finished, Project, program};

const FLOW: &str = "
version: 1
name: flow
agents: { a: { provider: openai-compatible, model: m } }
steps: [{ id: s, agent: a, prompt: Go. }]
";

#[tokio::test]
async fn a_dot_env_of_a_folder_above_is_not_read() {
    let above = Project::new();
    above.write(".env", "FUSION_BASE_URL=http://127.0.0.1:9/v1\n");
    let folder = above.path().join("project");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("flow.yaml"), FLOW).unwrap();
    let mut command = program(BINARY);
    command.args(["run", "flow.yaml"]).current_dir(&folder);
    Finished::from(command.output().await.unwrap())
        .expect(2)
        .says(&["FUSION_BASE_URL is not set"]);
}

#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    let project = Project::of_examples();
    project
        .fusion_kit(["run", "hello.yaml"])
        .env("FUSION_KIT_DATA_DIR", "")
        .finish()
        .await
        .expect(0);
    assert!(project.data_dir().join("fusion.db").exists());
}
