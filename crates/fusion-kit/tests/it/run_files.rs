//! Runs that go into files and come out of them elsewhere.

mod ended;
mod forged;
mod imported;
mod served;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use fusion_persistence::{JournalReader, Page, Repository, RunFilter, TaskReader};
use fusion_persistence_sql::SqlStore;
use fusion_testkit::{Postgres, postgres_binaries};
use fusion_workspaces::{BundleLimits, read_bundle};
use serde_json::{Value, json};

use crate::crash::die_at;
use crate::own_store::file;
use crate::support::{Project, gated_script, states, step};

const FLOW: &str = "
version: 1
name: flow
inputs: { word: { type: string, default: hello } }
agents:
  maker: { provider: scripted, model: script.yaml, tools: [files] }
  reader: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: make, agent: maker, prompt: 'Make ${{ inputs.word }}.', artifacts: 'projects/*' }
  - { id: read, agent: reader, needs: make, takes: make, prompt: Read. }
outputs: { said: '${{ steps.read.outputs.text }}' }
";

const SCRIPT: &str = "
version: 1
steps:
  make:
    - tool_calls: [{ name: write_file, arguments: { path: projects/one, content: \"1\\n\" } }]
    - text: made
  read:
    - tool_calls: [{ name: read_file, arguments: { path: artifacts/make/projects/one } }]
    - text: seen
  say: [{ text: said }]
";

/// The SHA-256 of `1` and the end of a line.
const ONE: &str = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865";

const FILE: &str = "run.tar.zst";

/// A project with a run that has ended, and a file of it.
async fn exported() -> Project {
    let project = Project::with(FLOW, SCRIPT);
    project.run(["run", "flow.yaml"]).await.expect(0);
    export(&project).await;
    project
}

async fn export(project: &Project) -> Value {
    let shown = project.shown().await;
    export_of(project, shown["id"].as_str().unwrap()).await
}

async fn export_of(project: &Project, id: &str) -> Value {
    let export = ["run", "export", id, FILE, "--json"];
    project.run(export).await.expect(0).json()
}

/// Another project, with a copy of the file.
fn elsewhere(from: &Project) -> Project {
    let project = Project::new();
    take(from, &project);
    project
}

fn take(from: &Project, to: &Project) {
    fs::copy(from.path().join(FILE), to.path().join(FILE)).unwrap();
}

async fn import(project: &Project) -> Value {
    let import = ["run", "import", FILE, "--json"];
    project.run(import).await.expect(0).json()
}

/// What `run show --json` says, with the places of both sides the same, and what it says of an import.
async fn shown(project: &Project, run: &str) -> (Value, Value) {
    let show = project.run(["run", "show", run, "--json"]).await.expect(0);
    let data_dir = project.data_dir().display().to_string();
    let mut shown: Value = serde_json::from_str(&show.stdout.replace(&data_dir, "DATA")).unwrap();
    let mark = shown.as_object_mut().unwrap().remove("imported");
    (shown, mark.unwrap_or_default())
}

/// A run whose workspaces are not here.
fn without_places(shown: &Value) -> Value {
    let mut text = shown.to_string();
    for agent in shown["agents"].as_array().unwrap() {
        let place = agent["workspace_path"].as_str().unwrap();
        text = text.replace(&format!("{place}/"), "").replace(place, "");
    }
    serde_json::from_str(&text).unwrap()
}

/// The members of a file.
fn members(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let limits = BundleLimits {
        members: 1_000,
        bytes: 1 << 30,
    };
    let mut found = BTreeMap::new();
    read_bundle(File::open(path).unwrap(), limits, |name, _, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        found.insert(name.to_owned(), bytes);
        Ok(())
    })
    .unwrap();
    found
}

fn rows(members: &BTreeMap<String, Vec<u8>>, name: &str) -> Vec<Value> {
    let text = std::str::from_utf8(&members[name]).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

/// All below the data directory but what a look may change.
fn kept(project: &Project) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut kept = project.contents();
    let is_data = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        !name.starts_with("fusion.db") && name != "lock"
    };
    kept.retain(|path, _| is_data(path));
    kept
}

#[tokio::test]
async fn a_file_has_the_rows_of_the_run_and_tells_of_each_part() {
    let project = exported().await;
    let written = export_again(&project).await;
    let (store, id) = project.store().await;
    let members = members(&project.path().join(FILE));
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    let one = format!("artifacts/{ONE}");
    assert_eq!(
        names,
        [
            "agents.jsonl",
            "approvals.jsonl",
            &one,
            "events.jsonl",
            "journal.jsonl",
            "manifest.json",
            "messages.jsonl",
            "runs.jsonl",
            "tasks.jsonl",
            "workflows.jsonl",
        ]
    );
    let run = store.get(id).await.unwrap();
    assert_eq!(rows(&members, "runs.jsonl"), [json!(run)]);
    let tasks = store.tasks_of_run(id).await.unwrap();
    assert_eq!(json!(rows(&members, "tasks.jsonl")), json!(tasks));
    let mut journal = Vec::new();
    for task in &tasks {
        journal.extend(store.journal(task.id).await.unwrap());
    }
    assert_eq!(json!(rows(&members, "journal.jsonl")), json!(journal));
    let workflow = store.get(run.workflow_id).await.unwrap();
    let told = &rows(&members, "workflows.jsonl")[0];
    assert_eq!(
        (&told["source"], &told["base_dir"]),
        (&json!(workflow.source), &json!(""))
    );
    tells_from_the_beginning_to_the_end(&members);
    assert_eq!(members[&one], b"1\n");
    let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    assert_eq!(
        (
            &manifest["format"],
            &manifest["run"],
            &manifest["runs"],
            &manifest["missing"]
        ),
        (&json!(1), &json!(id), &json!(1), &json!([]))
    );
    let bytes = fs::metadata(project.path().join(FILE)).unwrap().len();
    assert_eq!(
        (&written["run_id"], &written["bytes"], &written["file"]),
        (&json!(id), &json!(bytes), &json!(FILE))
    );
}

fn tells_from_the_beginning_to_the_end(members: &BTreeMap<String, Vec<u8>>) {
    let types = rows(members, "events.jsonl");
    let types: Vec<&str> = types
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert_eq!(
        (types.first(), types.last()),
        (Some(&"task.queued"), Some(&"workflow.completed"))
    );
}

async fn export_again(project: &Project) -> Value {
    let shown = project.shown().await;
    let id = shown["id"].as_str().unwrap().to_owned();
    let there = project.run(["run", "export", &id, FILE]).await;
    there
        .expect(5)
        .says(&["run.tar.zst is there already", "--force"]);
    let forced = ["run", "export", &id, FILE, "--force", "--json"];
    project.run(forced).await.expect(0).json()
}

/// Everything that is seen of a run that came from a file.
async fn looks_as_it_was(from: &Project, to: &Project) {
    let (there, none) = shown(from, &newest(from).await).await;
    let id = there["id"].as_str().unwrap();
    let (here, mark) = shown(to, id).await;
    assert_eq!((here, none), (without_places(&there), Value::Null));
    let file = mark["file"].as_str().unwrap();
    let get = ["artifact", "get", file, "same.tar.zst"];
    to.run(get).await.expect(0);
    let again = ["run", "export", id, "again.tar.zst"];
    to.run(again).await.expect(0);
    let bytes = fs::read(to.path().join(FILE)).unwrap();
    for copy in ["same.tar.zst", "again.tar.zst"] {
        assert!(fs::read(to.path().join(copy)).unwrap() == bytes, "{copy}");
    }
    parts_look_as_they_did(from, to, &there).await;
}

/// Its kept file, its tasks, its agents and its events.
async fn parts_look_as_they_did(from: &Project, to: &Project, there: &Value) {
    let id = there["id"].as_str().unwrap();
    to.run(["artifact", "get", ONE, "one"]).await.expect(0);
    assert_eq!(fs::read(to.path().join("one")).unwrap(), b"1\n");
    let task = step(there, "make")["task_id"].as_str().unwrap();
    let logs = ["task", "get", task, "--json"];
    let told = to.run(logs).await.expect(0).json();
    assert_eq!(told["state"], "completed");
    let agent = there["agents"][0]["id"].as_str().unwrap();
    let logs = ["agent", "logs", agent, "--json"];
    let logs = to.run(logs).await.expect(0).stdout;
    assert_eq!(
        logs,
        from.run(["agent", "logs", agent, "--json"]).await.stdout
    );
    let events = to.run(["events", "list", "--run", id, "--json"]).await;
    let events = events.expect(0).json();
    let told: Vec<&Value> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["event_type"])
        .collect();
    assert_eq!(told, [&json!("record.changed")]);
}

