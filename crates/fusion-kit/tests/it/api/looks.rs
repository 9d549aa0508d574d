//! What only looks says the same of the same data without a server, beside the one that owns the data
//! directory, and through one that is named.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Serving;
pub(super) use crate::support::said;
use crate::support::{Finished, Project, step};

const FLOW: &str = "
version: 1
name: release
agents:
  w: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: first, agent: w, prompt: x }
  - { id: ship, agent: w, prompt: x, needs: [first], approval: { message: \"Ship it?\", expires: 72h } }
  - { id: tell, agent: w, prompt: x, needs: [ship] }
";

const SCRIPT: &str = r#"
version: 1
steps:
  first:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: "bees" } }]
    - text: one
  ship: [{ text: shipped }]
  tell: [{ text: told }]
  task: [{ text: done }]
"#;

/// A project with a run that was stopped while it asked a person; and the run.
pub(super) async fn asking() -> (Project, Value) {
    let mut project = Project::with(FLOW, SCRIPT);
    project.set("USER", "ada");
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let run = project
        .until("the question", |run| {
            let wait = &step(run, "ship")["waiting"]["reason"];
            wait.as_str()
                .is_some_and(|reason| reason.starts_with("approval"))
        })
        .await;
    running.stop(Signal::TERM).await.expect(130);
    (project, run)
}

/// The id of a step's task.
fn task(run: &Value, id: &str) -> String {
    step(run, id)["task_id"].as_str().unwrap().to_owned()
}

/// What a command says through a server that is named, with nothing of its data directory at hand.
async fn named(serving: &Serving, elsewhere: &Project, line: &str) -> Finished {
    let command = elsewhere
        .fusion_kit(line.split(' '))
        .env("FUSION_SERVER", format!("http://{}", serving.address))
        .env("FUSION_TOKEN", &serving.token);
    command.finish().await
}

/// Compares what commands say in the three ways; gives what they say.
pub(super) async fn alike(project: &Project, lines: &[String]) -> Vec<Finished> {
    let mut here = Vec::new();
    for line in lines {
        here.push(said(project, line).await);
    }
    let serving = Serving::on(project).await;
    let elsewhere = Project::new();
    for (line, here) in lines.iter().zip(&here) {
        for through in [
            said(project, line).await,
            named(&serving, &elsewhere, line).await,
        ] {
            assert_eq!(
                (here.code, &here.stdout),
                (through.code, &through.stdout),
                "{line}: {through:?}"
            );
        }
    }
    here
}

#[tokio::test]
async fn a_log_of_a_task_is_what_was_done_on_it_and_on_no_other() {
    let (project, run) = asking().await;
    let (first, ship) = (task(&run, "first"), task(&run, "ship"));
    let lines = [
        format!("task logs {first} --json"),
        format!("task logs {first} --limit 1"),
        format!("task logs {first} --follow"),
        format!("task logs {ship} --json"),
        format!("task logs {ship} --limit 501"),
        "task logs 00000000-0000-7000-8000-000000000000".to_owned(),
    ];
    let told = alike(&project, &lines).await;
    let entries = told[0].json()["entries"].clone();
    let kinds: Vec<&Value> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["kind"])
        .collect();
    assert_eq!(kinds, ["turn", "tool", "turn"]);
    assert_eq!(told[1].stdout.lines().count(), 1);
    // It has ended: there is nothing to follow.
    assert_eq!(told[2].stdout.lines().count(), 3);
    assert_eq!(told[3].json(), json!({ "entries": [] }));
    // As many as a server gives at most, with one and without.
    assert_eq!(told[4].code, Some(2));
    assert_eq!(told[5].code, Some(3));
}

