//! Schedules, by the commands, over the API, on several nodes and over sudden deaths of the server.

use std::time::Instant;

use fusion_core::{Change, Decision, EventType, Overlap, Schedule, ScheduleId};
use fusion_persistence::{Batch, EventFilter, EventReader, Page, Repository, RunFilter, Store};
use fusion_persistence_sql::{Location, SqlStore};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::nodes::cluster::Cluster;
use crate::own_store::{OwnStore, file};
use crate::support::{Project, breathe, said};

const FLOW: &str = "
version: 1
name: flow
inputs: { depth: { type: integer } }
agents:
  a: { provider: scripted, model: script.yaml }
steps:
  - { id: s, agent: a, prompt: x }
";

const SCRIPT: &str = "version: 1\nsteps:\n  s: [{ text: done }]\n";

async fn stored() -> Project {
    let project = Project::with(FLOW, SCRIPT);
    let create = ["workflow", "create", "flow.yaml"];
    project.run(create).await.expect(0);
    project
}

/// One that has been due for long, and then is not for at least a day.
fn missed(number: u128, inputs: &Value) -> Schedule {
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    Schedule {
        id: ScheduleId::from_uuid(uuid::Uuid::from_u128(number)),
        name: format!("yearly {number}"),
        workflow: "flow".to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        cron: "0 0 1 1 *".to_owned(),
        timezone: "UTC".to_owned(),
        overlap: Overlap::Skip,
        is_paused: false,
        next_at: Some(long_ago),
        last_at: None,
        last_run: None,
        last_error: None,
        created_at: long_ago,
        updated_at: long_ago,
        version: 1,
    }
}

async fn write(location: &Location, schedules: Vec<Schedule>) {
    let store = OwnStore::at(location).await;
    let all = schedules.into_iter().map(Change::create);
    let decision = all.fold(Decision::default(), Decision::with);
    store.commit(Batch::free(decision)).await.unwrap();
    store.close().await;
}

/// The states of all runs.
async fn runs(project: &Project) -> Vec<String> {
    let store = SqlStore::open_to_read(&file(project)).await;
    let store = store.unwrap().unwrap();
    let all = store.list(&RunFilter::default(), Page::first(100)).await;
    let states = all.unwrap().into_iter().map(|run| run.state.to_string());
    states.collect()
}

/// The words of a command that makes a schedule of the flow.
fn create(name: &str, cron: &str, zone: &str, input: &str) -> Vec<String> {
    let words =
        format!("schedule create {name} --workflow flow --timezone {zone} -i {input} --json");
    let words = words.split(' ').map(str::to_owned);
    words.chain([format!("--cron={cron}")]).collect()
}

async fn printed(project: &Project, words: &str) -> Value {
    said(project, &format!("{words} --json"))
        .await
        .expect(0)
        .json()
}

async fn is_made_as_asked(project: &Project) -> Value {
    let make = create("nightly", "0 3 * * *", "Europe/Berlin", "depth=2");
    let made = project.run(&make).await.expect(0).json();
    let expected = json!({
        "id": made["id"], "name": "nightly", "workflow": "flow", "inputs": { "depth": 2 },
        "cron": "0 3 * * *", "timezone": "Europe/Berlin", "overlap": "skip", "paused": false,
        "next_at": made["next_at"], "last_at": null, "last_run": null, "last_error": null,
        "created_at": made["created_at"], "updated_at": made["created_at"],
    });
    assert_eq!(made, expected);
    assert!(made["next_at"].as_str() > made["created_at"].as_str());
    made
}

async fn what_is_wrong_is_refused(project: &Project) {
    let daily = |name, zone, input| create(name, "0 3 * * *", zone, input);
    let at = |cron| create("n", cron, "UTC", "depth=2");
    for (words, code, says) in [
        (daily("nightly", "UTC", "depth=2"), 5, "schedule 'nightly'"),
        (at("0 3 * *"), 2, "'0 3 * *' is not five fields of cron"),
        (at("0 0 30 2 *"), 2, "'0 0 30 2 *' never comes"),
        (
            daily("n", "Mars/Base", "depth=2"),
            2,
            "there is no time zone 'Mars/Base'",
        ),
        (daily("n", "UTC", "deep=2"), 2, "'deep'"),
        (daily("n", "UTC", "depth=x"), 2, "depth"),
    ] {
        project.run(&words).await.expect(code).says(&[says]);
    }
    let unknown = "schedule create n --workflow gone --cron @daily";
    said(project, unknown).await.expect(3).says(&["gone"]);
    let near = said(project, "schedule pause nightl").await.expect(3);
    near.says(&["did you mean 'nightly'?"]);
}

