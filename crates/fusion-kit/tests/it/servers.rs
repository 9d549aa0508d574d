//! The same product on PostgreSQL: each test has a server of its own.

use std::fs;

use fusion_testkit::{Postgres, postgres_binaries};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Finished, Project, examples, gated_script, states, step};

const EXAMPLE: &str = "plan-implement-review.yaml";

const WORKFLOW: &str = "
version: 1
name: flow
agents:
  a: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: a, prompt: x }
  - { id: second, agent: a, prompt: x, needs: [first] }
outputs: { text: \"${{ steps.second.outputs.text }}\" }
";

fn start_server() -> Postgres {
    Postgres::start(&postgres_binaries().unwrap()).unwrap()
}

fn settled(mut project: Project, url: &str) -> Project {
    let key = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    project.set("DATABASE_URL", url);
    project
}

/// A project that works with this database.
fn project(url: &str) -> Project {
    let project = settled(Project::new(), url);
    project.write("flow.yaml", WORKFLOW);
    project.write("script.yaml", gated_script());
    project
}

/// The example without its pauses.
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

/// A run as it is shown, without what is another one each time: ids, times and folders.
fn plain(value: &Value, folder: &str) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), plain(value, folder)))
            .collect(),
        Value::Array(values) => values.iter().map(|value| plain(value, folder)).collect(),
        Value::String(text) => json!(plain_text(text, folder)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn plain_text(text: &str, folder: &str) -> String {
    if chrono::DateTime::parse_from_rfc3339(text).is_ok() {
        return "TIME".to_owned();
    }
    let text = text.replace(folder, "FOLDER");
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .map(|word| match word.split_at_checked(36) {
            Some((id, rest)) if uuid::Uuid::parse_str(id).is_ok() => format!("ID{rest}"),
            Some(_) | None => word.to_owned(),
        })
        .collect()
}

#[test]
fn what_differs_each_time_is_taken_out_and_nothing_else() {
    let shown = json!({
        "at": "2026-11-23T16:21:19Z", "n": 7,
        "path": "/tmp/x/w/01a209d8-8b02-736d-a489-752702e725cf/projects", "note": "half-done",
    });
    assert_eq!(
        plain(&shown, "/tmp/x"),
        json!({ "at": "TIME", "n": 7, "path": "FOLDER/w/ID/projects", "note": "half-done" })
    );
}

#[tokio::test]
async fn the_example_is_the_same_on_both_databases() {
    let server = start_server();
    let mut shown = Vec::new();
    for project in [example(), settled(example(), &server.url())] {
        project.run(["run", EXAMPLE, "--quiet"]).await.expect(0);
        let folder = project.path().to_str().unwrap().to_owned();
        shown.push(plain(&project.shown().await, &folder));
    }
    assert_eq!(shown[0]["state"], "completed");
    assert_eq!(shown[0], shown[1]);
}

#[tokio::test]
async fn a_killed_run_goes_on_once_its_leases_have_run_out() {
    let server = start_server();
    let project = project(&server.url());
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    project
        .until("the command", |run| {
            step(run, "second")["activity"] != Value::Null
                && step(run, "second")["state"] == "running"
        })
        .await;
    running.signal(Signal::KILL);
    running.finish().await;
    // Nobody can know yet that its process is dead.
    let shown = project.shown().await;
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["interrupted"], false);

    project.open_the_gate();
    let resumed = project.run(["resume"]).await.expect(0);
    assert!(resumed.stdout.contains("text: two"), "{resumed:?}");
    let resumed = resumed.says(&["moments ago: waiting up to 12 s"]);
    assert!(!resumed.stderr.contains("error"), "{resumed:?}");
    let shown = project.shown().await;
    assert_eq!(
        states(&shown),
        [("first", "completed"), ("second", "completed")]
    );
    assert_eq!(step(&shown, "first")["attempts"], 1);
}

#[tokio::test]
async fn a_run_that_nobody_works_on_any_more_is_shown_as_interrupted() {
    let server = start_server();
    let project = project(&server.url());
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    project
        .until("the command", |run| {
            step(run, "second")["state"] == "running"
        })
        .await;
    running.signal(Signal::KILL);
    running.finish().await;
    let shown = project
        .until("the end of the lease", |run| run["interrupted"] == true)
        .await;
    assert_eq!(shown["state"], "running");
}