#[tokio::test]
async fn the_log_of_a_task_is_followed_to_its_end() {
    let (project, run) = asking().await;
    let ship = task(&run, "ship");
    let serving = Serving::on(&project).await;
    let following = project
        .fusion_kit(["task", "logs", &ship, "--follow", "--json"])
        .start();
    let item = said(&project, "inbox --json").await.expect(0).json()["items"][0].clone();
    let approve = format!("approve {}", item["id"].as_str().unwrap());
    said(&project, &approve).await.expect(0);
    let told = following.finish().await.expect(0);
    let entries: Vec<Value> = told
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = entries
        .iter()
        .map(|it| (&it["step"], &it["kind"]))
        .collect();
    assert_eq!(told, [(&json!("ship"), &json!("turn"))]);
    drop(serving);
}

#[tokio::test]
async fn who_waits_for_a_person_is_told_so_when_time_is_up() {
    let (project, run) = asking().await;
    let (ship, tell) = (task(&run, "ship"), task(&run, "tell"));
    let asked = ["'ship' waits for a person: Ship it?", "fusion-kit inbox"];
    let wait = async |task: &str| said(&project, &format!("task wait {task} --timeout 1s")).await;
    for task in [&ship, &tell] {
        wait(task).await.expect(7).says(&asked);
    }
    let json = format!("task wait {ship} --timeout 1s --json");
    let problem = said(&project, &json).await.expect(7);
    let problem: Value = serde_json::from_str(&problem.stderr).unwrap();
    assert_eq!(problem["kind"], "held");
    let later = "task create Later. --in 1h --json";
    let later = said(&project, later).await.expect(0).json();
    let later = later["id"].as_str().unwrap();
    wait(later).await.expect(8);
    let serving = Serving::on(&project).await;
    for task in [&ship, &tell] {
        wait(task).await.expect(7).says(&asked);
    }
    wait(later).await.expect(8);
    // A run that is held holds its steps, whatever they wait for.
    let item = said(&project, "inbox --json").await.expect(0).json()["items"][0].clone();
    let pause = format!("run pause {}", run["id"].as_str().unwrap());
    said(&project, &pause).await.expect(0);
    let approve = format!("approve {}", item["id"].as_str().unwrap());
    said(&project, &approve).await.expect(0);
    wait(&tell)
        .await
        .expect(7)
        .says(&["waits for a person: held by"]);
    drop(serving);
}