/// It is held, and let go on with the occurrence that it was made for.
async fn is_held_and_let_go(project: &Project, made: &Value) {
    let held = printed(project, "schedule pause nightly").await;
    assert_eq!(held["paused"], true);
    assert_eq!(printed(project, "schedule get nightly").await, held);
    let list = said(project, "schedule list").await.expect(0).stdout;
    let row = list.lines().last().unwrap();
    let cells = row.split("  ").map(str::trim);
    let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
    let expected = ["nightly", "flow", "0 3 * * *", "Europe/Berlin", "paused"];
    assert_eq!(cells, expected);
    let let_go = printed(project, "schedule resume nightly").await;
    let is_paused_until = (&let_go["paused"], &let_go["next_at"]);
    assert_eq!(is_paused_until, (&json!(false), &made["next_at"]));
    let listed = printed(project, "schedule list").await;
    assert_eq!(listed, json!({ "schedules": [let_go] }));
}

/// The same commands, answers and exit codes whether there is a server or not.
async fn is_kept(project: &Project) {
    let made = is_made_as_asked(project).await;
    what_is_wrong_is_refused(project).await;
    is_held_and_let_go(project, &made).await;
    let gone = said(project, "schedule delete nightly").await.expect(0);
    assert!(gone.stdout.contains("nightly"), "{}", gone.stdout);
    let gone = said(project, "schedule get nightly").await.expect(3);
    gone.says(&["there is no schedule 'nightly'"]);
}

#[tokio::test]
async fn a_schedule_is_kept_by_the_same_commands_with_and_without_a_server() {
    let project = stored().await;
    is_kept(&project).await;
    let _serving = Serving::on(&project).await;
    is_kept(&project).await;
}

#[tokio::test]
async fn the_api_refuses_what_is_wrong_and_makes_a_schedule_once_for_a_key() {
    let project = stored().await;
    let serving = Serving::on(&project).await;
    let new = json!({
        "name": "nightly", "workflow": "flow", "cron": "0 3 * * *", "inputs": { "depth": 2 },
    });
    let make = || {
        let request = serving.request("POST", "/api/v1/schedules").json(&new);
        request.header("Idempotency-Key", "k")
    };
    let made = make().send().await.expect(201).json();
    assert_eq!(make().send().await.expect(201).json(), made);
    assert_eq!(made["timezone"], "UTC");
    let with = |field: &str, value: Value| {
        let mut wrong = new.clone();
        wrong["name"] = json!("other");
        wrong[field] = value;
        wrong
    };
    for (wrong, field) in [
        (with("cron", json!("no")), "/cron"),
        (with("cron", Value::Null), "/cron"),
        (with("timezone", json!("Mars/Base")), "/timezone"),
        (with("overlap", json!("never")), "/overlap"),
        (with("workflow", json!("gone")), "/workflow"),
        (with("inputs", json!({})), "/inputs"),
    ] {
        let refused = serving.post("/api/v1/schedules", &wrong).await;
        let body = refused.body.clone();
        assert_eq!(refused.status, 400, "{wrong}: {body}");
        assert!(body.contains(field), "{wrong}: {body}");
    }
    serving.post("/api/v1/schedules", &new).await.expect(409);
    let hold = serving.request(
        "PATCH",
        &format!("/api/v1/schedules/{}", made["id"].as_str().unwrap()),
    );
    let stale = hold
        .header("If-Match", "\"7\"")
        .json(&json!({ "paused": true }));
    stale.send().await.expect(412);
}

#[tokio::test]
async fn the_list_of_schedules_is_selected_and_walked_page_by_page() {
    let project = stored().await;
    let serving = Serving::on(&project).await;
    for name in ["a", "b", "c"] {
        let new = json!({
            "name": name, "workflow": "flow", "cron": "0 3 * * *", "inputs": { "depth": 2 },
        });
        serving.post("/api/v1/schedules", &new).await.expect(201);
    }
    project.run(["schedule", "pause", "b"]).await.expect(0);
    let names = async |query: &str| {
        let page = serving.get(&format!("/api/v1/schedules?{query}")).await;
        let page = page.expect(200).json();
        let rows = page["schedules"].as_array().unwrap().iter();
        let names: Vec<Value> = rows.map(|row| row["name"].clone()).collect();
        (names, page["next_cursor"].clone())
    };
    let (first, cursor) = names("limit=2").await;
    assert_eq!(first, ["c", "b"]);
    let next = format!("limit=2&cursor={}", cursor.as_str().unwrap());
    assert_eq!(names(&next).await, (vec![json!("a")], Value::Null));
    assert_eq!(names("paused=true").await.0, ["b"]);
    assert_eq!(names("paused=false&workflow=flow").await.0, ["c", "a"]);
    assert_eq!(names("workflow=other").await.0, Vec::<Value>::new());
    assert_eq!(names("name=a").await.0, ["a"]);
    serving
        .get("/api/v1/schedules?paused=maybe")
        .await
        .expect(400);
}

