//! kill -9 at any moment: nothing acknowledged is lost, no finished effect is repeated, and
//! the result is the same.
//!
//! The real binary is killed at named points (cargo feature `failpoints`: it aborts itself
//! there, as suddenly as SIGKILL) and by SIGKILL from outside, then resumed.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Finished, Project, examples, wait_for};

/// A workflow whose commands leave a trace that tells how often they ran.
const LEDGER: &str = r#"
version: 1
name: ledger
agents:
  one: { provider: scripted, model: script.yaml, tools: [files, shell] }
  two: { provider: scripted, model: script.yaml, tools: [files, shell] }
steps:
  - id: first
    agent: one
    prompt: "Go."
    outputs: { done: { type: boolean } }
    artifacts: ["projects/**"]
    verify: ["test -s projects/ledger"]
  - id: second
    agent: two
    needs: [first]
    prompt: "Go on: ${{ steps.first.outputs.done }}"
    outputs: { note: { type: string } }
  - id: beside
    agent: two
    prompt: "Something else."
outputs:
  note: ${{ steps.second.outputs.note }}
  text: ${{ steps.beside.outputs.text }}
"#;

const SCRIPT: &str = r#"
version: 1
steps:
  first:
    - tool_calls:
        - { name: run_command, arguments: { command: "echo first >> projects/ledger" } }
        - { name: write_file, arguments: { path: projects/note.txt, content: "one" } }
    - tool_calls:
        - { name: run_command, arguments: { command: "echo second >> projects/ledger" } }
        - { name: read_file, arguments: { path: projects/note.txt } }
    - tool_calls:
        - { name: finish, arguments: { done: true } }
  second:
    - tool_calls:
        - { name: list_files, arguments: {} }
    - tool_calls:
        - { name: finish, arguments: { note: "all done" } }
  beside:
    - text: "Nothing to do."
"#;

/// Points at which the binary can be made to die, each counted from its first passing.
const POINTS: [&str; 3] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
    "agents::after_effect",
];

/// More passings of a point than a run of these workflows has.
const LIMIT: u32 = 200;

/// The main example.
const EXAMPLE: &str = "plan-implement-review.yaml";

/// What must be the same whatever happened on the way.
pub(crate) async fn result(project: &Project) -> Value {
    let shown = project.shown().await;
    let steps = shown["steps"].as_array().unwrap().iter();
    let steps: BTreeMap<&str, Value> = steps
        .map(|step| (step["id"].as_str().unwrap(), of_step(step)))
        .collect();
    json!({ "state": shown["state"], "outputs": shown["outputs"], "steps": steps })
}

fn of_step(step: &Value) -> Value {
    let entries: Vec<Value> = journal(step)
        .iter()
        .map(|entry| {
            json!([
                entry["seq"],
                entry["kind"],
                file_name(entry["name"].as_str().unwrap())
            ])
        })
        .collect();
    let paths = step["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path.as_str().unwrap());
    let made: Vec<(&str, String)> = paths
        .map(|path| (file_name(path), fs::read_to_string(path).unwrap()))
        .collect();
    json!({ "state": step["state"], "outputs": step["outputs"], "made": made, "journal": entries })
}

/// A path without its folder, which is another one in each project; other names as they are.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn journal(step: &Value) -> Vec<Value> {
    step["journal"].as_array().cloned().unwrap_or_default()
}

/// The same without the files that a command of unknown outcome may have changed.
fn without_ledger(mut result: Value) -> Value {
    for step in result["steps"].as_object_mut().unwrap().values_mut() {
        step["made"]
            .as_array_mut()
            .unwrap()
            .retain(|file| file[0] != "ledger");
    }
    result
}

fn ledger_of(result: &Value) -> Vec<String> {
    let made = result["steps"]["first"]["made"].as_array().unwrap();
    let ledger = made
        .iter()
        .find(|file| file[0] == "ledger")
        .map(|file| file[1].as_str().unwrap());
    ledger
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Effects whose outcome a crash took.
#[derive(Debug, PartialEq, Eq)]
struct Scars {
    /// Not repeated, and told to the model as unknown.
    unknown: u64,
    /// Started once more.
    repeated: u64,
}

async fn scars(project: &Project) -> Scars {
    let shown = project.shown().await;
    let entries: Vec<Value> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(journal)
        .collect();
    let unknown = entries
        .iter()
        .filter(|entry| entry["state"] == "unknown")
        .count();
    let repeated = entries
        .iter()
        .map(|entry| entry["attempts"].as_u64().unwrap() - 1)
        .sum();
    Scars {
        unknown: unknown.try_into().unwrap(),
        repeated,
    }
}

/// Lets a command die when it passes a point for the n-th time, counted from 0; `None` when it
/// came to its end before.
pub(crate) async fn die_at(
    project: &Project,
    command: &[&str],
    point: &str,
    passing: u32,
) -> Option<Finished> {
    let plan = format!("{point}={passing}*off->return");
    let ended = project
        .fusion_kit(command)
        .env("FAILPOINTS", plan)
        .finish()
        .await;
    (ended.code != Some(0)).then_some(ended)
}

/// Goes on until the run has ended; starts it when the death came before it was stored.
pub(crate) async fn go_on(project: &Project, file: &str) {
    let listed = project
        .run(["run", "list", "--parent", "none", "--json"])
        .await
        .expect(0)
        .json();
    match listed["runs"].as_array().unwrap().first() {
        None => drop(project.run(["run", file, "--quiet"]).await.expect(0)),
        Some(run) if run["state"] == "completed" => {}
        Some(_) => {
            let resumed = project.run(["resume", "--quiet"]).await;
            if resumed.code != Some(0) {
                let shown = project.run(["run", "show", "-v"]).await;
                panic!("{}\n{}", resumed.stderr, shown.stdout);
            }
        }
    }
}

/// The examples, without their pauses.
fn example() -> Project {
    let project = Project::new();
    for name in [EXAMPLE, "plan-implement-review.script.yaml"] {
        let text = fs::read_to_string(examples().join(name)).unwrap();
        let quick: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("delay:"))
            .collect();
        project.write(name, quick.join("\n"));
    }
    project
}

