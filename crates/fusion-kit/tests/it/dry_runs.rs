//! `--dry-run` of what ends something or takes it away: it tells what would change, refuses what the command
//! itself would refuse, and leaves the database as it is to the byte, with a server and without.

mod older;

use std::fs;

use serde_json::{Value, json};

use crate::api::Serving;
use crate::api::through::told;
use crate::support::{Finished, GATE, Project, step};

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
";

const SPARE: &str = "
version: 1
name: spare
agents:
  one: { provider: scripted, model: script.yaml }
steps:
  - { id: first, agent: one, prompt: x }
";

/// What there is, beside a held run of `flow`.
const MADE: [&str; 14] = [
    "project create shop --budget 5 --budget-per-day 1",
    "project create bare --budget 7",
    "capability create writing",
    "token create ci --scope read",
    "workflow create spare.yaml",
    "schedule create nightly --workflow spare --cron '0 3 * * *'",
    "provider add mine --type openai-compatible --base-url http://127.0.0.1:9/v1",
    "webhook add https://hooks.example/x --name hook --event task.completed",
    "agent spawn --name idle --provider scripted --model script.yaml --project shop",
    "agent spawn --name held --provider scripted --model script.yaml",
    "agent spawn --name gone --provider scripted --model script.yaml",
    "agent pause held",
    "agent terminate gone",
    "task create Write --name write --agent held",
];

/// What can be done: the line, its exit code, and what would be: kind, name, state, then.
type Line = (&'static str, i32, Value);

/// What can be done about work.
fn of_work() -> Vec<Line> {
    let nothing = || json!([]);
    let run = || {
        json!([
            ["run", "flow", "paused", "cancelled"],
            ["task", "second", "queued", "cancelled"],
            ["task", "third", "queued", "cancelled"],
            ["agent", "one", "idle", "terminated"],
            ["agent", "two", "idle", "terminated"],
        ])
    };
    let held = json!([
        ["task", "write", "queued", "cancelled"],
        ["run", "task@1200s", "running", "cancelled"],
        ["workspace", "PATH", "ready", "removed"],
        ["agent", "held", "paused", "terminated"],
    ]);
    vec![
        (
            "agent pause idle",
            0,
            json!([["agent", "idle", "idle", "paused"]]),
        ),
        ("agent pause held", 5, nothing()),
        ("agent pause nobody", 3, nothing()),
        (
            "agent terminate idle",
            0,
            json!([["agent", "idle", "idle", "terminated"]]),
        ),
        ("agent terminate held --workspace remove", 0, held),
        ("agent terminate idle nobody", 3, nothing()),
        (
            "task cancel write",
            0,
            json!([
                ["task", "write", "queued", "cancelled"],
                ["run", "task@1200s", "running", "cancelled"],
            ]),
        ),
        ("task cancel first", 5, nothing()),
        ("task cancel nothing", 3, nothing()),
        ("run pause RUN", 0, nothing()),
        ("run cancel RUN", 0, run()),
        ("run cancel 00000000", 3, nothing()),
        (
            "workflow delete spare",
            0,
            json!([["workflow", "spare version 1", null, "deleted"]]),
        ),
        ("workflow delete flow", 5, nothing()),
        ("workflow delete nothing", 3, nothing()),
        ("workflow cancel flow", 0, run()),
        ("workflow cancel spare", 0, nothing()),
    ]
}

/// The same about what people keep.
fn of_records() -> Vec<Line> {
    let nothing = || json!([]);
    vec![
        (
            "schedule delete nightly",
            0,
            json!([["schedule", "nightly", "on", "deleted"]]),
        ),
        ("schedule delete nothing", 3, nothing()),
        (
            "webhook remove hook",
            0,
            json!([["webhook", "hook", "enabled", "deleted"]]),
        ),
        ("webhook remove nothing", 3, nothing()),
        (
            "project archive bare",
            0,
            json!([["project", "bare", "open", "archived"]]),
        ),
        ("project archive shop", 5, nothing()),
        (
            "project delete bare",
            0,
            json!([["project", "bare", "open", "deleted"]]),
        ),
        ("project delete shop", 5, nothing()),
        ("project delete nothing", 3, nothing()),
        (
            "budget clear shop",
            0,
            json!([["project", "shop", "open", "changed"]]),
        ),
        ("budget clear nothing", 3, nothing()),
        (
            "capability delete writing",
            0,
            json!([["capability", "writing", null, "deleted"]]),
        ),
        ("capability delete nothing", 3, nothing()),
        (
            "token revoke ci",
            0,
            json!([["API token", "ci", "valid", "revoked"]]),
        ),
        ("token revoke nothing", 3, nothing()),
        (
            "provider remove mine",
            0,
            json!([["provider", "mine", "enabled", "deleted"]]),
        ),
        ("provider remove nothing", 3, nothing()),
    ]
}

fn lines() -> Vec<Line> {
    [of_work(), of_records()].concat()
}

/// A project with all of that, and the id of the held run.
async fn project() -> (Project, String) {
    let script = format!(
        "
version: 1
steps:
  first: [{{ text: one }}]
  second:
    - tool_calls: [{{ name: run_command, arguments: {{ command: '{GATE}' }} }}]
    - text: two
  third: [{{ text: three }}]
  task: [{{ text: done }}]
"
    );
    let mut project = Project::with(WORKFLOW, &script);
    project.write("spare.yaml", SPARE);
    let key_file = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key_file);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let run = project
        .until("the command", |run| {
            step(run, "second")["activity"] == "run_command"
        })
        .await;
    let run = run["id"].as_str().unwrap().to_owned();
    project.run(["run", "pause", &run, "--now"]).await.expect(0);
    running.finish().await.expect(7);
    for line in MADE {
        project.run(shlex::split(line).unwrap()).await.expect(0);
    }
    (project, run)
}