async fn newest(project: &Project) -> String {
    project.shown().await["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_goes_to_another_machine_and_looks_there_as_it_did() {
    let from = exported().await;
    let to = elsewhere(&from);
    let id = newest(&from).await;
    let done = import(&to).await;
    assert_eq!(
        (&done["run"]["id"], &done["runs"], &done["already"]),
        (&json!(id), &json!(1), &json!(false))
    );
    looks_as_it_was(&from, &to).await;
    let list = to.run(["run", "list"]).await.expect(0).stdout;
    assert!(list.contains("completed (imported)"), "{list}");
    let show = to.run(["run", "show"]).await.expect(0).stdout;
    assert!(show.contains(", not done here: exported from "), "{show}");
    let workspaces = to.run(["workspace", "list", "--json"]).await.json();
    let states: Vec<&Value> = workspaces["workspaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["state"])
        .collect();
    assert_eq!(states, [&json!("elsewhere"), &json!("elsewhere")]);
}

#[tokio::test]
async fn the_same_file_again_stores_nothing_also_where_the_run_was_made() {
    let from = exported().await;
    let to = elsewhere(&from);
    let first = import(&to).await;
    let before = kept(&to);
    let again = import(&to).await;
    assert_eq!(
        (&again["run"], &again["already"]),
        (&first["run"], &json!(true))
    );
    assert!(kept(&to) == before);
    let home = import(&from).await;
    assert_eq!(home["already"], true);
    assert_eq!(home["run"].get("imported"), None);
    // Another run of the same version shares its row with the first.
    from.run(["run", "flow.yaml", "-i", "word=bye"])
        .await
        .expect(0);
    fs::remove_file(from.path().join(FILE)).unwrap();
    export(&from).await;
    take(&from, &to);
    assert_eq!(import(&to).await["already"], false);
    looks_as_it_was(&from, &to).await;
}

#[tokio::test]
async fn what_was_spent_elsewhere_counts_for_nothing_here() {
    let from = exported().await;
    let cost = ["metrics", "cost", "--json"];
    let spent = from.run(cost).await.expect(0).json();
    assert_ne!(spent["total"]["turns"], json!(0), "{spent:#}");
    let to = elsewhere(&from);
    import(&to).await;
    let here = to.run(cost).await.expect(0).json();
    assert_eq!(here["costs"], json!([]), "{here:#}");
    let top = to.run(["metrics", "top", "--json"]).await.expect(0).json();
    assert_eq!(top["top"], json!([]), "{top:#}");
}

#[tokio::test]
async fn runs_below_a_run_go_with_it_and_not_without() {
    let shout = "
version: 1
name: shout
agents: { a: { provider: scripted, model: script.yaml } }
steps: [{ id: say, agent: a, prompt: Say. }]
outputs: { loud: '${{ steps.say.outputs.text | upper }}' }
";
    let flow = "
version: 1
name: flow
steps: [{ id: call, workflow: shout }, { id: twice, needs: call, workflow: shout }]
";
    let from = Project::with(flow, SCRIPT);
    from.write("shout.yaml", shout);
    from.run(["workflow", "create", "shout.yaml"])
        .await
        .expect(0);
    from.run(["run", "flow.yaml"]).await.expect(0);
    let id = newest(&from).await;
    let below = ["run", "list", "--parent", &id, "--json"];
    let runs = from.run(below).await.expect(0).json();
    let child = runs["runs"][0]["id"].as_str().unwrap().to_owned();
    let alone = from.run(["run", "export", &child, "child.tar.zst"]).await;
    alone.expect(5).says(&["is a step of run", &id]);
    assert!(!from.path().join("child.tar.zst").exists());
    assert_eq!(export(&from).await["runs"], 3);
    let to = elsewhere(&from);
    let text = to.run(["run", "import", FILE]).await.expect(0).stdout;
    assert!(text.contains("of flow and 2 runs below it"), "{text}");
    for run in [&id, &child] {
        let ((here, mark), (there, _)) = (shown(&to, run).await, shown(&from, run).await);
        assert_eq!(here, without_places(&there));
        assert_ne!(mark, Value::Null);
    }
}

#[tokio::test]
async fn a_run_of_a_file_is_imported_into_postgresql_and_comes_back() {
    let server = Postgres::start(&postgres_binaries().unwrap()).unwrap();
    let from = exported().await;
    let mut to = elsewhere(&from);
    to.set("DATABASE_URL", server.url());
    assert_eq!(import(&to).await["already"], false);
    looks_as_it_was(&from, &to).await;
    assert_eq!(import(&to).await["already"], true);
    let cost = to.run(["metrics", "cost", "--json"]).await.expect(0).json();
    assert_eq!(cost["costs"], json!([]), "{cost:#}");
    // And a run that was done there goes into a file.
    to.write("flow.yaml", FLOW);
    to.write("script.yaml", SCRIPT);
    to.run(["run", "flow.yaml"]).await.expect(0);
    fs::remove_file(to.path().join(FILE)).unwrap();
    export(&to).await;
    take(&to, &from);
    assert_eq!(import(&from).await["already"], false);
    for name in ["same.tar.zst", "again.tar.zst", "one"] {
        fs::remove_file(to.path().join(name)).unwrap();
    }
    looks_as_it_was(&to, &from).await;
}

#[tokio::test]
async fn a_run_that_goes_on_is_not_exported() {
    let flow = "
version: 1
name: flow
agents: { a: { provider: scripted, model: script.yaml, tools: [shell] } }
steps: [{ id: first, agent: a, prompt: x }, { id: second, agent: a, needs: first, prompt: x }]
";
    let project = Project::with(flow, &gated_script());
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let at_work = |run: &Value| states(run)[1] == ("second", "running");
    let run = project.until("the second step", at_work).await;
    let id = run["id"].as_str().unwrap();
    let export = project.run(["run", "export", id, FILE]).await;
    export.expect(5).says(&["has not ended"]);
    let none = project.run(["run", "export", "ffffffff", FILE]).await;
    none.expect(3);
    assert!(!project.path().join(FILE).exists());
    let lost = project.run(["run", "import", "nothing"]).await;
    lost.expect(3).says(&["can't read nothing"]);
    project.open_the_gate();
    running.finish().await.expect(0);
    assert_eq!(export_of(&project, id).await["runs"], 1);
}

#[tokio::test]
async fn a_death_at_any_commit_of_an_import_leaves_the_run_whole_or_not_at_all() {
    let from = exported().await;
    let id = newest(&from).await;
    let mut deaths = 0;
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        for passing in 0.. {
            let to = elsewhere(&from);
            let command = ["run", "import", FILE];
            if die_at(&to, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            let store = SqlStore::open_to_read(&file(&to)).await.unwrap();
            let runs = match store {
                Some(store) => {
                    let all = RunFilter::default();
                    store.list(&all, Page::first(10)).await.unwrap()
                }
                None => Vec::new(),
            };
            let was_there = !runs.is_empty();
            assert_eq!(import(&to).await["already"], was_there, "{point} {passing}");
            let (here, _) = shown(&to, &id).await;
            let there = shown(&from, &id).await.0;
            assert_eq!(here, without_places(&there), "{point} {passing}");
        }
    }
    assert!(deaths >= 2, "{deaths} deaths");
}

#[tokio::test]
async fn no_credential_is_in_a_file() {
    let secret = "sk-canary-9xT2vQ7LmB";
    let mut from = Project::with(FLOW, SCRIPT);
    from.set("PLANTED", secret);
    let add = "provider add planted --type openai-compatible --base-url http://127.0.0.1:9/v1 --key-env PLANTED";
    from.run(add.split(' ')).await;
    from.run(["run", "flow.yaml"]).await.expect(0);
    export(&from).await;
    let folder = from.path().display().to_string();
    for (name, bytes) in members(&from.path().join(FILE)) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret), "{name}");
        assert!(!text.contains("credential"), "{name}");
        let of_machine = matches!(
            name.as_str(),
            "workflows.jsonl" | "tasks.jsonl" | "runs.jsonl"
        );
        assert!(!of_machine || !text.contains(&folder), "{name}: {text}");
    }
}