async fn undisturbed(project: &Project, file: &str) -> Value {
    project.run(["run", file, "--quiet"]).await.expect(0);
    result(project).await
}

#[tokio::test]
async fn the_example_survives_a_death_at_every_commit() {
    let wanted = undisturbed(&example(), EXAMPLE).await;
    for point in POINTS {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let project = example();
            if die_at(&project, &["run", EXAMPLE, "--quiet"], point, passing)
                .await
                .is_none()
            {
                break;
            }
            deaths += 1;
            go_on(&project, EXAMPLE).await;
            assert_eq!(
                result(&project).await,
                wanted,
                "death at {point}, passing {passing}"
            );
            let scars = scars(&project).await;
            assert!(
                scars.unknown + scars.repeated <= 1,
                "{scars:?} of one death at {point}, passing {passing}"
            );
        }
        assert!(
            (10..LIMIT).contains(&deaths),
            "{point} was reached {deaths} times"
        );
    }
}

#[tokio::test]
async fn a_command_is_never_repeated_and_a_lost_outcome_is_told() {
    let wanted = undisturbed(&Project::with(LEDGER, SCRIPT), "flow.yaml").await;
    assert_eq!(ledger_of(&wanted), ["first", "second"]);
    let mut lost = 0;
    for point in POINTS {
        for passing in 0..LIMIT {
            let project = Project::with(LEDGER, SCRIPT);
            if die_at(&project, &["run", "flow.yaml", "--quiet"], point, passing)
                .await
                .is_none()
            {
                break;
            }
            go_on(&project, "flow.yaml").await;
            let found = result(&project).await;
            let place = format!("death at {point}, passing {passing}");
            assert_eq!(
                without_ledger(found.clone()),
                without_ledger(wanted.clone()),
                "{place}"
            );
            let unknown = scars(&project).await.unknown;
            let lines = ledger_of(&found);
            let all_once = [&["first", "second"][..], &["first"], &["second"]]
                .iter()
                .any(|once| lines == *once);
            assert!(
                all_once,
                "a command ran twice or out of order: {lines:?}, {place}"
            );
            assert!(
                lines.len() == 2 || unknown == 1,
                "a lost command was not told: {lines:?}, {place}"
            );
            lost += unknown;
        }
    }
    assert!(
        lost > 0,
        "no death fell between a command and its outcome: the test proves nothing"
    );
}

/// As root a new folder belongs to root for a moment: a death then must not leave one that its agent
/// can't use.
#[tokio::test]
async fn a_death_while_a_folder_is_made_leaves_none_that_its_agent_can_not_use() {
    let wanted = undisturbed(&example(), EXAMPLE).await;
    let mut deaths = 0;
    for passing in 0..LIMIT {
        let (project, point) = (example(), "workspaces::folder_made");
        if die_at(&project, &["run", EXAMPLE, "--quiet"], point, passing)
            .await
            .is_none()
        {
            break;
        }
        deaths += 1;
        go_on(&project, EXAMPLE).await;
        assert_eq!(result(&project).await, wanted, "death at passing {passing}");
    }
    assert!((10..LIMIT).contains(&deaths), "it died {deaths} times");
}

#[tokio::test]
async fn many_deaths_of_one_run_lose_nothing() {
    let wanted = undisturbed(&example(), EXAMPLE).await;
    let mut project = example();
    // One step is at work in many of them.
    project.set("FUSION_MOST_LOSSES", "1000000");
    let point = "persistence_sql::after_commit";
    let mut deaths = 0;
    let mut command = &["run", EXAMPLE, "--quiet"][..];
    // Now and then a life is one commit longer, so that it comes to an end.
    while die_at(&project, command, point, 3 + deaths / 3)
        .await
        .is_some()
    {
        deaths += 1;
        assert!(deaths < LIMIT, "it does not come to its end");
        command = &["resume", "--quiet"];
        if project.shown().await["state"] == "completed" {
            break;
        }
    }
    assert!(deaths > 5, "it died {deaths} times only");
    assert_eq!(result(&project).await, wanted);
}