/// What a store has of the one schedule of the test: its run, and what was told of it.
async fn fired(project: &Project) -> (Vec<String>, Vec<Value>) {
    let store = SqlStore::open_to_read(&file(project)).await;
    let store = store.unwrap().unwrap();
    let filter = EventFilter {
        types: vec![EventType::ScheduleFired.as_str().to_owned()],
        ..EventFilter::default()
    };
    let events = store.events_after(&filter, 0, 100).await.unwrap();
    let runs = events.into_iter().map(|it| it.event.data["run_id"].clone());
    let id = missed(7, &json!({})).id;
    let last: Schedule = store.get(id).await.unwrap();
    let of_row = last.last_run.map(|run| run.to_string());
    (of_row.into_iter().collect(), runs.collect())
}

/// Lets a server die at the n-th commit, counted from 0; says whether it came so far before the run was done.
async fn dies(project: &Project, point: &str, passing: usize) -> bool {
    let plan = format!("{point}={passing}*off->return");
    let serve = project.fusion_kit(["serve", "--port", "0"]);
    let dying = serve.env("FAILPOINTS", plan).start();
    let (pid, began) = (dying.pid(), Instant::now());
    let is_dead = loop {
        // A zombie until it is waited for.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if stat.contains(") Z ") {
            break true;
        }
        if runs(project).await == ["completed"] {
            break false;
        }
        breathe(began, "the server to die or to be done").await;
    };
    dying.stop(Signal::INT).await;
    is_dead
}

#[tokio::test]
async fn a_missed_occurrence_starts_one_run_over_a_death_at_every_commit() {
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        let mut deaths = 0;
        for passing in 0.. {
            let project = stored().await;
            write(&file(&project), vec![missed(7, &json!({ "depth": 2 }))]).await;
            let is_dead = dies(&project, point, passing).await;
            deaths += usize::from(is_dead);
            let serving = project.fusion_kit(["serve", "--port", "0"]).start();
            let began = Instant::now();
            while runs(&project).await != ["completed"] {
                breathe(began, &format!("one run to be done, {point} {passing}")).await;
            }
            serving.stop(Signal::INT).await;
            assert_eq!(runs(&project).await, ["completed"], "{point} {passing}");
            let (run, told) = fired(&project).await;
            assert_eq!(told, run, "{point} {passing}");
            if !is_dead {
                break;
            }
        }
        // A run of one step: made, launched with its claim, begun, ended.
        assert!(deaths >= 4, "{deaths} deaths at {point}");
    }
}

#[tokio::test]
async fn two_servers_that_look_at_the_same_moment_start_each_occurrence_once() {
    const SCHEDULES: u128 = 20;
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let step = "  - { id: s, agent: a, prompt: x }\n";
    cluster.store(&one, step, "  s: [{ text: done }]\n").await;
    let due = (1..=SCHEDULES).map(|number| missed(number, &json!({})));
    write(&cluster.location(), due.collect()).await;
    // Both hear of it.
    let new = json!({ "name": "other", "workflow": "flow", "cron": "0 0 1 1 *" });
    one.post("/api/v1/schedules", &new).await.expect(201);
    let is_done = |page: &Value| {
        let rows = page["schedules"].as_array().unwrap().iter();
        rows.filter(|row| row["last_run"].is_string()).count() == 20
    };
    let path = "/api/v1/schedules?limit=100";
    let page = cluster.until(&two, path, "all are started", is_done).await;
    let started = page["schedules"].as_array().unwrap().iter();
    let mut started: Vec<String> = started
        .filter_map(|row| row["last_run"].as_str().map(str::to_owned))
        .collect();
    started.sort();
    cluster.until_completed(&two, &started).await;
    let all = two.get("/api/v1/runs?limit=100").await.expect(200).json();
    let mut all: Vec<String> = all["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["id"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    assert_eq!(all, started);
    assert_eq!(cluster.events(EventType::ScheduleFired).await.len(), 20);
}
