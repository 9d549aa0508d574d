//! Ctrl-C and SIGTERM in the middle of the work, and going on afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fusion_core::{Agent, Workspace};
use fusion_persistence::AgentReader;
use rustix::pipe::{fcntl_setpipe_size, pipe};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{BINARY, Finished, Project, Running, program, states, step, wait_for};

const WORKFLOW: &str = "
version: 1
name: flow
agents:
  one: { provider: scripted, model: script.yaml, tools: [shell] }
  two: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: one, prompt: x }
  - { id: second, agent: two, prompt: x, needs: [first] }
outputs: { first: \"${{ steps.first.outputs.text }}\", second: \"${{ steps.second.outputs.text }}\" }
";

/// Answers in which the second step does `command` first.
fn script(delay: &str, command: &str) -> String {
    format!(
        "
version: 1
delay: {delay}
steps:
  first: [{{ text: one }}]
  second:
    - tool_calls: [{{ name: run_command, arguments: {{ command: '{command}' }} }}]
    - text: two
"
    )
}

/// Says that it was interrupted, with the command that goes on; then that command goes on.
async fn goes_on(project: &Project, interrupted: Finished) -> Value {
    let left = project.shown().await;
    let id = left["id"].as_str().unwrap();
    let said = format!("interrupted; nothing is lost. go on with: fusion-kit resume {id}\n");
    assert!(
        interrupted.stderr.ends_with(&said),
        "{}",
        interrupted.stderr
    );
    assert_eq!(
        (&left["state"], &left["interrupted"]),
        (&"running".into(), &true.into())
    );
    let listed = project.run(["run", "list"]).await.expect(0);
    assert!(listed.stdout.contains("interrupted"), "{}", listed.stdout);
    let resumed = project.run(["resume", id, "--json"]).await.expect(0).json();
    assert_eq!(resumed["id"], id);
    assert_eq!(resumed["outputs"]["first"], "one");
    assert_eq!(resumed["outputs"]["second"], "two");
    resumed
}

async fn a_model_call_is_stopped_by(signal: Signal) {
    let project = Project::with(WORKFLOW, &script("60s", "true"));
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the first model call", |run| {
            step(run, "first")["activity"] == "turn 1"
        })
        .await;
    let interrupted = running.stop(signal).await.expect(130);
    assert_eq!(interrupted.stdout, "");
    assert_eq!(project.processes(), [] as [String; 0]);

    project.write("script.yaml", script("0ms", "true"));
    let resumed = goes_on(&project, interrupted).await;
    assert_eq!(step(&resumed, "first")["attempts"], 2);
    assert_eq!(step(&resumed, "second")["attempts"], 1);
}

#[tokio::test]
async fn ctrl_c_stops_a_model_call_at_once_and_resume_goes_on() {
    a_model_call_is_stopped_by(Signal::INT).await;
}

#[tokio::test]
async fn sigterm_stops_a_model_call_at_once_and_resume_goes_on() {
    a_model_call_is_stopped_by(Signal::TERM).await;
}

#[tokio::test]
async fn the_end_of_the_terminal_stops_a_model_call_and_resume_goes_on() {
    a_model_call_is_stopped_by(Signal::HUP).await;
}

#[tokio::test]
async fn under_nohup_the_end_of_the_terminal_stops_nothing() {
    let project = Project::with(WORKFLOW, &script("1s", "true"));
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut command = program("sh");
    command
        .args(["-c", script, BINARY, "run", "flow.yaml"])
        .current_dir(project.path());
    let child = command.spawn().unwrap();
    project
        .until("the first model call", |run| {
            step(run, "first")["activity"] == "turn 1"
        })
        .await;
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    Finished::from(child.wait_with_output().await.unwrap()).expect(0);
}

#[tokio::test]
async fn the_record_of_an_agent_is_true_when_its_run_goes_on_in_another_way() {
    let mut project = Project::with(WORKFLOW, &script("60s", "true"));
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the first model call", |run| {
            step(run, "first")["activity"] == "turn 1"
        })
        .await;
    running.stop(Signal::INT).await.expect(130);
    let held = |agents: Vec<(Agent, Workspace)>| {
        let mut agents = agents.into_iter();
        let (agent, _) = agents.find(|(agent, _)| agent.name == "one").unwrap();
        agent.metadata["sandbox"]["sandbox"].clone()
    };
    let (store, run) = project.store().await;
    assert_eq!(held(store.agents_of_run(run).await.unwrap()), "on");
    drop(store);
    project.write("script.yaml", script("0ms", "true"));
    project.set("FUSION_KIT_SANDBOX", "off");
    project.run(["resume"]).await.expect(0);
    let (store, run) = project.store().await;
    assert_eq!(held(store.agents_of_run(run).await.unwrap()), "off");
}

