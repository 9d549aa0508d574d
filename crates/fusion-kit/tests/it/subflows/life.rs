//! Runs below runs: held, ended, and after deaths.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{CALLER, SHOUT, below, flow, project, spent};
use crate::api::Serving;
use crate::crash::{die_at, go_on, result};
use crate::support::{Project, breathe, step};

/// A command that lasts until the gate is open.
const GATED: &str = "
version: 1
name: gated
steps: [{ id: wait, run: 'until test -e go; do sleep 0.1; done', repeatable: true }]
outputs: { code: '${{ steps.wait.outputs.exit_code }}' }
";

#[tokio::test]
async fn a_pause_a_resume_and_a_cancel_reach_the_runs_below() {
    let middle = "{ version: 1, name: middle, steps: [{ id: call, workflow: gated }] }";
    let project = project(
        &flow("", "  - { id: call, workflow: middle }", "{}"),
        &[GATED, middle],
    )
    .await;
    let serving = Serving::on(&project).await;
    let started = project.fusion_kit(["run", "flow.yaml"]).start();
    let outer = at_the_gate(&project).await;
    let id = outer["id"].as_str().unwrap().to_owned();
    project.run(["run", "pause", &id, "--now"]).await.expect(0);
    for run in all_runs(&project).await {
        assert_eq!(
            (&run["state"], &run["halt"]["kind"]),
            (&json!("running"), &json!("now"))
        );
    }
    started.stop(Signal::INT).await;
    let resumed = project.fusion_kit(["resume", &id]).start();
    let began = Instant::now();
    while all_runs(&project)
        .await
        .iter()
        .any(|run| !run["halt"].is_null())
    {
        breathe(began, "all three to go on").await;
    }
    at_the_gate(&project).await;
    project.run(["run", "cancel", &id]).await.expect(0);
    resumed.finish().await.expect(6);
    let states: Vec<Value> = all_runs(&project)
        .await
        .iter()
        .map(|run| run["state"].clone())
        .collect();
    assert_eq!(states, ["cancelled"; 3]);
    assert_eq!(
        project
            .processes()
            .iter()
            .filter(|line| line.contains("test -e go"))
            .count(),
        0
    );
    // Opened, a further run ends well.
    let again = project.fusion_kit(["run", "flow.yaml"]).start();
    at_the_gate(&project).await;
    project.open_the_gate();
    again.finish().await.expect(0);
    serving.stop(Signal::INT).await;
}

async fn all_runs(project: &Project) -> Vec<Value> {
    let listed = project
        .run(["run", "list", "--json"])
        .await
        .expect(0)
        .json();
    listed["runs"].as_array().unwrap().clone()
}

/// Waits until the innermost of the newest three runs is at its command; gives the outermost.
async fn at_the_gate(project: &Project) -> Value {
    let at_work = |project: &Project| {
        let lines = project.processes();
        lines.iter().any(|line| line.contains("test -e go"))
    };
    let is_there = |shown: &Value| shown["state"] == "running" && at_work(project);
    project.until("the command to run", is_there).await
}

#[tokio::test]
async fn a_cancelled_step_leaves_no_run_behind_and_its_wait_names_the_run() {
    let project = project(
        &flow(
            "",
            "  - { id: call, workflow: gated, on_failure: continue }",
            "{}",
        ),
        &[GATED],
    )
    .await;
    let serving = Serving::on(&project).await;
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let outer = at_the_gate(&project).await;
    let [child] = below(&project, &outer).await.try_into().unwrap();
    let task = outer["steps"][0]["task_id"].as_str().unwrap();
    let waits = project
        .run(["task", "get", task, "--json"])
        .await
        .expect(0)
        .json();
    let text = format!("run {} of workflow 'gated'", child["id"].as_str().unwrap());
    let wanted = json!({ "kind": "run", "text": text, "task_id": null, "run_id": child["id"], "until": null });
    assert_eq!(waits["waits_for"], json!([wanted]));
    project.run(["task", "cancel", task]).await.expect(0);
    running.finish().await;
    let [child] = below(&project, &outer).await.try_into().unwrap();
    assert_eq!(child["state"], "cancelled");
    serving.stop(Signal::INT).await;
}

#[tokio::test]
async fn a_timeout_of_the_step_ends_the_run() {
    let steps = "  - { id: call, workflow: gated, timeout: 2s }";
    let project = project(&flow("", steps, "{}"), &[GATED]).await;
    project.run(["run", "flow.yaml"]).await.expect(6);
    let shown = project.shown().await;
    let error = step(&shown, "call")["error"].as_str().unwrap();
    assert!(
        error.contains("took longer than the timeout of 2 s"),
        "{error}"
    );
    let [child] = below(&project, &shown).await.try_into().unwrap();
    assert_eq!(child["state"], "cancelled");
}

#[tokio::test]
async fn the_result_is_the_same_after_a_death_at_every_commit_and_nothing_is_done_twice() {
    let steps = "
  - { id: think, agent: a, prompt: x }
  - { id: call, workflow: caller, needs: think, with: { word: '${{ steps.think.outputs.text }}' } }
  - { id: say, agent: a, needs: call, prompt: '${{ steps.call.outputs.heard.loud }}' }";
    let outputs = "{ loud: '${{ steps.call.outputs.heard.loud }}' }";
    let text = flow("budget: { tokens: 99999 }", steps, outputs);
    let whole = project(&text, &[SHOUT, CALLER]).await;
    whole.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let wanted = result(&whole).await;
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        let mut deaths = 0;
        for passing in 0.. {
            let project = project(&text, &[SHOUT, CALLER]).await;
            let command = ["run", "flow.yaml", "--quiet"];
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            go_on(&project, "flow.yaml").await;
            let place = format!("death at {point}, passing {passing}");
            assert_eq!(result(&project).await, wanted, "{place}");
            let runs = all_runs(&project).await;
            let ends: Vec<&Value> = runs.iter().map(|run| &run["state"]).collect();
            assert_eq!(ends, ["completed"; 3], "{place}");
            let outer = runs.last().unwrap()["id"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let (used, told) = spent(&project, outer).await;
            assert_eq!(used, told, "{place}");
        }
        assert!(deaths >= 12, "{point} was reached {deaths} times");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_goes_on_with_all_levels() {
    let outputs = "{ code: '${{ steps.call.outputs.code }}' }";
    let project = project(
        &flow("", "  - { id: call, workflow: gated }", outputs),
        &[GATED],
    )
    .await;
    let serving = Serving::on(&project).await;
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let outer = at_the_gate(&project).await;
    serving.signal(Signal::KILL);
    running.finish().await;
    drop(serving);
    let serving = Serving::on(&project).await;
    at_the_gate(&project).await;
    project.open_the_gate();
    let path = format!("/api/v1/runs/{}", outer["id"].as_str().unwrap());
    let ended = serving
        .until(&path, |run| run["state"] == "completed")
        .await;
    assert_eq!(ended["outputs"], json!({ "code": 0 }));
    serving.stop(Signal::INT).await;
}
