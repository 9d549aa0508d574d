//! Writing to a standing agent, and seeing what it does.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;

use crate::api::Serving;
use crate::support::{Finished, GATE, Project, said};

const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: "bees" } }]
    - text: "Done."
"#;

const SPAWN: &str =
    "agent spawn --name w --provider scripted --model script.yaml --tools files,shell";

fn attached(project: &Project, arguments: &[&str]) -> Child {
    let call = ["agent", "attach"].iter().chain(arguments);
    let mut command = project.fusion_kit(call).into_command();
    command.stdin(Stdio::piped()).spawn().unwrap()
}

/// Writes all of a text and closes the pipe; waits for the end.
async fn piped(project: &Project, arguments: &[&str], text: &str) -> Finished {
    let mut child = attached(project, arguments);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    Finished::from(child.wait_with_output().await.unwrap())
}

/// Kinds and states of the entries that were printed.
fn entries(stdout: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lines = stdout
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    lines
        .map(|entry| (text(&entry["kind"]), text(&entry["state"])))
        .collect()
}

async fn inputs(project: &Project) -> Vec<Value> {
    let runs = said(project, "task list --json").await.expect(0).json();
    let mut all = Vec::new();
    for task in runs["tasks"].as_array().unwrap() {
        let run = task["run_id"].as_str().unwrap();
        let run = said(project, &format!("run show {run} --json")).await;
        all.push(run.expect(0).json()["inputs"]["message"].clone());
    }
    all.reverse();
    all
}

#[tokio::test]
async fn each_line_of_a_pipe_is_sent_and_what_the_agent_did_is_printed_until_it_rests() {
    let done = |kind: &str| (kind.to_owned(), "finished".to_owned());
    let once = [done("turn"), done("tool"), done("turn")];
    for serves in [false, true] {
        let project = Project::with("", SCRIPT);
        let _serving = match serves {
            true => Some(Serving::on(&project).await),
            false => None,
        };
        said(&project, SPAWN).await.expect(0);
        let first = piped(&project, &["w", "--json"], "Write about bees.\n\n").await;
        assert_eq!(entries(&first.expect(0).stdout), once, "serves: {serves}");
        assert_eq!(inputs(&project).await, ["Write about bees."]);
        // What was done before is left out.
        let again = piped(&project, &["w", "--json"], "Again.").await;
        assert_eq!(entries(&again.expect(0).stdout), once, "serves: {serves}");
        assert_eq!(inputs(&project).await, ["Write about bees.", "Again."]);
        let rests = said(&project, "agent get w --json").await.json();
        assert_eq!(
            [&rests["state"], &rests["inbox"]],
            [&json!("idle"), &json!(0)]
        );
    }
}

#[tokio::test]
async fn a_run_that_failed_is_told_and_the_command_ends_with_6() {
    for serves in [false, true] {
        // It ends before the agent has finished.
        let script = "
version: 1
steps:
  task: [{ tool_calls: [{ name: list_files, arguments: { path: . } }] }]
";
        let project = Project::with("", script);
        let _serving = match serves {
            true => Some(Serving::on(&project).await),
            false => None,
        };
        said(&project, SPAWN).await.expect(0);
        let failed = piped(&project, &["w"], "Go.\n").await.expect(6);
        assert!(
            failed.stderr.contains(" did not end well: "),
            "{}",
            failed.stderr
        );
    }
}

#[tokio::test]
async fn ctrl_c_ends_it_at_once_and_what_was_sent_is_done_later() {
    let script = format!(
        "version: 1\nsteps:\n  task:\n    - tool_calls: [{{ name: run_command, arguments: \
         {{ command: '{GATE}' }} }}]\n    - text: two\n"
    );
    let project = Project::with("", &script);
    said(&project, SPAWN).await.expect(0);
    let mut child = attached(&project, &["w", "--json"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Go.\n").await.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert_eq!(
        entries(&first),
        [("turn".to_owned(), "finished".to_owned())]
    );
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let stopped = Finished::from(child.wait_with_output().await.unwrap()).expect(130);
    assert!(
        stopped.stderr.contains("w keeps what it was sent"),
        "{}",
        stopped.stderr
    );
    assert_eq!(project.processes(), Vec::<String>::new());
    project.open_the_gate();
    // Nothing new is said: it goes on with what it had.
    piped(&project, &["w", "--json"], "").await.expect(0);
    let shown = said(&project, "agent get w --json").await.json();
    assert_eq!(
        [&shown["state"], &shown["tasks_completed"]],
        [&json!("idle"), &json!(1)]
    );
}

#[tokio::test]
async fn ctrl_c_while_the_agent_rests_ends_it_the_same_way() {
    let project = Project::with("", "version: 1\nsteps: { task: [{ text: one }] }\n");
    said(&project, SPAWN).await.expect(0);
    let mut child = attached(&project, &["w", "--json"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Go.\n").await.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap();
    loop {
        let shown = said(&project, "agent get w --json").await.json();
        if shown["state"] == "idle" && shown["tasks_completed"] == 1 {
            break;
        }
    }
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    Finished::from(child.wait_with_output().await.unwrap()).expect(130);
}

#[tokio::test]
async fn an_agent_that_can_do_nothing_more_is_refused() {
    let project = Project::with(
        "
version: 1
name: flow
agents: { worker: { provider: scripted, model: script.yaml } }
steps: [{ id: task, agent: worker, prompt: one }]
",
        SCRIPT,
    );
    said(&project, "run flow.yaml").await;
    let of_run = piped(&project, &["worker"], "").await.expect(5);
    assert!(
        of_run.stderr.contains("no standing agent"),
        "{}",
        of_run.stderr
    );
    said(&project, SPAWN).await.expect(0);
    said(&project, "agent pause w").await.expect(0);
    let held = piped(&project, &["w"], "More.").await.expect(5);
    assert!(held.stderr.contains("agent resume w"), "{}", held.stderr);
}

#[tokio::test]
async fn a_line_that_is_read_in_a_turn_of_another_run_ends_as_that_run_does() {
    // It ends before the agent has finished.
    let script = format!(
        "version: 1\nsteps:\n  task:\n    - tool_calls: [{{ name: run_command, arguments: \
         {{ command: '{GATE}' }} }}]\n    - tool_calls: [{{ name: list_files, arguments: {{ path: . }} }}]\n"
    );
    for serves in [false, true] {
        let project = Project::with("", &script);
        let _serving = match serves {
            true => Some(Serving::on(&project).await),
            false => None,
        };
        said(&project, SPAWN).await.expect(0);
        // Somebody else's: it is begun by whoever works for the agent.
        said(&project, "agent send w Go.").await.expect(0);
        let mut child = attached(&project, &["w"]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        if !serves {
            lines.next_line().await.unwrap().unwrap();
        }
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"And this.\n").await.unwrap();
        drop(stdin);
        loop {
            let listed = said(&project, "message list --json").await.expect(0).json();
            let messages = listed["messages"].as_array().unwrap();
            if messages.len() == 2 {
                break;
            }
        }
        project.open_the_gate();
        let ended = Finished::from(child.wait_with_output().await.unwrap()).expect(6);
        assert!(
            ended.stderr.contains(" did not end well: "),
            "{}",
            ended.stderr
        );
        assert_eq!(inputs(&project).await, ["Go."], "it was read in that run");
    }
}