/// A command that forks twice, leaves its session and its folder, and ignores every request to
/// stop. Its arguments name the project, so that what is left of it can be found.
async fn working_on_a_stubborn_command(project: &Project) -> Running {
    let here = project.path().display();
    let stay = r#"export W="$PWD/projects"; S="trap : INT TERM HUP; cd /; touch \$W/\$1; while :; do sleep 1000; done""#;
    let command =
        format!(r#"{stay}; (setsid sh -c "$S" {here} orphan &) ; sh -c "$S" {here} child"#);
    project.write("script.yaml", script("0ms", &command));
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    wait_for("both processes of the command", || {
        let workspaces = fs::read_dir(project.data_dir().join("workspaces")).ok()?;
        let projects = workspaces
            .flatten()
            .map(|entry| entry.path().join("projects"));
        let is_up = |folder: PathBuf| {
            ["orphan", "child"]
                .iter()
                .all(|name| folder.join(name).exists())
        };
        projects.into_iter().any(is_up).then_some(())
    })
    .await;
    assert!(project.processes().len() >= 3, "{:?}", project.processes());
    running
}

async fn a_command_is_stopped_by(signal: Signal) {
    let project = Project::with(WORKFLOW, "");
    let running = working_on_a_stubborn_command(&project).await;
    let interrupted = running.stop(signal).await.expect(130);
    assert_eq!(project.processes(), [] as [String; 0]);

    let resumed = goes_on(&project, interrupted).await;
    assert_eq!(
        states(&resumed),
        [("first", "completed"), ("second", "completed")]
    );
    assert_eq!(
        step(&resumed, "first")["attempts"],
        1,
        "what was finished is not repeated"
    );
    let run = project.shown().await;
    let command = &step(&run, "second")["journal"][1];
    assert_eq!(
        command["state"], "unknown",
        "a command is not repeated: {command}"
    );
}

#[tokio::test]
async fn ctrl_c_stops_a_command_with_all_that_came_of_it() {
    a_command_is_stopped_by(Signal::INT).await;
}

#[tokio::test]
async fn sigterm_stops_a_command_with_all_that_came_of_it() {
    a_command_is_stopped_by(Signal::TERM).await;
}

#[tokio::test]
async fn kill_9_leaves_no_process_of_a_command() {
    let project = Project::with(WORKFLOW, "");
    let running = working_on_a_stubborn_command(&project).await;
    running.signal(Signal::KILL);
    assert_eq!(running.finish().await.code, None);
    wait_for("the end of every process", || {
        project.processes().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_run_is_one_json_object_too() {
    let project = Project::with(WORKFLOW, &script("60s", "true"));
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    project
        .until("the first model call", |run| {
            step(run, "first")["activity"] == "turn 1"
        })
        .await;
    let left = running.stop(Signal::INT).await.expect(130).json();
    assert_eq!(
        (&left["state"], &left["interrupted"]),
        (&"running".into(), &true.into())
    );
}

#[tokio::test]
async fn a_signal_after_any_line_of_progress_leaves_a_run_that_goes_on() {
    let whole = Project::with(WORKFLOW, &script("5ms", "true"));
    let told = whole
        .run(["run", "flow.yaml"])
        .await
        .expect(0)
        .stderr
        .lines()
        .count();
    let mut interrupted = 0;
    for line in (1..=told).chain(1..=told) {
        let project = Project::with(WORKFLOW, &script("5ms", "true"));
        let mut child = project
            .fusion_kit(["run", "flow.yaml"])
            .into_command()
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..line {
            lines.next_line().await.unwrap();
        }
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        while lines.next_line().await.unwrap().is_some() {}
        match child.wait().await.unwrap().code() {
            Some(0) => {}
            Some(130) => {
                interrupted += 1;
                project.run(["resume", "--quiet"]).await.expect(0);
            }
            code => panic!("{code:?} after line {line}"),
        }
        assert_eq!(project.shown().await["state"], "completed");
    }
    assert!(interrupted > 0, "every run was faster than its signal");
}

#[tokio::test]
async fn a_signal_between_claim_and_begin_leaves_a_run_that_goes_on() {
    let project = Project::with(WORKFLOW, &script("0s", "true"));
    // The worker is held for a moment right after its claim.
    let held = ("FAILPOINTS", "coordination::claimed=1*sleep(1500)");
    let running = project
        .fusion_kit(["run", "flow.yaml"])
        .env(held.0, held.1)
        .start();
    project
        .until("the claim", |run| step(run, "first")["state"] == "assigned")
        .await;
    running.signal(Signal::INT);
    let interrupted = running.finish().await.expect(130);
    let left = project.shown().await;
    assert_eq!(states(&left), [("first", "queued"), ("second", "queued")]);
    goes_on(&project, interrupted).await;
}

#[tokio::test]
async fn a_terminal_that_takes_no_more_text_holds_up_neither_the_run_nor_its_end() {
    let steps: String = (0..100)
        .map(|step| format!("  - {{ id: s{step}, agent: one, prompt: x }}\n"))
        .collect();
    let answers: String = (0..100)
        .map(|step| format!("  s{step}: [{{ text: ok }}]\n"))
        .collect();
    let workflow = format!(
        "version: 1\nname: flow\nagents:\n  one: {{ provider: scripted, model: script.yaml }}\nsteps:\n{steps}"
    );
    let project = Project::with(&workflow, &format!("version: 1\nsteps:\n{answers}"));
    let (unread, stderr) = pipe().unwrap();
    fcntl_setpipe_size(&stderr, 4_096).unwrap();
    let mut child = project
        .fusion_kit(["run", "flow.yaml"])
        .into_command()
        .stderr(Stdio::from(stderr))
        .spawn()
        .unwrap();
    project
        .until("the run to complete", |run| run["state"] == "completed")
        .await;
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await;
    assert_eq!(ended.expect("it ends by itself").unwrap().code(), Some(130));
    drop(unread);
}