#[tokio::test]
async fn events_are_read_in_pages_and_one_by_one() {
    let (project, run) = asking().await;
    let run = run["id"].as_str().unwrap();
    let all = said(&project, &format!("events list --run {run} --json")).await;
    let all = all.expect(0).json();
    let all = all["events"].as_array().unwrap();
    assert!(all.len() > 4, "{all:?}");
    let first = format!("events list --run {run} --limit 3 --json");
    let page = said(&project, &first).await.expect(0).json();
    assert_eq!(page["events"].as_array().unwrap(), &all[..3]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let (seq, id) = (&all[1]["seq"], all[1]["id"].as_str().unwrap());
    let lines = [
        first,
        format!("events list --run {run} --limit 500 --cursor {cursor} --json"),
        format!("events list --run {run} --after 1 --limit 2 --json"),
        format!("events list --run {run} --limit 3"),
        format!("events get {seq}"),
        format!("events get {id} --json"),
        "events get 999999999".to_owned(),
        "events get 0".to_owned(),
        "events get 00000000-0000-7000-8000-000000000000".to_owned(),
        "events get soon".to_owned(),
        "events list --cursor x".to_owned(),
    ];
    let told = alike(&project, &lines).await;
    assert_eq!(told[1].json()["events"].as_array().unwrap(), &all[3..]);
    assert_eq!(told[5].json(), all[1]);
    let codes: Vec<Option<i32>> = told[6..].iter().map(|it| it.code).collect();
    assert_eq!(codes, [3, 3, 3, 2, 2].map(Some));
}

#[tokio::test]
async fn workspaces_are_found_with_their_state_and_size() {
    let (project, run) = asking().await;
    let spawn = "agent spawn --name old --provider scripted --model script.yaml";
    said(&project, spawn).await.expect(0);
    let archive = "agent terminate old --workspace archive";
    said(&project, archive).await.expect(0);
    let agent = run["agents"][0]["id"].as_str().unwrap();
    let lines = [
        "workspace list --json".to_owned(),
        "workspace list".to_owned(),
        "workspace list --limit 1 -o name".to_owned(),
        "workspace path w".to_owned(),
        format!("workspace path {agent} --json"),
        "workspace path old".to_owned(),
        "workspace path nobody".to_owned(),
    ];
    let told = alike(&project, &lines).await;
    let listed = told[0].json();
    let states: Vec<(&Value, &Value)> = listed["workspaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["name"], &row["state"]))
        .collect();
    assert_eq!(
        states,
        [
            (&json!("old"), &json!("archived")),
            (&json!("w"), &json!("ready"))
        ]
    );
    let of_run = &listed["workspaces"][1];
    assert!(
        of_run["size_bytes"].as_u64().is_some_and(|size| size > 0),
        "{of_run}"
    );
    let path = told[3].stdout.trim_end();
    assert_eq!(of_run["path"], path);
    let poem = std::path::Path::new(path).join("projects/poem.txt");
    assert!(poem.is_file(), "{path}");
    assert_eq!(told[4].json(), json!({ "agent": agent, "path": path }));
    assert_eq!((told[5].code, told[6].code), (Some(3), Some(3)));
}

#[tokio::test]
async fn versions_and_places_are_told_with_those_of_the_server_that_is_there() {
    let (project, _) = asking().await;
    let alone = said(&project, "version --json").await.expect(0).json();
    assert_eq!(alone["server"], Value::Null);
    let before = said(&project, "info --json").await.expect(0).json();
    assert_eq!(
        (&before["server"], &before["nodes"]),
        (&Value::Null, &json!([]))
    );
    let here = &before["here"];
    let database = project.data_dir().join("fusion.db").display().to_string();
    let data_dir = project.data_dir().display().to_string();
    assert_eq!(
        json!([
            here["data_dir"],
            here["database"],
            here["database_kind"],
            here["bus"]
        ]),
        json!([data_dir, database, "SQLite", "in process"])
    );
    assert_eq!(here["schema"]["missing"], json!([]));
    let path = said(&project, "workspace path w").await.expect(0).stdout;
    assert!(
        path.starts_with(here["workspaces"].as_str().unwrap()),
        "{here} {path}"
    );
    let serving = Serving::on(&project).await;
    let url = format!("http://{}", serving.address);
    let beside = said(&project, "version --json").await.expect(0).json();
    let server = json!({ "url": format!("{url}/"), "version": alone["version"] });
    assert_eq!(
        beside,
        json!({ "version": alone["version"], "server": server })
    );
    let elsewhere = Project::new();
    let through = named(&serving, &elsewhere, "info --json")
        .await
        .expect(0)
        .json();
    assert_eq!(through["here"], Value::Null);
    assert_eq!(through["server"]["status"], "healthy");
    let gone = elsewhere
        .fusion_kit(["version"])
        .env("FUSION_SERVER", "http://127.0.0.1:9")
        .env("FUSION_TOKEN", "x");
    gone.finish().await.expect(10);
}

#[tokio::test]
async fn a_budget_is_set_listed_and_cleared_alike() {
    let project = Project::with(FLOW, SCRIPT);
    said(&project, "project create shop").await.expect(0);
    said(&project, "project create free").await.expect(0);
    said(&project, "budget set shop 100").await.expect(0);
    let set = "budget set shop 20 --tokens 5000 --per day --json";
    let set = said(&project, set).await.expect(0).json();
    assert_eq!(
        json!([
            set["budget_usd"],
            set["budget_per_day_usd"],
            set["budget_per_day_tokens"]
        ]),
        json!(["100", "20", 5000])
    );
    let lines = [
        "budget list --json".to_owned(),
        "budget list".to_owned(),
        "budget set nothing 5".to_owned(),
        "budget set shop much".to_owned(),
    ];
    let told = alike(&project, &lines).await;
    let listed = told[0].json();
    let budgets: Vec<Value> = listed["budgets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| json!([it["name"], it["per"], it["limit_usd"], it["limit_tokens"]]))
        .collect();
    assert_eq!(
        budgets,
        [
            json!(["shop", "total", "100", null]),
            json!(["shop", "day", "20", 5000])
        ]
    );
    assert_eq!((told[2].code, told[3].code), (Some(3), Some(2)));
    let serving = Serving::on(&project).await;
    said(&project, "budget clear shop --per day")
        .await
        .expect(0);
    let left = said(&project, "budget list --json").await.json();
    assert_eq!(left["budgets"].as_array().unwrap().len(), 1);
    said(&project, "budget clear shop").await.expect(0);
    let none = said(&project, "budget list --json").await.json();
    assert_eq!(none, json!({ "budgets": [] }));
    drop(serving);
}

#[tokio::test]
async fn a_version_of_a_workflow_is_printed_as_it_was_stored_and_taken_away() {
    let project = Project::with(FLOW, SCRIPT);
    said(&project, "workflow import flow.yaml").await.expect(0);
    let second = FLOW.replace("Ship it?", "Really?");
    project.write("second.yaml", &second);
    said(&project, "workflow create second.yaml")
        .await
        .expect(0);
    let lines = [
        "workflow export release".to_owned(),
        "workflow export release --version 1".to_owned(),
        "workflow export nothing".to_owned(),
    ];
    let told = alike(&project, &lines).await;
    assert_eq!(
        (told[0].stdout.as_str(), told[1].stdout.as_str()),
        (second.as_str(), FLOW)
    );
    assert_eq!(told[2].code, Some(3));
    let gone = said(&project, "workflow delete release --version 1 --json").await;
    assert_eq!(gone.expect(0).json()["version"], 1);
    let serving = Serving::on(&project).await;
    let elsewhere = Project::new();
    let missing = named(&serving, &elsewhere, "workflow delete release --version 1").await;
    missing.expect(3);
    let gone = named(&serving, &elsewhere, "workflow delete release --json").await;
    assert_eq!(gone.expect(0).json()["version"], 2);
    said(&project, "workflow get release").await.expect(3);
}

#[tokio::test]
async fn a_version_that_a_run_refers_to_stays() {
    let (project, _) = asking().await;
    let refused = said(&project, "workflow delete release").await.expect(5);
    let serving = Serving::on(&project).await;
    let through = said(&project, "workflow delete release").await.expect(5);
    assert_eq!(refused.stderr, through.stderr);
    said(&project, "workflow get release").await.expect(0);
    drop(serving);
}

#[tokio::test]
async fn a_vacuum_gives_room_back_and_is_refused_beside_who_owns_the_file() {
    let project = Project::with(FLOW, SCRIPT);
    said(&project, "db vacuum").await.expect(3);
    for _ in 0..20 {
        said(&project, "project create big").await.expect(0);
        said(&project, "project delete big").await.expect(0);
    }
    let rows = async || said(&project, "db status --json").await.json()["database"]["rows"].clone();
    let before = rows().await;
    let done = said(&project, "db vacuum --json").await.expect(0).json();
    let size = std::fs::metadata(project.data_dir().join("fusion.db"))
        .unwrap()
        .len();
    assert_eq!(done["after_bytes"], size);
    assert!(done["before_bytes"].as_u64() >= Some(size), "{done}");
    assert_eq!(rows().await, before);
    let serving = Serving::on(&project).await;
    let refused = said(&project, "db vacuum").await.expect(5);
    refused.says(&["another fusion-kit"]);
    drop(serving);
}
