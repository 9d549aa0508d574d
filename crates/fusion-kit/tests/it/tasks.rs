//! Tasks of their own, by the commands and over sudden deaths.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::api::Serving;
use crate::crash::die_at;
use crate::support::{Finished, Project, said};
use crate::terminal::Terminal;

const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: "bees" } }]
    - text: "Done."
"#;

/// Points at which the binary can be made to die.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More commits than any of these commands makes.
const LIMIT: u32 = 60;

async fn json_of(project: &Project, line: &str) -> Value {
    said(project, line).await.expect(0).json()
}

async fn with_agent() -> Project {
    let project = Project::with("", SCRIPT);
    let spawn = "agent spawn --name w --provider scripted --model script.yaml --tools files \
                 --capabilities prose";
    said(&project, spawn).await.expect(0);
    project
}

#[tokio::test]
async fn a_task_is_meant_by_its_name_as_long_as_one_has_it() {
    let project = with_agent().await;
    let ask = "task create Write. --name poem --capabilities prose --json";
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let first = id(&json_of(&project, ask).await);
    let got = json_of(&project, "task get poem --json").await;
    assert_eq!(id(&got), first);
    let serving = Serving::on(&project).await;
    let named = project
        .fusion_kit("task get poem --json".split(' '))
        .env("FUSION_SERVER", format!("http://{}", serving.address))
        .env("FUSION_TOKEN", &serving.token);
    assert_eq!(id(&named.finish().await.expect(0).json()), first);
    let second = id(&json_of(&project, ask).await);
    let several = said(&project, "task get poem").await;
    assert_ne!(several.code, Some(0), "{several:?}");
    several.says(&[&first, &second]);
}

#[tokio::test]
async fn what_is_asked_stands_in_a_file_or_comes_from_stdin() {
    let project = with_agent().await;
    // Nearly as much as there may be.
    let brief = "a \u{e9} ".repeat(26_000);
    project.write("brief.md", format!("{brief}\n"));
    let ask = "task create --file brief.md --json";
    assert_eq!(json_of(&project, ask).await["description"], brief.trim());
    let serving = Serving::on(&project).await;
    let asked = |line: &'static str| {
        let call = project.fusion_kit(line.split(' '));
        call.env("FUSION_SERVER", format!("http://{}", serving.address))
            .env("FUSION_TOKEN", &serving.token)
    };
    let mut piped = asked("task create -F - --json").into_command();
    piped.stdin(File::open(project.path().join("brief.md")).unwrap());
    let output = piped.output().await.unwrap();
    let made = Finished::from(output).expect(0).json();
    assert_eq!(made["description"], brief.trim());
    project.write("long.md", "\u{20ac}".repeat(44_000));
    fs::write(project.path().join("image.png"), b"\x89PNG\xff").unwrap();
    for (line, why) in [
        ("task create -F none.md", "can't read the file 'none.md'"),
        ("task create -F long.md", "1 to 131072 bytes"),
        ("task create -F image.png", "not text in UTF-8"),
        ("task create -F brief.md Write.", "cannot be used with"),
        ("task create", "<WHAT>..."),
    ] {
        let refused = asked(line).finish().await;
        assert_eq!(refused.code, Some(2), "{line}: {refused:?}");
        refused.says(&[why]);
    }
}

#[tokio::test]
async fn a_task_is_asked_for_waited_for_and_shown() {
    let project = with_agent().await;
    let made = json_of(
        &project,
        "task create Write about bees. --capabilities prose -i tone=calm --json",
    )
    .await;
    assert_eq!(made["state"], "queued");
    let kinds: Vec<&Value> = made["waits_for"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wait| &wait["kind"])
        .collect();
    assert_eq!(kinds, ["turn", "process"]);
    let id = made["id"].as_str().unwrap();
    let waited = json_of(&project, &format!("task wait {id} --json")).await;
    assert_eq!(waited["tasks"][0]["state"], "completed");
    assert_eq!(
        waited["tasks"][0]["output_artifacts"]["outputs"]["text"],
        "Done."
    );
    let shown = json_of(&project, &format!("task get {id} --json")).await;
    assert_eq!(
        (&shown["waits_for"], &shown["attempts"]),
        (&json!([]), &json!(1))
    );
    let listed = json_of(&project, "task list --agent w --state completed --json").await;
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);
    let refused = said(&project, &format!("task cancel {id}")).await.expect(5);
    let told = "a completed task can't become cancelled";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let refused = said(
        &project,
        &format!("resume {}", shown["run_id"].as_str().unwrap()),
    )
    .await;
    refused.expect(5);
}

#[tokio::test]
async fn a_task_is_tried_as_often_as_it_may_be() {
    let look = "tool_calls: [{ name: list_files, arguments: {} }]";
    let script =
        format!("version: 1\nsteps:\n  task:\n    - {look}\n  \"task#2\":\n    - text: Done.\n");
    let project = Project::with("", &script);
    let spawn = "agent spawn --name w --provider scripted --model script.yaml --tools files \
                 --max-turns 1";
    said(&project, spawn).await.expect(0);
    let once = said(&project, "task create Look. --wait").await.expect(6);
    let told = once.stdout + &once.stderr;
    assert!(told.contains("turns"), "{told}");
    let twice = "task create Look. --max-attempts 2 --wait --json";
    let twice = json_of(&project, twice).await;
    let task = &twice["tasks"][0];
    assert_eq!(
        (&task["state"], &task["attempts"]),
        (&json!("completed"), &json!(2))
    );
    said(&project, "task create Look. --max-attempts 0")
        .await
        .expect(2);
}

