//! Agents that live outside of runs, by the commands and over sudden deaths.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::Serving;
use crate::crash::die_at;
use crate::support::{Project, said, step};

const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: "bees" } }]
    - text: "Done."
"#;

const SPAWN: [&str; 10] = [
    "agent",
    "spawn",
    "--name",
    "w",
    "--provider",
    "scripted",
    "--model",
    "script.yaml",
    "--tools",
    "files",
];

/// Points at which the binary can be made to die.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More commits than any of these commands makes.
const LIMIT: u32 = 50;

fn project() -> Project {
    Project::with("", SCRIPT)
}

async fn spawned(project: &Project) {
    project.run(SPAWN).await.expect(0);
}

async fn agents(project: &Project) -> Vec<Value> {
    let listed = said(project, "agent list --all --json")
        .await
        .expect(0)
        .json();
    listed["agents"].as_array().unwrap().clone()
}

/// Names and states, sorted.
async fn states(project: &Project) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let agents = agents(project).await;
    let states = agents
        .iter()
        .map(|it| (text(&it["name"]), text(&it["state"])));
    let mut states: Vec<_> = states.collect();
    states.sort();
    states
}

fn workspaces(project: &Project) -> usize {
    fs::read_dir(project.data_dir().join("workspaces")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn all_in_a_state_are_ended_and_the_others_stay_with_a_server_and_without() {
    let project = project();
    for name in ["one", "two", "held", "kept"] {
        let spawn = "--provider scripted --model script.yaml";
        said(&project, &format!("agent spawn --name {name} {spawn}"))
            .await
            .expect(0);
    }
    said(&project, "agent pause held").await.expect(0);
    said(&project, "agent pause kept").await.expect(0);
    let never = said(&project, "agent terminate --all --state terminated").await;
    let living = "possible values: spawning, idle, working, paused, error]";
    never.expect(2).says(&[living]);
    let error = said(&project, "agent terminate --all --state error")
        .await
        .expect(0);
    assert_eq!(error.stdout, "");
    let idle = said(&project, "agent terminate --all --state idle")
        .await
        .expect(0);
    let ended = |name: &str| format!("{name} is - terminated; its workspace is kept\n");
    assert_eq!(idle.stdout, ended("two") + &ended("one"));
    said(&project, "agent resume held").await.expect(0);
    let serving = Serving::on(&project).await;
    let none = said(&project, "agent terminate --all --state error,working").await;
    assert_eq!(none.expect(0).stdout, "");
    let idle = said(&project, "agent terminate --all --state idle")
        .await
        .expect(0);
    assert_eq!(idle.stdout, ended("held"));
    drop(serving);
    let left = said(&project, "agent list --json").await.expect(0).json();
    let names = left["agents"].as_array().unwrap().iter();
    assert_eq!(names.map(|one| &one["name"]).collect::<Vec<_>>(), ["kept"]);
}

/// Three entries, of which those are shown that were begun since then.
async fn expect_logs_since(project: &Project, entries: &Value) {
    let second = entries[1]["started_at"].as_str().unwrap();
    for (since, left) in [(second, 2), ("1h", 3), ("2100-01-01T00:00:00Z", 0)] {
        let line = format!("agent logs w --since {since} --json");
        let part = said(project, &line).await.expect(0).json();
        let all = entries.as_array().unwrap();
        assert_eq!(part["entries"], json!(all[3 - left..]), "{line}");
    }
}

#[tokio::test]
async fn an_agent_is_spawned_given_work_held_let_go_on_and_ended() {
    let project = project();
    spawned(&project).await;
    let sent = said(&project, "agent send w Write about bees. --wait --json").await;
    let sent = sent.expect(0).json();
    assert_eq!(sent["result"]["state"], "completed");
    assert_eq!(sent["result"]["inputs"]["message"], "Write about bees.");
    let shown = said(&project, "agent get w --json").await.expect(0).json();
    let done = (&shown["state"], &shown["tasks_completed"], &shown["inbox"]);
    assert_eq!(done, (&json!("idle"), &json!(1), &json!(0)));
    let poem = format!(
        "{}/projects/poem.txt",
        shown["workspace"]["path"].as_str().unwrap()
    );
    assert_eq!(fs::read_to_string(poem).unwrap(), "bees");
    let logs = said(&project, "agent logs w --json").await.expect(0).json();
    let kinds = logs["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), ["turn", "tool", "turn"]);
    expect_logs_since(&project, &logs["entries"]).await;

    said(&project, "agent pause w").await.expect(0);
    let waits = said(&project, "agent send w More. --wait").await.expect(5);
    assert!(waits.stderr.contains("agent resume w"), "{}", waits.stderr);
    let again = said(&project, "agent pause w").await.expect(5);
    assert!(
        again.stderr.contains("a paused agent can't become paused"),
        "{}",
        again.stderr
    );
    said(&project, "agent resume w").await.expect(0);
    // It reads this in the first turn of what was sent to it meanwhile.
    let sent = said(&project, "agent send w Last. --wait --json").await;
    let sent = sent.expect(0).json();
    assert_eq!(sent["result"]["inputs"]["message"], "More.");
    let shown = said(&project, "agent get w --json").await.expect(0).json();
    let done = (&shown["tasks_completed"], &shown["inbox"]);
    assert_eq!(done, (&json!(2), &json!(0)));

    let ended = said(&project, "agent terminate w --workspace archive")
        .await
        .expect(0);
    assert_eq!(
        ended.stdout,
        "w is - terminated; its workspace is archived\n"
    );
    assert_eq!(workspaces(&project), 0);
    let shown = said(&project, "agent get w --json").await.expect(0).json();
    let archive = fs::read(shown["workspace"]["archive"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&archive).contains("projects/poem.txt"));
    let gone = said(&project, "agent send w More.").await.expect(5);
    assert!(
        gone.stderr
            .contains("a terminated agent can't become working"),
        "{}",
        gone.stderr
    );
}

#[tokio::test]
async fn a_spawn_that_is_refused_leaves_nothing_behind() {
    let project = project();
    let mut wrong = SPAWN;
    wrong[7] = "nowhere.yaml";
    let refused = project.run(wrong).await.expect(2);
    assert!(
        refused.stderr.contains("nowhere.yaml"),
        "{}",
        refused.stderr
    );
    assert!(!project.data_dir().exists());
    let unknown = said(&project, "agent get w").await.expect(3);
    assert!(
        unknown.stderr.contains("there are no agents yet"),
        "{}",
        unknown.stderr
    );
    spawned(&project).await;
    let unknown = said(&project, "agent get ww").await.expect(3);
    assert!(
        unknown.stderr.contains("did you mean 'w'?"),
        "{}",
        unknown.stderr
    );
}

/// Any command that opens the engine clears what a death left.
async fn start_again(project: &Project) {
    said(project, "agent resume nobody").await;
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_spawn_leaves_all_of_it_or_nothing() {
    let command: Vec<&str> = SPAWN.into_iter().chain(["--count", "3"]).collect();
    for point in POINTS {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let project = project();
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            start_again(&project).await;
            let states = states(&project).await;
            let living = states.iter().filter(|(_, state)| state == "idle").count();
            assert!([0, 3].contains(&living), "{point} {passing}: {states:?}");
            let settled = |state: &str| matches!(state, "idle" | "terminated");
            assert!(
                states.iter().all(|(_, it)| settled(it)),
                "{point} {passing}: {states:?}"
            );
            assert_eq!(workspaces(&project), living, "{point} {passing}");
        }
        assert!((2..LIMIT).contains(&deaths), "{point}: {deaths}");
    }
}

async fn dies_while_ending(policy: &str) {
    let command = ["agent", "terminate", "w", "--workspace", policy];
    // The last is in the middle of the removal.
    for point in POINTS.into_iter().chain(["workspaces::removing"]) {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let project = project();
            spawned(&project).await;
            said(&project, "agent send w Write. --wait --quiet")
                .await
                .expect(0);
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            start_again(&project).await;
            let shown = said(&project, "agent get w --json").await.expect(0).json();
            let (state, workspace) = (&shown["state"], &shown["workspace"]);
            let exists = fs::exists(workspace["path"].as_str().unwrap()).unwrap();
            let whole = match state.as_str().unwrap() {
                "idle" => exists,
                "terminated" => !exists && is_kept(workspace, policy),
                _ => false,
            };
            assert!(whole, "{policy} {point} {passing}: {shown}");
        }
        assert!((2..LIMIT).contains(&deaths), "{point}: {deaths}");
    }
}

/// Whether the only copy of the work is where the policy says.
fn is_kept(workspace: &Value, policy: &str) -> bool {
    match workspace["archive"].as_str() {
        Some(archive) => {
            let packed = fs::read(archive).unwrap();
            String::from_utf8_lossy(&packed).contains("bees")
        }
        None => policy == "remove",
    }
}

#[tokio::test]
async fn a_death_at_any_commit_of_an_end_keeps_the_work_or_ends_it_whole() {
    dies_while_ending("archive").await;
    dies_while_ending("remove").await;
}

const ASKS: &str = "
version: 1
name: asks
agents:
  w: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: task, agent: w, prompt: x, approval: { message: Ship? } }
";

/// A run that waits for a person and that nobody drives, and the folder of its agent `w`.
async fn asking() -> (Project, PathBuf) {
    let project = Project::with(ASKS, SCRIPT);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let asks = |run: &Value| {
        let wait = step(run, "task")["waiting"]["reason"].as_str();
        wait.is_some_and(|reason| reason.starts_with("approval"))
    };
    project.until("the question", asks).await;
    running.stop(rustix::process::Signal::KILL).await;
    let shown = said(&project, "agent get w --json").await.expect(0).json();
    let path = PathBuf::from(shown["workspace"]["path"].as_str().unwrap());
    fs::write(path.join("projects/poem.txt"), "bees").unwrap();
    (project, path)
}

/// Whether the agent lives as before, or has ended as it was told to, and its run with it.
async fn has_ended_whole_or_not_at_all(project: &Project, path: &Path, policy: &str) -> bool {
    let shown = said(project, "agent get w --json").await.expect(0).json();
    if shown["state"] == "idle" {
        return path.exists();
    }
    said(project, "resume --quiet").await;
    let run = project.shown().await;
    let have_ended = shown["state"] == "terminated" && run["state"] == "failed";
    have_ended && !path.exists() && is_kept(&shown["workspace"], policy)
}

/// Its run has nothing left to do then, and ends in a commit between.
async fn dies_while_ending_a_run_too(policy: &str) {
    let command = ["agent", "terminate", "w", "--workspace", policy];
    for point in POINTS {
        let (mut deaths, mut between) = (0, 0);
        for passing in 0..LIMIT {
            let (project, path) = asking().await;
            let has_died = die_at(&project, &command, point, passing).await.is_some();
            between += u32::from(agents(&project).await[0]["state"] == "paused");
            start_again(&project).await;
            let whole = has_ended_whole_or_not_at_all(&project, &path, policy).await;
            assert!(whole, "{policy} {point} {passing}");
            if !has_died {
                break;
            }
            deaths += 1;
        }
        assert!((2..LIMIT).contains(&deaths), "{point}: {deaths}");
        assert!(between > 0, "{point}: no death came between");
    }
}

#[tokio::test]
async fn a_death_at_any_commit_of_the_end_of_a_runs_last_agent_keeps_to_what_was_asked() {
    dies_while_ending_a_run_too("archive").await;
    dies_while_ending_a_run_too("remove").await;
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_pause_or_a_message_loses_nothing() {
    for point in POINTS {
        for passing in 0..LIMIT {
            let project = project();
            spawned(&project).await;
            let paused = die_at(&project, &["agent", "pause", "w"], point, passing).await;
            let send = ["agent", "send", "w", "Write."];
            let sent = die_at(&project, &send, point, passing).await;
            let is_held = agents(&project).await[0]["state"] == "paused";
            if is_held {
                said(&project, "agent resume w").await.expect(0);
            }
            let last = said(&project, "agent send w Last. --wait --json")
                .await
                .expect(0)
                .json();
            assert_eq!(last["result"]["state"], "completed", "{point} {passing}");
            let listed = said(&project, "message list --json").await.expect(0).json();
            let messages = listed["messages"].as_array().unwrap();
            let is_read = |message: &Value| message["status"] == "delivered";
            assert!(messages.iter().all(is_read), "{point} {passing}: {listed}");
            // One that was not acknowledged may be there or not, but once.
            let least = if sent.is_none() { 2 } else { 1 };
            let count = messages.len();
            assert!((least..=2).contains(&count), "{point} {passing}: {listed}");
            if paused.is_none() && sent.is_none() {
                break;
            }
        }
    }
}
