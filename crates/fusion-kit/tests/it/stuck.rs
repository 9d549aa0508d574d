//! An agent that gets stuck in a step: another one is given it, then a person is asked.

use serde_json::{Value, json};

use crate::api::Serving;
use crate::support::{Project, said, states, step};

const FLOW: &str = "
version: 1
name: report
agents:
  a: { provider: scripted, model: stuck.yaml, capabilities: [writing], tools: [files], max_turns: 1 }
  b: { provider: scripted, model: script.yaml, capabilities: [writing], tools: [files], max_turns: 1 }
steps:
  - { id: write, capabilities: [writing], prompt: \"Write.\" }
";

/// The only turn there may be ends in a call.
const STUCK: &str = "[{ tool_calls: [{ name: list_files, arguments: {} }] }]";

fn script(answers: &[(&str, &str)]) -> String {
    let lines = answers
        .iter()
        .map(|(place, answer)| format!("  \"{place}\": {answer}\n"));
    format!("version: 1\nsteps:\n{}", lines.collect::<String>())
}

fn project(flow: &str, b: &[(&str, &str)]) -> Project {
    // An agent is not spawned whose script has no answer for the step's first try.
    let answers = [&[("write", STUCK)], b].concat();
    let mut project = Project::with(flow, &script(&answers));
    project.write(
        "stuck.yaml",
        script(&[("write", STUCK), ("write#2", STUCK)]),
    );
    project.set("USER", "ada");
    project
}

/// What waits for a person, once something does.
async fn question(project: &Project) -> Value {
    project
        .until("the question", |run| {
            let reason = &step(run, "write")["waiting"]["reason"];
            let reason = reason.as_str().unwrap_or_default();
            reason.starts_with("approval")
        })
        .await;
    said(project, "inbox --json").await.expect(0).json()["items"][0].clone()
}

#[tokio::test]
async fn a_step_in_which_an_agent_is_stuck_is_given_to_another_that_can_do_it() {
    let project = project(FLOW, &[("write#2", "[{ text: done }]")]);
    let done = project.run(["run", "flow.yaml", "--json"]).await;
    let done = done.expect(0).json();
    let write = step(&done, "write");
    assert_eq!(
        json!([write["agent"], write["outputs"]["text"]]),
        json!(["b", "done"])
    );
    let events = said(&project, "events tail --json --type task.retried").await;
    let told =
        "write is given to b, because a got stuck: the agent 'a' did not finish within 1 turn";
    assert!(events.expect(0).stdout.contains(told));
}

#[tokio::test]
async fn when_all_who_can_do_it_are_stuck_a_person_may_be_asked_and_heard() {
    let flow = FLOW.replace("max_turns: 1", "max_turns: 1, when_stuck: { ask: true }");
    let answers = [("write#2", STUCK), ("write#3", "[{ text: done }]")];
    let project = project(&flow, &answers);
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let item = question(&project).await;
    let asked = item["message"].as_str().unwrap();
    let begins = "b got stuck in write: the agent 'b' did not finish within 1 turn";
    assert!(asked.starts_with(begins), "{asked}");
    let id = item["id"].as_str().unwrap();
    let yes = format!("approve {id} --comment shorter");
    said(&project, &yes).await.expect(0);
    let done = running.finish().await.expect(0).json();
    assert_eq!(step(&done, "write")["outputs"]["text"], "done");
    let serving = Serving::on(&project).await;
    let tasks = serving.get("/api/v1/tasks").await.expect(200).json();
    let input = tasks["tasks"][0]["input_artifacts"].to_string();
    assert!(input.contains("A person answers: shorter"), "{input}");
}

#[tokio::test]
async fn a_person_may_say_that_it_is_not_worth_another_try() {
    let stuck = "max_turns: 1, when_stuck: { hand_over: 0, ask: true }";
    let flow = FLOW.replace("max_turns: 1", stuck);
    let project = project(&flow, &[]);
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let id = question(&project).await["id"].clone();
    let no = format!("reject {} --reason enough", id.as_str().unwrap());
    said(&project, &no).await.expect(0);
    let failed = running.finish().await.expect(6).json();
    assert_eq!(states(&failed), [("write", "failed")]);
    assert_eq!(step(&failed, "write")["error"], "rejected by ada: enough");
}

#[tokio::test]
async fn where_nobody_else_can_do_it_and_nobody_is_asked_it_fails() {
    let flow = FLOW.replace("max_turns: 1", "max_turns: 1, when_stuck: { hand_over: 0 }");
    let failed = project(&flow, &[])
        .run(["run", "flow.yaml", "--json"])
        .await;
    let failed = failed.expect(6).json();
    let why = step(&failed, "write")["error"].as_str().unwrap();
    assert!(why.starts_with("the agent 'a' did not finish"), "{why}");
}