#[tokio::test]
async fn processes_with_data_directories_of_their_own_share_a_server() {
    let server = start_server();
    let projects = [project(&server.url()), project(&server.url())];
    let mut running = Vec::new();
    for project in &projects {
        running.push(project.fusion_kit(["run", "flow.yaml", "--quiet"]).start());
    }
    let [one, two] = &projects;
    let at_work = |run: &Value| {
        (&run["state"], &run["steps_completed"], &run["interrupted"])
            == (&json!("running"), &json!(1), &json!(false))
    };
    let mut tries = 0;
    loop {
        let listed = one.run(["run", "list", "--json"]).await.expect(0).json();
        let runs = listed["runs"].as_array().unwrap();
        if runs.len() == 2 && runs.iter().all(at_work) {
            break;
        }
        tries += 1;
        assert!(tries < 500, "they are not at work together: {listed:#}");
    }
    two.run(["verify"]).await.expect(0);
    // A third one finds nothing that was left, and takes nothing away from the living.
    let third = project(&server.url());
    let refused = third.run(["resume"]).await.expect(5);
    refused.says(&["another process works on run"]);
    for (project, running) in projects.iter().zip(running) {
        project.open_the_gate();
        let ended = running.finish().await.expect(0);
        assert!(ended.stdout.contains("text: two"), "{ended:?}");
    }
    let listed = one.run(["run", "list", "--json"]).await.expect(0).json();
    let runs = listed["runs"].as_array().unwrap().iter();
    let ended: Vec<(&Value, &Value)> = runs
        .map(|run| (&run["state"], &run["steps_completed"]))
        .collect();
    assert_eq!(ended, [(&json!("completed"), &json!(2)); 2]);
}

#[tokio::test]
async fn a_backup_moves_runs_from_one_database_to_the_other_and_back() {
    let server = start_server();
    let on_file = example();
    on_file.run(["run", EXAMPLE, "--quiet"]).await.expect(0);
    let shown = on_file.shown().await;
    on_file.run(["db", "backup", "runs.db"]).await.expect(0);
    let backup = on_file.path().join("runs.db").display().to_string();

    let on_server = settled(Project::new(), &server.url());
    on_server.run(["db", "restore", &backup]).await.expect(0);
    let mut moved = on_server.shown().await;
    moved["data_dir"] = shown["data_dir"].clone();
    assert_eq!(moved, shown);
    on_server.run(["verify"]).await.expect(0);
    on_server.run(["db", "backup", "back.db"]).await.expect(0);

    let back = on_server.path().join("back.db").display().to_string();
    let restore = ["db", "restore", back.as_str(), "--replace"];
    on_file.run(restore).await.expect(0);
    assert_eq!(on_file.shown().await, shown);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_with_when_to_try_again() {
    let mut server = start_server();
    let project = project(&server.url());
    project.run(["db", "migrate"]).await.expect(0);
    server.stop_immediate().unwrap();
    for command in [
        &["db", "status"][..],
        &["db", "migrate"],
        &["run", "list"],
        &["run", "flow.yaml"],
    ] {
        let refused = project.run(command.iter().chain(&["--json"])).await;
        let problem = problem(&refused.expect(10));
        assert_eq!(
            (&problem["kind"], &problem["retry_after_ms"]),
            (&json!("unavailable"), &json!(1000)),
            "{problem}"
        );
        assert!(problem["help"].as_str().unwrap().contains("DATABASE_URL"));
    }
    let report = project.run(["verify", "--json"]).await.expect(1).json();
    assert_eq!(report["checks"][0]["name"], "database");
    server.start_again().unwrap();
    project.run(["verify"]).await.expect(0);
}

fn problem(refused: &Finished) -> Value {
    serde_json::from_str(&refused.stderr).unwrap_or_else(|error| panic!("{error}: {refused:?}"))
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told_as_such() {
    let server = start_server();
    let url = server.url();
    let (before, host) = url.rsplit_once('@').unwrap();
    let (user, _) = before.rsplit_once(':').unwrap();
    let (place, _) = url.rsplit_once('/').unwrap();
    let missing = format!("{place}/nosuch");
    for (url, told) in [
        (
            format!("{user}:wrong@{host}"),
            "password authentication failed",
        ),
        (missing, "database \"nosuch\" does not exist"),
    ] {
        let project = project(&url);
        let refused = project.run(["db", "status"]).await.expect(1);
        refused.says(&[told, "help: check the user, the password and the database"]);
        let report = project.run(["verify"]).await.expect(1).stdout;
        assert!(report.contains(told), "{report}");
    }
}
