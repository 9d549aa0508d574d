//! Agents that are given time to end what they are at.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::support::{GATE, Project, said, wait_for};

/// An agent at work on a command that lasts until the gate is open, and then leaves something; its workspace.
async fn at_work(project: &Project) -> (Serving, PathBuf) {
    let command = format!("touch begun; {GATE}; touch ended");
    let turns = json!([
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": command } }] },
        { "text": "Done." },
    ]);
    let script = json!({ "version": 1, "steps": { "task": turns } }).to_string();
    project.write("script.yaml", script);
    let serving = Serving::on(project).await;
    let spawn = "agent spawn --name w --provider scripted --model script.yaml --tools shell";
    said(project, spawn).await.expect(0);
    said(project, "agent send w Go.").await.expect(0);
    let shown = said(project, "agent get w --json").await.expect(0).json();
    let workspace = PathBuf::from(shown["workspace"]["path"].as_str().unwrap());
    let workspace = wait_for("the command", || {
        let places = [workspace.clone(), workspace.join("projects")];
        places
            .into_iter()
            .find(|place| place.join("begun").exists())
    })
    .await;
    (serving, workspace)
}

async fn state(project: &Project) -> Value {
    state_of(project, "w").await
}

async fn state_of(project: &Project, agent: &str) -> Value {
    let shown = said(project, &format!("agent get {agent} --json")).await;
    shown.expect(0).json()["state"].clone()
}

#[tokio::test]
async fn the_call_in_flight_ends_within_its_grace_and_the_agent_after_it() {
    let project = Project::new();
    let (serving, workspace) = at_work(&project).await;
    let line = ["agent", "terminate", "w", "--grace", "60s", "--json"];
    let ending = project.fusion_kit(line).start();
    let began = std::time::Instant::now();
    while state(&project).await != "paused" {
        crate::support::breathe(began, "the agent to be held").await;
    }
    assert!(!workspace.join("ended").exists());
    project.open_the_gate();
    let ended = ending.finish().await.expect(0).json();
    assert_eq!(ended["agents"][0]["state"], "terminated");
    assert!(workspace.join("ended").exists(), "the command was cut off");
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_cut_off() {
    let project = Project::new();
    let (serving, workspace) = at_work(&project).await;
    said(&project, "agent terminate w --grace 1s")
        .await
        .expect(0);
    assert_eq!(state(&project).await, "terminated");
    project.open_the_gate();
    assert!(!workspace.join("ended").exists());
    assert!(fs::read_dir(&workspace).is_ok(), "the workspace is kept");
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn where_a_name_is_wrong_nobody_is_held() {
    let project = Project::new();
    let (serving, _workspace) = at_work(&project).await;
    said(&project, "agent terminate w ghost --grace 2s")
        .await
        .expect(3)
        .says(&["ghost"]);
    assert_eq!(state(&project).await, "working");
    project.open_the_gate();
    serving.stop(Signal::TERM).await;
}

#[tokio::test]
async fn one_that_waits_for_work_begins_none_while_another_ends_what_it_is_at() {
    let project = Project::new();
    let (serving, workspace) = at_work(&project).await;
    let spawn = "agent spawn --name v --provider scripted --model script.yaml --tools shell";
    said(&project, spawn).await.expect(0);
    let line = ["agent", "terminate", "w", "v", "--grace", "60s", "--json"];
    let ending = project.fusion_kit(line).start();
    let began = std::time::Instant::now();
    while state_of(&project, "v").await != "paused" {
        crate::support::breathe(began, "the other to be held").await;
    }
    assert!(!workspace.join("ended").exists());
    project.open_the_gate();
    let ended = ending.finish().await.expect(0).json();
    let states = [0, 1].map(|number| ended["agents"][number]["state"].clone());
    assert_eq!(states, ["terminated", "terminated"]);
    assert!(workspace.join("ended").exists(), "the command was cut off");
    serving.stop(Signal::TERM).await;
}
