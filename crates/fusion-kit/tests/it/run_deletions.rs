//! Runs that are deleted: whole, never with the only copy of work unless that is said, and with what they
//! cost still in the books.

use fusion_workspaces::Artifacts;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::crash::die_at;
use crate::support::{Project, gated_script, said, wait_for};

const FLOW: &str = "
version: 1
name: flow
agents:
  maker: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: make, agent: maker, prompt: Make., artifacts: 'projects/*' }
";

const SCRIPT: &str = r#"
version: 1
steps:
  make:
    - tool_calls: [{ name: write_file, arguments: { path: projects/one, content: "1\n" } }]
    - text: made
"#;

/// The SHA-256 of `1` and the end of a line.
const ONE: &str = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865";

/// Points at which the binary can be made to die.
const POINTS: [&str; 3] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
    "coordination::removed_file",
];

/// More passings of a point than a deletion has.
const LIMIT: u32 = 60;

/// A project in which the flow was run so often; the ids of the runs.
async fn run(times: usize) -> (Project, Vec<String>) {
    let mut project = Project::with(FLOW, SCRIPT);
    let key = project.path().join("master.key");
    project.set("FUSION_MASTER_KEY_FILE", key.display().to_string());
    let mut ids = Vec::new();
    for _ in 0..times {
        project.run(["run", "flow.yaml"]).await.expect(0);
        ids.push(id(&project.shown().await));
    }
    (project, ids)
}

fn id(run: &Value) -> String {
    run["id"].as_str().unwrap().to_owned()
}

fn is_kept(project: &Project) -> bool {
    let place = project.data_dir().join("artifacts/43").join(ONE);
    place.exists()
}

/// What all runs cost, by workflow and by day.
async fn books(project: &Project) -> Vec<Value> {
    let mut books = Vec::new();
    for by in ["workflow", "day", "model", "project"] {
        let line = format!("metrics cost --by {by} --json");
        books.push(said(project, &line).await.expect(0).json());
    }
    books
}

#[tokio::test]
async fn a_run_goes_with_its_files_and_what_it_cost_stays_in_the_books() {
    let (project, ids) = run(2).await;
    let before = books(&project).await;
    let [first, second] = &ids[..] else { panic!() };
    let refused = said(&project, &format!("run delete {first}")).await;
    refused.expect(5).says(&[
        &format!("run {first} can't be deleted: the workspace of 'maker'"),
        "has 1 files of 2 bytes that are nowhere else",
        "--yes",
    ]);
    let dry = format!("run delete {first} {second} {first} --yes --dry-run --json");
    let dry = said(&project, &dry).await.expect(0).json();
    let told = dry["deleted"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|run| (&run["id"], &run["runs"])).collect();
    assert_eq!(
        told,
        [(&json!(first), &json!(1)), (&json!(second), &json!(1))]
    );
    assert_eq!(dry["deleted"][0]["workspaces"][0]["name"], "maker");
    assert!(is_kept(&project));

    let line = format!("run delete {first} --yes");
    let gone = said(&project, &line).await.expect(0);
    let begin = format!("deleted run {first} of flow\n  maker: removed ");
    assert!(gone.stdout.starts_with(&begin), "{}", gone.stdout);
    assert!(is_kept(&project), "the other run names it");
    said(&project, &format!("run show {first}")).await.expect(3);
    said(&project, &line).await.expect(3);
    said(&project, &format!("run delete {second} --yes --quiet"))
        .await
        .expect(0);
    assert!(!is_kept(&project));
    let none = said(&project, "run list --json").await.expect(0).json();
    assert_eq!(none["runs"], json!([]));
    assert_eq!(books(&project).await, before);
    said(&project, "verify").await.expect(0);
    let events = said(&project, "events list --type run.deleted --json").await;
    let events = events.expect(0).json();
    let told = events["events"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|event| event["run_id"].clone()).collect();
    assert_eq!(told, [json!(second), json!(first)]);
    assert_eq!(events["events"][0]["data"]["runs"], 1);
}

#[tokio::test]
async fn runs_go_by_their_age_and_what_may_not_go_is_told() {
    let (project, ids) = run(1).await;
    let none = said(&project, "run delete --older-than 1d").await.expect(0);
    assert_eq!(none.stdout, "no run ended that long ago\n");
    let failed = "run delete --older-than 1s --state failed --yes --json";
    let kept = loop {
        let line = "run delete --older-than 1s --dry-run";
        let kept = said(&project, line).await.expect(0).stdout;
        if kept != none.stdout {
            break kept;
        }
    };
    let begin = format!("kept run {} of flow: run", ids[0]);
    assert!(kept.starts_with(&begin), "{kept}");
    let none = said(&project, failed).await.expect(0).json();
    assert_eq!(none, json!({ "dry_run": false, "deleted": [], "kept": [] }));
    let gone = said(&project, "run delete --older-than 1s --yes --json").await;
    assert_eq!(gone.expect(0).json()["deleted"][0]["id"], json!(ids[0]));
    assert!(!is_kept(&project));
}