/// All of the database.
async fn dump(project: &Project) -> Vec<u8> {
    let file = project.path().join("dump.db");
    project.run(["db", "backup", "dump.db"]).await.expect(0);
    let dumped = fs::read(&file).unwrap();
    fs::remove_file(file).unwrap();
    dumped
}

/// The same once nothing is written any more: a server has begun.
async fn dump_at_rest(project: &Project) -> Vec<u8> {
    let mut last = dump(project).await;
    for _ in 0..50 {
        let next = dump(project).await;
        if next == last {
            return next;
        }
        last = next;
    }
    panic!("something is written all the time");
}

/// A command line through a server that is named, or one that is not.
async fn say(project: &Project, serving: Option<&Serving>, line: &str) -> Finished {
    let call = project.fusion_kit(shlex::split(line).unwrap());
    match serving {
        None => call.finish().await,
        Some(serving) => {
            let url = format!("http://{}", serving.address);
            let call = call.env("FUSION_SERVER", url);
            let nowhere = project.path().join("none");
            let call = call.env("FUSION_KIT_DATA_DIR", nowhere);
            call.env("FUSION_TOKEN", &serving.token).finish().await
        }
    }
}

/// Kind, name, state and what it would be, of each change.
fn changes(tried: &Value) -> Value {
    let rows = tried["changes"].as_array().unwrap().iter();
    let rows = rows.map(|row| {
        let name = match row["kind"].as_str() {
            Some("workspace") => &json!("PATH"),
            _ => &row["name"],
        };
        json!([row["kind"], name, row["state"], row["becomes"]])
    });
    rows.collect()
}

