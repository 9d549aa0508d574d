//! Runs are held, let go on and ended from another process, while one works on them or none does.

use serde_json::{Value, json};

use crate::support::{Project, Running, gated_script, said, states, step, wait_for};

const WORKFLOW: &str = "
version: 1
name: flow
agents:
  one: { provider: scripted, model: script.yaml }
  two: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: one, prompt: x }
  - { id: second, agent: two, prompt: x, needs: [first] }
  - { id: third, agent: one, prompt: x, needs: [second] }
outputs: { text: \"${{ steps.second.outputs.text }}\" }
";

/// The process dies at its nth passing of one of these.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More passings than the commands of these tests have.
const LIMIT: u32 = 60;

fn project() -> Project {
    let script = format!(
        "{}\n  third: [{{ text: three }}]\n",
        gated_script().trim_end()
    );
    let mut project = Project::with(WORKFLOW, &script);
    project.set("USER", "ada");
    project
}

/// A run whose second step has a command under way, and its id.
async fn at_work(project: &Project) -> (Running, String) {
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let run = project
        .until("the command", |run| {
            step(run, "second")["activity"] == "run_command"
        })
        .await;
    (running, run["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_run_is_ended_by_another_process_with_all_that_is_under_way() {
    let project = project();
    let (running, run) = at_work(&project).await;
    let ended = said(&project, &format!("run cancel {run} --json"))
        .await
        .expect(0)
        .json();
    assert_eq!(
        json!([ended["state"], ended["error"]]),
        json!(["cancelled", "cancelled by ada"])
    );
    let finished = running.finish().await.expect(6);
    finished.says(&["the run was cancelled: cancelled by ada"]);
    let none = wait_for("the end of the processes", || {
        Some(project.processes()).filter(Vec::is_empty)
    });
    assert_eq!(none.await, [] as [String; 0]);
    let shown = project.shown().await;
    assert_eq!(
        states(&shown),
        [
            ("first", "completed"),
            ("second", "cancelled"),
            ("third", "cancelled")
        ]
    );
    assert_eq!(step(&shown, "second")["cancel_reason"], "requested");
    said(&project, &format!("resume {run}"))
        .await
        .expect(5)
        .says(&["is cancelled already"]);
}

#[tokio::test]
async fn a_run_is_held_by_another_process_and_goes_on_from_its_journal() {
    let project = project();
    let (running, run) = at_work(&project).await;
    let held = said(&project, &format!("run pause {run} --now"))
        .await
        .expect(0);
    let text = format!("run {run} of flow");
    assert!(held.stdout.contains(&text), "{}", held.stdout);
    assert!(
        held.stdout.contains("paused by ada since"),
        "{}",
        held.stdout
    );
    let finished = running.finish().await.expect(7);
    finished.says(&[
        "paused by ada",
        &format!("go on with: fusion-kit resume {run}"),
    ]);
    let shown = project.shown().await;
    assert_eq!(
        json!([shown["state"], shown["halt"]["kind"], shown["halt"]["by"]]),
        json!(["running", "now", "ada"])
    );
    let listed = said(&project, "run list --state running").await.expect(0);
    assert!(listed.stdout.contains("! paused"), "{}", listed.stdout);
    // Held again it stays so, under the first name.
    said(&project, &format!("run pause {run}")).await.expect(0);
    project.open_the_gate();
    let done = said(&project, &format!("run resume {run} --json"))
        .await
        .expect(0)
        .json();
    assert_eq!(
        json!([done["state"], done["outputs"]["text"], done.get("halt")]),
        json!(["completed", "two", null])
    );
    assert_eq!(step(&done, "first")["attempts"], 1);
}

#[tokio::test]
async fn a_run_is_watched_by_another_process_to_its_end() {
    let project = project();
    let (running, run) = at_work(&project).await;
    let watching = project.fusion_kit(["run", "watch", &run, "--json"]).start();
    project.open_the_gate();
    let seen = watching.finish().await.expect(0).json();
    assert_eq!(
        json!([seen["id"], seen["state"]]),
        json!([run, "completed"])
    );
    running.finish().await.expect(0);
    let listed = said(&project, "run list --workflow other --json").await;
    assert_eq!(listed.expect(0).json(), json!({ "runs": [] }));
}

/// Runs a command that dies at the nth passing of a point; `None` when it did not come so far.
async fn die_at(project: &Project, line: &str, point: &str, passing: u32) -> Option<()> {
    let died = project
        .fusion_kit(line.split(' '))
        .env("FAILPOINTS", format!("{point}={passing}*off->1*return"))
        .finish()
        .await;
    died.code.is_none().then_some(())
}

/// A run that was interrupted in its second step.
async fn left(project: &Project) -> String {
    let (running, run) = at_work(project).await;
    running.stop(rustix::process::Signal::INT).await.expect(130);
    run
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_cancel_ends_the_run_whole_or_not_at_all() {
    for point in POINTS {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let project = project();
            let run = left(&project).await;
            let line = format!("run cancel {run}");
            if die_at(&project, &line, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            // Any command that takes the directory finishes what was begun.
            said(&project, "agent terminate --all").await.expect(0);
            let shown: Value = project.shown().await;
            let whole = match shown["state"].as_str().unwrap() {
                "running" => shown.get("halt").is_none(),
                "cancelled" => step(&shown, "third")["state"] == "cancelled",
                _ => false,
            };
            assert!(whole, "{point} {passing}: {shown:#}");
            let again = said(&project, &line).await.expect(0);
            assert!(again.stdout.contains("cancelled"), "{}", again.stdout);
        }
        assert!((1..LIMIT).contains(&deaths), "{point}: {deaths}");
    }
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_pause_loses_nothing() {
    for point in POINTS {
        for passing in 0..LIMIT {
            let project = project();
            let run = left(&project).await;
            let line = format!("run pause {run}");
            let died = die_at(&project, &line, point, passing).await;
            project.open_the_gate();
            let done = said(&project, &format!("resume {run} --json")).await;
            let done = done.expect(0).json();
            assert_eq!(done["state"], "completed", "{point} {passing}");
            if died.is_none() {
                break;
            }
        }
    }
}
