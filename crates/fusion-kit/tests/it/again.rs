//! Runs that ended are done again without what was finished.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::crash::die_at;
use crate::support::{Project, said, states, step};

const WORKFLOW: &str = "
version: 1
name: flow
inputs:
  word: { type: string, default: one }
agents:
  w: { provider: scripted, model: script.yaml, tools: [files, shell] }
  r: { provider: scripted, model: script.yaml }
steps:
  - { id: first, agent: w, prompt: x, artifacts: [\"projects/**\"] }
  - { id: second, agent: w, prompt: \"${{ inputs.word }}\", needs: [first], verify: [\"test -s projects/go\"] }
  - { id: third, agent: r, prompt: x, needs: [second] }
outputs: { text: \"${{ steps.third.outputs.text }}\" }
";

const FIRST: &str = "
version: 1
steps:
  first:
    - tool_calls: [{ name: run_command, arguments: { command: \"echo one >> projects/ledger; mkdir projects/d; echo deep > projects/d/f; ln -s ledger projects/link; chmod 700 projects/d/f\" } }]
    - text: done
";

/// The second step fails: its check does.
const BAD: &str = "
  second: [{ text: no }, { text: no }]
  third: [{ text: three }]
";

const GOOD: &str = "
  second:
    - tool_calls: [{ name: write_file, arguments: { path: projects/go, content: \"two\\n\" } }]
    - text: two
  third: [{ text: three }]
";

/// The process dies at its nth passing of one of these.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More passings than a retry has.
const LIMIT: u32 = 60;

/// A project with a run that failed in its second step, whose cause is mended; and the run.
async fn failed() -> (Project, Value) {
    let project = Project::with(WORKFLOW, &format!("{FIRST}{BAD}"));
    let run = said(&project, "run flow.yaml --json")
        .await
        .expect(6)
        .json();
    assert_eq!(
        states(&run),
        [
            ("first", "completed"),
            ("second", "failed"),
            ("third", "cancelled")
        ]
    );
    project.write("script.yaml", format!("{FIRST}{GOOD}"));
    (project, run)
}

fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap()
}

/// The folder with the results of the agent `w` of a run.
fn results(run: &Value) -> &Path {
    let agents = run["agents"].as_array().unwrap();
    let agent = agents.iter().find(|agent| agent["name"] == "w").unwrap();
    Path::new(agent["workspace_path"].as_str().unwrap())
}

#[tokio::test]
async fn a_retry_takes_over_outputs_and_files_and_repeats_nothing() {
    let (project, run) = failed().await;
    let before = project
        .run(["run", "show", id(&run), "--json"])
        .await
        .json();
    let done = said(&project, &format!("run retry {} --json", id(&run)))
        .await
        .expect(0)
        .json();
    assert_eq!(
        json!([done["state"], done["continues"], done["outputs"]["text"]]),
        json!(["completed", run["id"], "three"])
    );
    assert_eq!(
        done["usage"]["turns"], 3,
        "the first step costs nothing again"
    );
    let (old, new) = (results(&run), results(&done));
    assert_ne!(old, new);
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join("projects").join(name));
    assert_eq!(read(new, "ledger").unwrap(), "one\n");
    assert_eq!(read(new, "d/f").unwrap(), "deep\n");
    assert_eq!(read(new, "link").unwrap(), "one\n");
    assert_eq!(read(new, "go").unwrap(), "two\n");
    assert!(read(old, "go").is_err());
    let made = step(&done, "first")["artifacts"].as_array().unwrap();
    let made: Vec<&Path> = made
        .iter()
        .map(|path| Path::new(path.as_str().unwrap()))
        .collect();
    assert!(made.iter().all(|path| path.starts_with(new)), "{made:?}");
    assert_eq!(step(&done, "first")["attempts"], 1);
    // The first run is what it was.
    let after = project
        .run(["run", "show", id(&run), "--json"])
        .await
        .json();
    assert_eq!(after, before);
    let shown = said(&project, "run show").await.expect(0);
    let text = format!("goes on from run {}", id(&run));
    assert!(shown.stdout.contains(&text), "{}", shown.stdout);
}

#[tokio::test]
async fn what_can_not_be_done_again_is_refused_with_the_reason() {
    let (project, run) = failed().await;
    let retry = format!("run retry {}", id(&run));
    said(&project, &format!("{retry} --from secnd"))
        .await
        .expect(2)
        .says(&["no step 'secnd'", "did you mean 'second'?"]);
    // A newer version may change what is done again, and nothing that is taken over.
    project.write(
        "flow.yaml",
        WORKFLOW.replace(
            "id: first, agent: w, prompt: x",
            "id: first, agent: w, prompt: y",
        ),
    );
    said(&project, "workflow create flow.yaml").await.expect(0);
    said(&project, &format!("{retry} --latest"))
        .await
        .expect(5)
        .says(&[
            "version 2 can't go on from this run",
            "the finished step 'first' is another one",
        ]);
    let whole = said(&project, &format!("{retry} --latest --from first --json")).await;
    let whole = whole.expect(0).json();
    assert_eq!(whole["usage"]["turns"], 5);
    said(&project, &format!("run retry {}", id(&whole)))
        .await
        .expect(5)
        .says(&["completed", "name the step"]);
    fs::remove_dir_all(results(&run)).unwrap();
    let gone = said(&project, &retry).await.expect(3);
    gone.says(&["the workspace of the agent 'w' can't be used"]);
    let runs = said(&project, "run list --json").await.json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
}

#[tokio::test]
async fn a_newer_version_takes_over_what_it_did_not_change() {
    let (project, run) = failed().await;
    project.write(
        "flow.yaml",
        WORKFLOW.replace("test -s projects/go", "grep -q two projects/go"),
    );
    said(&project, "workflow create flow.yaml").await.expect(0);
    let line = format!("run retry {} --latest --json", id(&run));
    let done = said(&project, &line).await.expect(0).json();
    assert_eq!(
        json!([done["state"], done["usage"]["turns"]]),
        json!(["completed", 3])
    );
}

#[tokio::test]
async fn a_fork_goes_on_from_a_step_with_another_input() {
    let (project, run) = failed().await;
    let first = said(&project, &format!("run retry {} --json", id(&run))).await;
    let first = first.expect(0).json();
    let line = format!("run fork {} --from second -i word=two --json", id(&first));
    let forked = said(&project, &line).await.expect(0).json();
    assert_eq!(
        json!([
            forked["state"],
            forked["inputs"]["word"],
            forked["continues"]
        ]),
        json!(["completed", "two", first["id"]])
    );
    let journal = step(&forked, "second")["journal"].to_string();
    assert_eq!(
        step(&forked, "first")["journal"].as_array(),
        None,
        "{journal}"
    );
    let wrong = format!("run fork {} --from second -i wrod=two", id(&first));
    said(&project, &wrong)
        .await
        .expect(2)
        .says(&["no input 'wrod'"]);
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_retry_loses_nothing_and_repeats_nothing() {
    for point in POINTS {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let (project, run) = failed().await;
            let died = project
                .fusion_kit(["run", "retry", id(&run), "--quiet"])
                .env("FAILPOINTS", format!("{point}={passing}*off->1*return"))
                .finish()
                .await;
            if died.code.is_some() {
                break;
            }
            deaths += 1;
            let newest = project.shown().await;
            let done = if newest["id"] == run["id"] {
                // It was not stored: it is asked for again.
                said(&project, &format!("run retry {} --json", id(&run)))
                    .await
                    .expect(0)
                    .json()
            } else if newest["state"] == "completed" {
                newest
            } else {
                said(&project, "resume --json").await.expect(0).json()
            };
            assert_eq!(done["state"], "completed", "{point} {passing}");
            let ledger = fs::read_to_string(results(&done).join("projects/ledger")).unwrap();
            assert_eq!(ledger, "one\n", "{point} {passing}");
        }
        assert!((3..LIMIT).contains(&deaths), "{point}: {deaths}");
    }
}

/// Removes what is old enough; what stayed, once it is old enough.
async fn collected(project: &Project) -> Value {
    loop {
        let line = "workspace gc --older-than 1s --yes --json";
        let done = said(project, line).await.expect(0).json();
        let is_young = |row: &Value| row["why"] == "its agent ended later than that";
        if !done["kept"].as_array().unwrap().iter().any(is_young) {
            return done["kept"].clone();
        }
    }
}

#[tokio::test]
async fn a_workspace_that_a_new_attempt_takes_over_stays_until_that_has_ended() {
    let (mut deaths, mut kept_for) = (0, 0);
    for passing in 0..LIMIT {
        let (project, run) = failed().await;
        let retry = ["run", "retry", id(&run)];
        let point = "persistence_sql::after_commit";
        if die_at(&project, &retry, point, passing).await.is_none() {
            break;
        }
        deaths += 1;
        let runs = said(&project, "run list --json").await.json();
        let newest = runs["runs"][0].clone();
        let is_open = newest["continues"] == run["id"] && newest["state"] != "completed";
        let kept = collected(&project).await;
        if is_open {
            kept_for += 1;
            assert_eq!(kept.as_array().unwrap().len(), 1, "{passing}: {kept}");
            let why = format!(
                "run {}, which has not ended, takes over what the agent 'w' made",
                id(&newest)
            );
            assert_eq!(kept[0]["why"], why, "{passing}");
            let name = results(&run).file_name().unwrap().to_str().unwrap();
            let line = format!("workspace discard {name} --yes");
            said(&project, &line).await.expect(5).says(&[&why]);
            said(&project, "resume --quiet").await.expect(0);
        }
        assert_eq!(collected(&project).await, json!([]), "{passing}");
    }
    assert!((2..LIMIT).contains(&deaths), "{deaths}");
    assert!(
        kept_for > 0,
        "no death left a new attempt that had not ended"
    );
}

#[tokio::test]
async fn what_is_being_removed_is_taken_over_by_nobody() {
    let (project, run) = failed().await;
    let name = results(&run).file_name().unwrap().to_str().unwrap();
    let discard = ["workspace", "discard", name, "--yes"];
    let died = die_at(&project, &discard, "workspaces::removing", 0).await;
    died.expect("it dies while it removes");
    assert!(results(&run).exists(), "the folder is there, and not whole");
    let retry = format!("run retry {}", id(&run));
    let refused = said(&project, &retry).await.expect(3);
    refused.says(&["the workspace of the agent 'w' can't be used"]);
    let runs = said(&project, "run list --json").await.json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
    said(&project, &discard.join(" ")).await.expect(0);
    assert!(!results(&run).exists());
}

#[tokio::test]
async fn a_fork_at_an_event_goes_on_from_the_step_of_that_event() {
    let (project, failed) = failed().await;
    let list = "events list --type task.failed --json";
    let events = said(&project, list).await.expect(0).json();
    let event = &events["events"][0];
    assert_eq!(event["data"]["step"], "second", "{events}");
    let line = format!("run fork {} --at {} --json", id(&failed), event["seq"]);
    let forked = said(&project, &line).await.expect(0).json();
    assert_eq!(
        (&forked["state"], &forked["continues"]),
        (&json!("completed"), &failed["id"])
    );
    let taken_over = step(&forked, "first")["journal"].as_array();
    assert_eq!(taken_over, None);
}
