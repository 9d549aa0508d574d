//! What an agent's command can't get at.

use std::path::Path;

use fusion_persistence::AgentReader;
use serde_json::Value;

use crate::support::{BINARY, Finished, Project, is_root, program, step};

/// A workflow of one agent that runs one command.
async fn run_command(project: &Project, command: &str) -> String {
    run_granted(project, "max_turns: 20", command).await
}

/// The same with a further key of the agent.
async fn run_granted(project: &Project, key: &str, command: &str) -> String {
    let workflow = format!(
        "
version: 1
name: flow
agents:
  worker: {{ provider: scripted, model: script.yaml, tools: [shell], {key} }}
steps:
  - {{ id: work, agent: worker, prompt: x }}
"
    );
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
    // The three files and the two new ones; where there are namespaces, the folders themselves
    // show the way to the own workspace and nothing else.
    let denied = lines.iter().filter(|line| is_denied(line)).count();
    assert!((5..=7).contains(&denied), "{reached}");
    let listed = lines.iter().take(3).filter(|line| !is_denied(line)).count() - 1;
    assert_eq!(denied + listed, 7, "{reached}");
    assert!(!project.data_dir().join("x").exists());

    let project = Project::new();
    run_command(&project, "echo a secret > projects/note").await;
    let own = workspace_of_newest_run(&project).await;
    let reached = run_command(
        &project,
        &format!("ls {own}; cat {own}/projects/note; echo x > {own}/projects/note; ls {other}"),
    )
    .await;
    assert!(!reached.contains("a secret"), "{reached}");
    let note = std::fs::read_to_string(Path::new(&own).join("projects/note")).unwrap();
    assert_eq!(note, "a secret\n", "{reached}");
}

fn is_denied(line: &str) -> bool {
    ["Permission denied", "No such file or directory"]
        .iter()
        .any(|why| line.ends_with(why))
}

#[tokio::test]
async fn the_record_of_an_agent_says_what_holds_its_commands() {
    let project = Project::new();
    run_command(&project, "true").await;
    let (store, run) = project.store().await;
    let agents = store.agents_of_run(run).await.unwrap();
    let record = &agents[0].0.metadata["sandbox"];
    assert_eq!(record["sandbox"], "on");
    let layers = record["layers"].as_array().unwrap();
    let in_force: Vec<&str> = layers
        .iter()
        .filter(|layer| layer["in_force"] == true)
        .filter_map(|layer| layer["name"].as_str())
        .collect();
    for promised in ["no-new-privileges", "landlock", "seccomp", "limits"] {
        assert!(in_force.contains(&promised), "{record:#}");
    }
    let shown = project.shown().await;
    let outcome = &step(&shown, "work")["journal"][1]["outcome"];
    assert_eq!(outcome.get("unsandboxed"), None, "{outcome:#}");
}

#[tokio::test]
async fn without_a_sandbox_everything_says_so() {
    let mut project = Project::new();
    project.set("FUSION_KIT_SANDBOX", "off");
    let told = "the sandbox is switched off (FUSION_KIT_SANDBOX=off)";
    run_command(&project, "true").await;
    let ran = project.run(["run", "flow.yaml"]).await.expect(0);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let (store, run) = project.store().await;
    let agents = store.agents_of_run(run).await.unwrap();
    assert_eq!(agents[0].0.metadata["sandbox"]["sandbox"], "off");
    let shown = project.shown().await;
    let outcome = &step(&shown, "work")["journal"][1]["outcome"];
    assert_eq!(outcome["unsandboxed"], true, "{outcome:#}");
    let verified = project.run(["verify"]).await.expect(1);
    assert!(verified.stdout.contains(told), "{}", verified.stdout);
    let held = project.run(["sandbox", "run", "true"]).await.expect(0);
    assert!(held.stderr.contains(told), "{}", held.stderr);
}

#[tokio::test]
async fn a_wrong_setting_of_the_sandbox_refuses_the_run() {
    let mut project = Project::of_examples();
    project.set("FUSION_KIT_SANDBOX", "false");
    let before = project.contents();
    let refused = project.run(["run", "hello.yaml"]).await.expect(2);
    refused.says(&["FUSION_KIT_SANDBOX is 'false'", "help: write on or off"]);
    assert_eq!(project.contents(), before);
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

#[tokio::test]
async fn the_record_of_a_workspace_says_what_it_takes_of_the_disk() {
    let project = Project::new();
    let command = "mkdir projects/a && head -c 1000000 /dev/zero > projects/a/b";
    run_command(&project, command).await;
    let (store, run) = project.store().await;
    let agents = store.agents_of_run(run).await.unwrap();
    let (_, record) = &agents[0];
    assert!(
        (1_000_000..1_500_000).contains(&record.size_bytes),
        "{record:?}"
    );
    let found = program("find").arg(&record.root_path).output().await;
    let files = String::from_utf8(found.unwrap().stdout)
        .unwrap()
        .lines()
        .count();
    assert_eq!(record.file_count, u64::try_from(files).unwrap());
}

#[tokio::test]
async fn the_model_is_told_that_its_workspace_may_take_no_more() {
    let project = Project::new();
    let limits = "sandbox: { limits: { disk: 2MiB } }";
    let command = "while :; do i=$((i + 1)); head -c 100000 /dev/zero > projects/$i; done";
    let told = run_granted(&project, limits, command).await;
    let reason = "[killed: it used too much room on the disk (the limit of the workspace is reached: \
                  remove what is not needed, or write less)]";
    assert!(told.ends_with(reason), "{told}");
}