#[tokio::test]
async fn sigkill_after_each_line_of_progress_is_survived() {
    let whole = example();
    let told = whole
        .run(["run", EXAMPLE])
        .await
        .expect(0)
        .stderr
        .lines()
        .count();
    let wanted = result(&whole).await;
    assert!(told > 4, "there is too little progress to count");
    for line in 1..=told {
        let project = example();
        kill_after_line(&project, line).await;
        go_on(&project, EXAMPLE).await;
        assert_eq!(result(&project).await, wanted, "killed after line {line}");
    }
}

/// Kills a run of the example when it has told so many lines of its progress.
async fn kill_after_line(project: &Project, line: usize) {
    let mut child = project
        .fusion_kit(["run", EXAMPLE])
        .into_command()
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..line {
        lines.next_line().await.unwrap();
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn sigkill_leaves_no_process_of_a_command_and_its_outcome_is_unknown() {
    let hang = "setsid sleep 600 & trap : TERM; sleep 600";
    let project = Project::with(
        LEDGER,
        &SCRIPT.replace("echo second >> projects/ledger", hang),
    );
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    let sleeping = || {
        project
            .processes()
            .iter()
            .filter(|line| line.contains(": sleep 600"))
            .count()
    };
    wait_for("the command to run", || (sleeping() >= 2).then_some(())).await;
    running.signal(Signal::KILL);
    running.finish().await;
    wait_for("the command to be gone", || (sleeping() == 0).then_some(())).await;
    project.run(["resume", "--quiet"]).await.expect(0);
    assert_eq!(
        scars(&project).await,
        Scars {
            unknown: 1,
            repeated: 0
        }
    );
    assert_eq!(ledger_of(&result(&project).await), ["first"]);
}

/// A command that changes a file, makes another and then hangs: half of its work is done.
const HALF: &str =
    "echo half >> projects/ledger; mkdir projects/new; echo x > projects/new/file; sleep 600";

#[tokio::test]
async fn a_command_that_died_half_way_is_undone_and_everybody_is_told() {
    let look = "cat projects/ledger; ls projects";
    let script = SCRIPT
        .replace("echo second >> projects/ledger", HALF)
        .replace(
            "read_file, arguments: { path: projects/note.txt }",
            &format!("run_command, arguments: {{ command: \"{look}\" }}"),
        );
    let project = Project::with(LEDGER, &script);
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    let sleeping = || {
        let processes = project.processes();
        processes.iter().any(|line| line.contains(": sleep 600"))
    };
    wait_for("the command to run", || sleeping().then_some(())).await;
    running.signal(Signal::KILL);
    running.finish().await;
    project.run(["resume", "--quiet"]).await.expect(0);
    let shown = project.shown().await;
    let step = shown["steps"].as_array().unwrap().iter();
    let step = step.clone().find(|step| step["id"] == "first").unwrap();
    let journal = journal(step);
    let lost = journal.iter().find(|entry| entry["state"] == "unknown");
    let lost = lost.unwrap();
    let put_back = &lost["outcome"]["put_back"];
    let aside = put_back["moved_to"].as_str().unwrap();
    assert_eq!(
        put_back,
        &json!({ "restored": 1, "moved": 2, "moved_to": aside })
    );
    let seen = journal
        .iter()
        .filter_map(|entry| entry["outcome"]["content"].as_str())
        .find(|content| content.contains("[exit code 0]") && content.contains("note.txt"));
    assert_eq!(seen, Some("first\nledger\nnote.txt\n[exit code 0]"));
    let workspace = project.data_dir().join("workspaces");
    let mut workspaces = fs::read_dir(workspace).unwrap();
    let kept = workspaces.find_map(|entry| {
        let folder = entry.unwrap().path().join(aside).join("projects");
        fs::read_to_string(folder.join("ledger")).ok()
    });
    assert_eq!(kept.as_deref(), Some("first\nhalf\n"));
    let events = project
        .run(["events", "tail", "--json", "--type", "tool.finished"])
        .await;
    let told = "run_command was cut off: its outcome is unknown, and the workspace was put back as it was \
                before in first";
    assert!(events.expect(0).stdout.contains(told));
    let left = fs::read_dir(project.data_dir().join("snapshots")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_workspace_that_is_too_large_to_be_put_back_is_told_in_the_journal() {
    let limit = "tools: [files, shell], sandbox: { limits: { snapshot: 2MiB } }";
    let flow = LEDGER.replacen("tools: [files, shell]", limit, 1);
    let large = "head -c 3000000 /dev/zero > projects/large; echo first >> projects/ledger";
    let script = SCRIPT.replace("echo first >> projects/ledger", large);
    let project = Project::with(&flow, &script);
    project.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let shown = project.shown().await;
    let steps = shown["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["id"] == "first").unwrap();
    let told: Vec<Value> = journal(step)
        .iter()
        .filter(|entry| entry["name"] == "run_command")
        .map(|entry| entry["outcome"]["no_snapshot"].clone())
        .collect();
    let why = "the workspace has more than 2 MiB or 4000 files";
    assert_eq!(told, [Value::Null, json!(why)]);
}
