//! What an agent's command can't get at.

use std::path::Path;

use serde_json::Value;

use crate::support::{BINARY, Finished, Project, is_root, program, step};

/// A workflow of one agent that runs one command.
async fn run_command(project: &Project, command: &str) -> String {
    let workflow = "
version: 1
name: flow
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: work, agent: worker, prompt: x }
";
    project.write("flow.yaml", workflow);
    let answers = serde_json::json!({ "version": 1, "steps": { "work": [
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": command } }] },
        { "text": "done" },
    ] } });
    project.write("script.yaml", answers.to_string());
    project.run(["run", "flow.yaml"]).await.expect(0);
    let run = project.shown().await;
    let told = &step(&run, "work")["journal"][1]["outcome"]["content"];
    told.as_str().unwrap().to_owned()
}

async fn workspace_of_newest_run(project: &Project) -> String {
    let run: Value = project.shown().await;
    run["agents"][0]["workspace_path"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn as_root_a_command_reaches_neither_other_workspaces_nor_the_data() {
    if !is_root() {
        eprintln!("skipped: only root can give each agent a user of its own");
        return;
    }
    let project = Project::new();
    run_command(&project, "echo a secret > projects/note; chmod -R 0777 .").await;
    let other = workspace_of_newest_run(&project).await;
    let data = project.data_dir().display().to_string();
    // The first agent has opened its own folder; what it did not open is shut below.
    let reached = run_command(
        &project,
        &format!(
            "id -u; ls {data}; ls {data}/workspaces; cat {data}/fusion.db {data}/fusion.db-wal \
             {data}/lock; touch {data}/x {data}/workspaces/x; cat .agent/agent.json"
        ),
    )
    .await;
    let lines: Vec<&str> = reached.lines().collect();
    let uid: u32 = lines[0].parse().unwrap();
    assert!((50_000..=59_999).contains(&uid), "{reached}");
    let denied = lines
        .iter()
        .filter(|line| line.ends_with("Permission denied"));
    assert_eq!(denied.count(), 7, "{reached}");

    let project = Project::new();
    run_command(&project, "echo a secret > projects/note").await;
    let own = workspace_of_newest_run(&project).await;
    let reached = run_command(
        &project,
        &format!("ls {own}; cat {own}/projects/note; echo x > {own}/projects/note; ls -d {other}"),
    )
    .await;
    let denied = reached
        .lines()
        .filter(|line| line.ends_with("Permission denied"));
    assert_eq!(denied.count(), 3, "{reached}");
    assert!(!reached.contains("a secret"), "{reached}");
}

#[tokio::test]
async fn a_command_sees_only_its_own_environment() {
    let project = Project::new();
    let workspace = run_command(&project, "env | sort").await;
    let names: Vec<&str> = workspace
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(
        names,
        [
            "GIT_CONFIG_NOSYSTEM",
            "HOME",
            "LANG",
            "PATH",
            "TERM",
            "TMPDIR"
        ]
    );
}

#[tokio::test]
async fn a_strict_umask_does_not_move_the_workspaces_elsewhere() {
    let project = Project::of_examples();
    let script = "umask 077; exec \"$0\" run hello.yaml --json";
    let mut command = program("sh");
    let strict = command
        .args(["-c", script, BINARY])
        .current_dir(project.path());
    let ended: Finished = strict.output().await.unwrap().into();
    let run = ended.expect(0).json();
    let workspace = run["agents"][0]["workspace_path"].as_str().unwrap();
    assert!(
        Path::new(workspace).starts_with(project.data_dir()),
        "{workspace}"
    );
}