/// Tries every line, as JSON and for people, and gives what is printed. What is refused is refused as the
/// command itself is.
async fn tried(
    project: &Project,
    run: &str,
    named: Option<&Serving>,
) -> Vec<(String, [String; 2])> {
    let mut all = Vec::new();
    for (line, code, expected) in lines() {
        let line = line.replace("RUN", run);
        let tried = say(project, named, &format!("{line} --dry-run --json")).await;
        assert_eq!(tried.code, Some(code), "{line}: {tried:?}");
        let read = say(project, named, &format!("{line} --dry-run")).await;
        if code == 0 {
            assert_eq!(tried.json()["dry_run"], true, "{line}");
            assert_eq!(changes(&tried.json()), expected, "{line}");
        } else {
            let done = say(project, named, &line).await;
            assert_eq!(told(project, &read), told(project, &done), "{line}");
        }
        all.push((line, [tried.stdout, read.stdout]));
    }
    all
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_and_changes_nothing_however_it_is_asked() {
    let (project, run) = project().await;
    let before = dump(&project).await;
    let here = tried(&project, &run, None).await;
    assert!(dump(&project).await == before, "the database was changed");
    let serving = Serving::on(&project).await;
    let before = dump_at_rest(&project).await;
    let owner = tried(&project, &run, None).await;
    let named = tried(&project, &run, Some(&serving)).await;
    assert!(dump(&project).await == before, "the database was changed");
    assert_eq!(here, owner);
    assert_eq!(here, named);
}

/// The state of what a change is about; `None` for what is not shown with one.
async fn state_of(project: &Project, change: &Value) -> Option<Value> {
    let show = match change["kind"].as_str() {
        Some("run") => "run show",
        Some("task") => "task get",
        Some("agent") => "agent get",
        _ => return None,
    };
    let line = format!("{show} {} --json", change["id"].as_str().unwrap());
    let shown = say(project, None, &line).await.expect(0).json();
    Some(shown["state"].clone())
}

#[tokio::test]
async fn what_a_dry_run_told_is_what_is_done() {
    let (project, run) = project().await;
    for line in [
        format!("run cancel {run}"),
        "agent pause idle".to_owned(),
        "agent terminate held --workspace remove".to_owned(),
    ] {
        let tried = say(&project, None, &format!("{line} --dry-run --json")).await;
        let tried = tried.expect(0).json();
        say(&project, None, &line).await.expect(0);
        let changes = tried["changes"].as_array().unwrap();
        assert!(!changes.is_empty(), "{line}");
        for change in changes {
            if let Some(state) = state_of(&project, change).await {
                assert_eq!(state, change["becomes"], "{line}: {change}");
            } else {
                let path = change["name"].as_str().unwrap();
                assert!(!fs::exists(path).unwrap(), "{line}: {change}");
            }
        }
    }
    let line = format!("run cancel {run} --dry-run --json");
    let again = say(&project, None, &line).await.expect(0).json();
    assert_eq!(changes(&again), json!([]), "it has ended so already");
}

/// Standing agents are told one by one; those that can't be ended are told too.
#[tokio::test]
async fn all_standing_agents_are_told_together() {
    let (project, _) = project().await;
    let line = "agent terminate --all --dry-run --json";
    let here = say(&project, None, line).await.expect(0).json();
    let agents = json!([
        ["task", "write", "queued", "cancelled"],
        ["run", "task@1200s", "running", "cancelled"],
        ["agent", "held", "paused", "terminated"],
        ["agent", "idle", "idle", "terminated"],
    ]);
    assert_eq!(changes(&here), agents);
    let serving = Serving::on(&project).await;
    let named = say(&project, Some(&serving), line).await.expect(0).json();
    assert_eq!(changes(&named), agents);
    say(&project, None, "agent terminate held").await.expect(0);
    let ended = here["changes"][2]["id"].as_str().unwrap();
    let line = format!("agent terminate {ended} idle --dry-run --json");
    serving.stop(rustix::process::Signal::TERM).await;
    let tried = say(&project, None, &line).await.expect(1).json();
    assert_eq!(tried["left"][0]["name"], "held");
    assert_eq!(
        changes(&tried),
        json!([["agent", "idle", "idle", "terminated"]])
    );
}

/// A key is of no use to a request that does nothing: none is remembered, and nobody is told.
#[tokio::test]
async fn the_api_answers_a_dry_run_and_remembers_no_key() {
    let (project, _) = project().await;
    let serving = Serving::on(&project).await;
    let projects = serving.get("/api/v1/projects?name=bare").await.expect(200);
    let id = projects.json()["projects"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = dump_at_rest(&project).await;
    let path = format!("/api/v1/projects/{id}/archive");
    let asked = serving
        .request("POST", &format!("{path}?dry_run=true"))
        .header("Idempotency-Key", "once");
    let change = json!({
        "kind": "project", "id": id, "name": "bare", "state": "open", "becomes": "archived",
    });
    for _ in 0..2 {
        let answer = asked.send().await.expect(200).json();
        assert_eq!(answer, json!({ "dry_run": true, "changes": [change] }));
    }
    let wrong = serving.request("POST", &format!("{path}?dry_run=maybe"));
    assert_eq!(
        wrong.send().await.expect(400).json()["error"],
        "invalid_input"
    );
    assert!(dump(&project).await == before, "the database was changed");
    let done = serving.request("POST", &format!("{path}?dry_run=false"));
    let done = done.send().await.expect(200).json();
    assert_ne!(done["archived_at"], json!(null));
}

#[tokio::test]
async fn a_restore_is_tried_in_a_transaction_that_is_rolled_back() {
    let (project, _) = project().await;
    project.run(["db", "backup", "monday.db"]).await.expect(0);
    project.run(["project", "create", "later"]).await.expect(0);
    let before = dump(&project).await;
    let line = "db restore monday.db --dry-run";
    let refused = say(&project, None, line).await.expect(2);
    let really = say(&project, None, "db restore monday.db").await.expect(2);
    assert_eq!(refused.stderr, really.stderr);
    let line = "db restore monday.db --replace --dry-run --json";
    let tried = say(&project, None, line).await.expect(0).json();
    let projects = json!([
        tried["dry_run"],
        tried["rows"]["projects"],
        tried["replaced"]["projects"]
    ]);
    assert_eq!(projects, json!([true, 2, 3]));
    say(&project, None, "db restore nothing.db --dry-run")
        .await
        .expect(3);
    assert!(dump(&project).await == before, "the database was changed");
    let fresh = Project::new();
    let backup = project.path().join("monday.db").display().to_string();
    let tried = fresh
        .run(["db", "restore", &backup, "--dry-run", "--json"])
        .await;
    let tried = tried.expect(0).json();
    assert_eq!(
        json!([tried["rows"]["projects"], tried["replaced"]]),
        json!([2, {}])
    );
    assert!(!fresh.data_dir().exists(), "nothing is made");
}