#[tokio::test]
async fn why_a_task_is_cancelled_stays_with_it_with_a_server_and_without() {
    let project = with_agent().await;
    let mut ids = Vec::new();
    for name in ["here", "there"] {
        let ask = format!("task create Count. --name {name} --capabilities maths --json");
        let made = json_of(&project, &ask).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let empty = project.run(["task", "cancel", &ids[0], "--reason", " "]);
    empty.await.expect(2).says(&["it is empty"]);
    let long = "x".repeat(1_001);
    let long = project.run(["task", "cancel", &ids[0], "--reason", &long]);
    long.await
        .expect(2)
        .says(&["1001 characters, and 1000 are the most"]);
    let reason = "the customer withdrew it";
    let cancel = |id: &str| {
        let words = ["task", "cancel", id, "--reason", reason].map(str::to_owned);
        project.fusion_kit(words)
    };
    cancel(&ids[0]).finish().await.expect(0);
    let serving = Serving::on(&project).await;
    cancel(&ids[1]).finish().await.expect(0);
    drop(serving);
    for id in &ids {
        let shown = said(&project, &format!("task get {id}")).await.expect(0);
        let line = format!("error     a person cancelled it: {reason}\n");
        assert!(shown.stdout.contains(&line), "{}", shown.stdout);
    }
    let told = said(&project, "events tail --type task.cancelled").await;
    let told = told.expect(0).stdout;
    let line = format!("cancelled: a person cancelled it: {reason}");
    assert_eq!(told.matches(&line).count(), 2, "{told}");
}

#[tokio::test]
async fn a_task_that_can_not_be_done_says_why_and_waiting_ends_in_time() {
    let project = with_agent().await;
    let made = json_of(&project, "task create Count. --capabilities maths --json").await;
    let id = made["id"].as_str().unwrap();
    let shown = said(&project, &format!("task get {id}")).await.expect(0);
    let told = "no agent has the capability 'maths'; nearest: 'w' lacks maths";
    assert!(shown.stdout.contains(told), "{}", shown.stdout);
    let late = said(&project, &format!("task wait {id} --timeout 1s"))
        .await
        .expect(8);
    assert!(
        late.stderr.contains("time is up: 1 task has not ended"),
        "{}",
        late.stderr
    );
    // What needs it goes with it, and both are asked for again.
    let needs = json_of(&project, &format!("task create Tell. --needs {id} --json")).await;
    let tree = json_of(&project, &format!("task deps {id} --json")).await;
    assert_eq!(tree["needed_by"][0]["id"], needs["id"]);
    said(&project, &format!("task cancel {id}")).await.expect(0);
    let second = needs["id"].as_str().unwrap();
    let waited = said(&project, &format!("task wait {second}"))
        .await
        .expect(6);
    assert!(
        waited.stdout.contains("which was cancelled"),
        "{}",
        waited.stdout
    );
    let refused = said(&project, &format!("task retry {second}"))
        .await
        .expect(2);
    assert!(
        refused.stderr.contains("is cancelled"),
        "{}",
        refused.stderr
    );
    let again = json_of(&project, &format!("task retry {id} --json")).await;
    assert_eq!(
        (&again["state"], &again["name"]),
        (&json!("queued"), &made["name"])
    );
}

#[tokio::test]
async fn a_task_is_asked_for_again_with_other_words_and_who_did_is_told() {
    let mut project = with_agent().await;
    project.set("USER", "ada");
    let create = "task create Write. --capabilities prose --priority 3 --in 1h --json";
    let first = json_of(&project, create).await;
    let id = first["id"].as_str().unwrap();
    let early = ["task", "retry", id, "--description", "Sing."];
    project.run(early).await.expect(5);
    said(&project, &format!("task cancel {id}")).await.expect(0);
    let unattended = said(&project, &format!("task retry {id} --edit")).await;
    unattended.expect(5).says(&["an editor needs a terminal"]);
    let empty = ["task", "retry", id, "--description", " "];
    project.run(empty).await.expect(2);
    project.write("brief.md", "Dance.\n");
    project.set("EDITOR", "sed -i s/Write/Paint/");
    let edited = Terminal::open(&project, &["task", "retry", id, "--edit"]);
    edited.finish(0).await;
    for line in ["--description Sing.", "-F brief.md", ""] {
        let line = format!("task retry {id} {line}");
        said(&project, line.trim()).await.expect(0);
    }
    let failing = [&["task", "retry", id, "--edit"][..], &["--json"][..]].concat();
    project.set("EDITOR", "false");
    let failed = Terminal::open(&project, &failing).finish(5).await;
    assert!(failed.contains("the editor did not end well"), "{failed}");
    let queued = json_of(&project, "task list --state queued --json").await;
    let mut asked: Vec<_> = queued["tasks"].as_array().unwrap().iter().collect();
    asked.sort_by_key(|task| task["id"].as_str().unwrap());
    let told = asked.iter().map(|task| {
        let (what, priority) = (&task["description"], &task["priority"]);
        (what.as_str().unwrap(), priority.as_i64().unwrap())
    });
    let wanted = [("Paint.", 3), ("Sing.", 3), ("Dance.", 3), ("Write.", 3)];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
    let events = "events list --type record.changed --json";
    let events = json_of(&project, events).await;
    let mut events: Vec<Value> = events["events"].as_array().unwrap().clone();
    events.retain(|event| event["data"]["action"] == "retried");
    events.sort_by_key(|event| event["seq"].as_u64());
    let data = events.into_iter().map(|event| event["data"].clone());
    let wanted = asked.iter().enumerate().map(|(at, task)| {
        let changed = if at == 3 {
            json!([])
        } else {
            json!(["description"])
        };
        json!({
            "actor": { "name": "ada" }, "action": "retried", "resource_type": "task",
            "resource_id": task["id"], "retries": id, "changed": changed,
        })
    });
    assert_eq!(data.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
}

/// Whatever comes of it.
#[tokio::test]
async fn what_was_written_for_a_task_in_an_editor_is_not_lost() {
    let mut project = with_agent().await;
    let create = "task create Write. --capabilities prose --in 1h --json";
    let first = json_of(&project, create).await;
    let id = first["id"].as_str().unwrap();
    said(&project, &format!("task cancel {id}")).await.expect(0);
    project.set(
        "XDG_STATE_HOME",
        project.path().join("state").display().to_string(),
    );
    let folder = project.path().join("state/fusion-kit/edited");
    let too_long = "a".repeat(128 * 1_024);
    project.write("long", &too_long);
    for (editor, code, told, wrote) in [
        (
            "f() { echo Lost. > \"$1\"; false; }; f",
            5,
            "the editor did not end well",
            "Lost.\n",
        ),
        (
            "f() { cat long long > \"$1\"; }; f",
            2,
            "what you wrote is in",
            &too_long.repeat(2),
        ),
    ] {
        project.set("EDITOR", editor);
        let refused = Terminal::open(&project, &["task", "retry", id, "--edit"]);
        let refused = refused.finish(code).await;
        assert!(refused.contains(told), "{refused}");
        let kept = fs::read_dir(&folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        assert!(refused.contains(&kept.display().to_string()), "{refused}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), wrote);
        assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
        fs::remove_file(kept).unwrap();
    }
}

/// Whatever was acknowledged is done once, and nothing is left in between.
#[tokio::test]
async fn a_death_at_any_commit_of_a_task_loses_nothing_and_does_nothing_twice() {
    for point in POINTS {
        for passing in 0..LIMIT {
            let project = with_agent().await;
            let create = [
                "task",
                "create",
                "Write.",
                "--capabilities",
                "prose",
                "--wait",
            ];
            let died = die_at(&project, &create, point, passing).await;
            let listed = json_of(&project, "task list --json").await;
            let tasks = listed["tasks"].as_array().unwrap().clone();
            assert!(tasks.len() <= 1, "{point} {passing}: {listed}");
            if let Some(task) = tasks.first() {
                let id = task["id"].as_str().unwrap();
                let line = format!("task wait {id} --json");
                let waited = json_of(&project, &line).await;
                let task = &waited["tasks"][0];
                assert_eq!(task["state"], "completed", "{point} {passing}");
                let run = task["run_id"].as_str().unwrap();
                let run = json_of(&project, &format!("run show {run} --json")).await;
                assert_eq!(run["state"], "completed", "{point} {passing}");
                let written = run["steps"][0]["journal"].as_array().unwrap();
                let tools = written.iter().filter(|entry| entry["kind"] == "tool");
                assert_eq!(tools.count(), 1, "{point} {passing}: {written:?}");
            }
            let agent = json_of(&project, "agent get w --json").await;
            assert_eq!(agent["state"], "idle", "{point} {passing}");
            if died.is_none() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_cancel_leaves_the_task_or_ends_it_whole() {
    for point in POINTS {
        for passing in 0..LIMIT {
            let project = with_agent().await;
            let made = json_of(&project, "task create Write. --json").await;
            let id = made["id"].as_str().unwrap().to_owned();
            let needs = format!("task create More. --needs {id} --json");
            let needs = json_of(&project, &needs).await;
            let died = die_at(&project, &["task", "cancel", &id], point, passing).await;
            let second = needs["id"].as_str().unwrap();
            let line = format!("task wait {id} {second} --json");
            let waited = said(&project, &line).await.json();
            let states: Vec<&Value> = waited["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| &task["state"])
                .collect();
            let is_whole = states[0] == states[1];
            assert!(is_whole, "{point} {passing}: {states:?}");
            if died.is_none() {
                assert_eq!(states, ["cancelled", "cancelled"]);
                break;
            }
        }
    }
}