#[tokio::test]
async fn a_command_that_ends_in_the_middle_of_the_tidying_says_nothing_of_it() {
    let (project, _) = run(1).await;
    // It is still under way when the command has done its work.
    let ended = project
        .fusion_kit(["run", "delete", "--older-than", "1d"])
        .env("FAILPOINTS", "coordination::tidies=sleep(1000)")
        .finish()
        .await
        .expect(0);
    let said = (ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(said, ("no run ended that long ago\n", ""));
}

#[tokio::test]
async fn a_server_deletes_alike_for_an_administrator_only() {
    let (project, ids) = run(1).await;
    let line = format!("run delete {} --dry-run --yes", ids[0]);
    let here = said(&project, &line).await.expect(0);
    let serving = Serving::on(&project).await;
    let there = said(&project, &line).await.expect(0);
    assert_eq!(there.stdout, here.stdout);
    let place = format!("/api/v1/runs/{}", ids[0]);
    let refused = serving.request("DELETE", &place).send().await.expect(409);
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("nowhere else")
    );
    let wrong = format!("{place}?force=true");
    serving.request("DELETE", &wrong).send().await.expect(400);
    let body = json!({ "older_than_seconds": 86_400, "states": ["running"] });
    serving.post("/api/v1/runs/gc", &body).await.expect(400);
    let body = json!({ "older_than_seconds": 86_400 });
    let none = serving.post("/api/v1/runs/gc", &body).await.expect(200);
    assert_eq!(
        none.json(),
        json!({ "dry_run": false, "deleted": [], "kept": [] })
    );
    // All that has ended, whenever that was; where another request stopped is named by its answer only.
    let body = json!({ "older_than_seconds": 0, "dry_run": true, "after": "here" });
    serving.post("/api/v1/runs/gc", &body).await.expect(400);
    let body = json!({ "older_than_seconds": 0, "dry_run": true, "only_copies": true });
    let ended = serving
        .post("/api/v1/runs/gc", &body)
        .await
        .expect(200)
        .json();
    assert_eq!(ended["deleted"][0]["id"], json!(ids[0]));
    let body = json!({ "older_than_seconds": 0, "only_copies": true, "after": ids[0] });
    let none = serving.post("/api/v1/runs/gc", &body).await.expect(200);
    assert_eq!(
        none.json(),
        json!({ "dry_run": false, "deleted": [], "kept": [] })
    );
    let really = format!("{place}?only_copies=true");
    let gone = serving.request("DELETE", &really).send().await.expect(200);
    assert_eq!(gone.json()["id"], json!(ids[0]));
    serving.get(&place).await.expect(404);
    assert!(!is_kept(&project));
    let audit = serving
        .get("/api/v1/events?event_type=record.changed")
        .await;
    let told = audit.expect(200).json()["events"][0]["data"]["action"].clone();
    assert_eq!(told, "deleted");
}

#[tokio::test]
async fn a_run_that_goes_on_is_not_deleted() {
    let flow = FLOW.replace("tools: [files]", "tools: [shell]");
    let flow = flow.replace("id: make", "id: second");
    let project = Project::with(&flow, &gated_script());
    let serving = Serving::on(&project).await;
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let runs = serving.until("/api/v1/runs", |page| page["runs"] != json!([]));
    let run = id(&runs.await["runs"][0]);
    let refused = said(&project, &format!("run delete {run} --yes")).await;
    refused
        .expect(5)
        .says(&[&format!("run {run} can't be deleted: it has not ended")]);
    let body = json!({ "older_than_seconds": 0, "only_copies": true });
    let none = serving.post("/api/v1/runs/gc", &body).await.expect(200);
    assert_eq!(
        none.json(),
        json!({ "dry_run": false, "deleted": [], "kept": [] })
    );
    let place = format!("/api/v1/runs/{run}");
    let at_work = |run: &Value| run["steps"][0]["state"] == "running";
    serving.until(&place, at_work).await;
    project.open_the_gate();
    running.finish().await.expect(0);
    said(&project, &format!("run delete {run} --yes"))
        .await
        .expect(0);
}

#[tokio::test]
async fn a_file_is_not_removed_while_somebody_keeps_one_and_goes_with_the_next_pass() {
    let (project, ids) = run(1).await;
    let artifacts = Artifacts::new(project.data_dir().join("artifacts"));
    let keeping = artifacts.hold().unwrap().unwrap();
    said(&project, &format!("run delete {} --yes", ids[0]))
        .await
        .expect(0);
    assert!(is_kept(&project));
    // It names the same content.
    project.run(["run", "flow.yaml"]).await.expect(0);
    let second = id(&project.shown().await);
    drop(keeping);
    let _serving = Serving::on(&project).await;
    project
        .run(["artifact", "get", ONE, "copy"])
        .await
        .expect(0);
    said(&project, &format!("run delete {second} --yes"))
        .await
        .expect(0);
    wait_for("the file is gone", || (!is_kept(&project)).then_some(())).await;
}

#[tokio::test]
async fn a_death_at_any_commit_of_a_deletion_leaves_the_run_whole_or_to_be_taken_out() {
    for point in POINTS {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let (project, ids) = run(1).await;
            let before = books(&project).await;
            let command = ["run", "delete", &ids[0], "--yes"];
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            assert_eq!(books(&project).await, before, "{point} {passing}");
            let events = said(&project, "events list --type run.deleted --json").await;
            let is_decided = events.expect(0).json()["events"] != json!([]);
            assert!(is_decided || is_kept(&project), "{point} {passing}");
            // Once it is decided, whoever opens the engine next goes on with it.
            let again = project.run(command).await;
            assert_eq!(
                again.code,
                Some(if is_decided { 3 } else { 0 }),
                "{point} {passing}: {again:?}"
            );
            if is_kept(&project) {
                let _next = Serving::on(&project).await;
                wait_for("the file is gone", || (!is_kept(&project)).then_some(())).await;
            }
            let none = said(&project, "run list --json").await.expect(0).json();
            assert_eq!(none["runs"], json!([]), "{point} {passing}");
            let agents = said(&project, "agent list --all --json").await;
            assert_eq!(
                agents.expect(0).json()["agents"],
                json!([]),
                "{point} {passing}"
            );
            assert_eq!(books(&project).await, before, "{point} {passing}");
            said(&project, "verify").await.expect(0);
        }
        let least = if point.ends_with("commit") { 5 } else { 1 };
        assert!((least..LIMIT).contains(&deaths), "{point}: {deaths}");
    }
}
