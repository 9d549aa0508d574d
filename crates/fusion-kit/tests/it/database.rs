//! `db` and `verify` on the real binary, on a file: what they do, and what they refuse.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Project, step};

const WORKFLOW: &str = "
version: 1
name: flow
agents: { a: { provider: scripted, model: script.yaml } }
steps: [{ id: work, agent: a, prompt: x }]
outputs: { text: \"${{ steps.work.outputs.text }}\" }
";

const SCRIPT: &str = "version: 1\nsteps: { work: [{ text: done }] }\n";

const SLOW: &str = "version: 1\ndelay: 60s\nsteps: { work: [{ text: done }] }\n";

/// A project whose master key is in its own folder.
fn project(script: &str) -> Project {
    let mut project = Project::with(WORKFLOW, script);
    let key = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    project
}

/// What `--json` says of all runs.
async fn runs(project: &Project) -> Value {
    project
        .run(["run", "list", "--json"])
        .await
        .expect(0)
        .json()
}

/// The checks of `verify` that are not right: their names, with what is wrong.
fn faults(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| !check["fault"].is_null())
        .map(|check| {
            assert!(!check["help"].is_null(), "no way out: {check}");
            let text = |key: &str| check[key].as_str().unwrap().to_owned();
            (text("name"), text("fault"))
        })
        .collect()
}

#[tokio::test]
async fn looking_at_no_database_says_so_and_makes_none() {
    let project = project(SCRIPT);
    let before = project.contents();
    let place = project.data_dir().join("fusion.db");
    let status = project.run(["db", "status", "--json"]).await.expect(0);
    assert_eq!(
        status.json(),
        json!({ "place": place.to_str().unwrap(), "database": null })
    );
    let status = project.run(["db", "status"]).await.expect(0);
    assert!(status.stdout.starts_with("there is no database yet: "));
    let verified = project.run(["verify"]).await.expect(0);
    assert!(verified.stdout.contains("✓ database: none yet"));
    assert!(verified.stdout.contains("✓ master key: none yet"));
    for refused in [&["db", "backup", "b.db"][..], &["db", "rekey"]] {
        let refused = project.run(refused).await.expect(3);
        refused.says(&["there is no database", "fusion-kit db migrate"]);
    }
    assert_eq!(project.contents(), before);
}

#[tokio::test]
async fn migrate_makes_the_database_and_the_second_time_does_nothing() {
    let project = project(SCRIPT);
    let migrate = ["db", "migrate", "--json"];
    let made = project.run(migrate).await.expect(0).json();
    assert_eq!(made["applied_now"], made["schema"]["applied"]);
    assert_ne!(made["applied_now"], json!([]));
    let again = project.run(migrate).await.expect(0).json();
    assert_eq!(again["applied_now"], json!([]));
    assert_eq!(again["schema"], made["schema"]);
    project.run(["run", "flow.yaml"]).await.expect(0);
    let status = project.run(["db", "status", "--json"]).await.expect(0);
    let database = &status.json()["database"];
    assert_eq!(database["kind"], "SQLite");
    assert_eq!(database["rows"]["runs"], 1);
    assert_eq!(database["last_event"], database["rows"]["events"]);
    let verified = project.run(["verify", "--json"]).await.expect(0).json();
    assert_eq!((&verified["ok"], faults(&verified)), (&json!(true), vec![]));
}

#[tokio::test]
async fn a_backup_brings_back_the_same_runs() {
    let project = project(SCRIPT);
    project.run(["run", "flow.yaml"]).await.expect(0);
    let (listed, shown) = (runs(&project).await, project.shown().await);
    let written = project.run(["db", "backup", "b.db", "--json"]).await;
    let written = written.expect(0).json();
    let mode = fs::metadata(project.path().join("b.db")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    project
        .run(["db", "backup", "b.db"])
        .await
        .expect(2)
        .says(&["nothing is overwritten"]);

    project.run(["run", "flow.yaml"]).await.expect(0);
    let restore = ["db", "restore", "b.db", "--json"];
    let refused = project.run(restore).await.expect(2);
    refused.says(&["holds data", "fusion-kit db restore b.db --replace"]);
    assert_eq!(runs(&project).await["runs"].as_array().unwrap().len(), 2);
    let restored = project
        .run(restore.into_iter().chain(["--replace"]))
        .await
        .expect(0)
        .json();
    assert_eq!(restored["rows"], written["rows"]);
    assert_eq!(
        (runs(&project).await, project.shown().await),
        (listed, shown)
    );
    project.run(["verify"]).await.expect(0);
}

#[tokio::test]
async fn a_file_that_is_no_backup_changes_nothing() {
    let project = project(SCRIPT);
    project.run(["run", "flow.yaml"]).await.expect(0);
    let listed = runs(&project).await;
    let restore = |file: &'static str| ["db", "restore", file, "--replace"];
    let missing = project.run(restore("none.db")).await.expect(3);
    missing.says(&["there is no backup none.db"]);
    let other = project.run(restore("flow.yaml")).await.expect(2);
    other.says(&["flow.yaml"]);
    assert_eq!(runs(&project).await, listed);
}

#[tokio::test]
async fn beside_a_run_one_may_look_and_copy_and_not_change() {
    let project = project(SLOW);
    project.run(["db", "migrate"]).await.expect(0);
    project.run(["db", "backup", "empty.db"]).await.expect(0);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the model call", |run| {
            step(run, "work")["activity"] == "turn 1"
        })
        .await;
    let reason = format!("another fusion-kit (pid {}) works", running.pid());
    for change in [
        &["db", "migrate"][..],
        &["db", "restore", "empty.db", "--replace"],
        &["db", "rekey"],
    ] {
        let refused = project.run(change).await.expect(5);
        refused.says(&[&reason, "help: wait until it is done, stop it"]);
    }
    for look in [
        &["db", "status"][..],
        &["db", "backup", "live.db"],
        &["verify"],
    ] {
        project.run(look).await.expect(0);
    }
    running.stop(Signal::INT).await.expect(130);
    let restore = ["db", "restore", "live.db", "--data-dir", "other"];
    project.run(restore).await.expect(0);
    let elsewhere = ["run", "show", "--json", "--data-dir", "other"];
    let shown = project.run(elsewhere).await.expect(0).json();
    assert_eq!(shown["id"], project.shown().await["id"]);
}

#[tokio::test]
async fn a_file_that_another_data_directory_works_with_is_refused() {
    let project = project(SLOW);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the model call", |run| {
            step(run, "work")["activity"] == "turn 1"
        })
        .await;
    let url = format!("sqlite:{}", project.data_dir().join("fusion.db").display());
    for command in [&["run", "flow.yaml"][..], &["db", "migrate"], &["resume"]] {
        let refused = project
            .fusion_kit(command.iter().chain(&["--data-dir", "other"]))
            .env("DATABASE_URL", &url)
            .finish()
            .await;
        assert_ne!(refused.code, Some(0));
        refused.says(&["another process works with the database"]);
    }
    assert!(!project.path().join("other").exists());
    running.stop(Signal::INT).await.expect(130);
}

#[tokio::test]
async fn the_database_lies_where_its_url_says() {
    let mut project = project(SCRIPT);
    project.set("DATABASE_URL", "sqlite:elsewhere.db");
    project.run(["db", "migrate"]).await.expect(0);
    assert!(project.path().join("elsewhere.db").exists());
    assert!(!project.data_dir().exists(), "made in vain");
    project.run(["run", "flow.yaml"]).await.expect(0);
    assert!(!project.data_dir().join("fusion.db").exists());
    assert_eq!(runs(&project).await["runs"].as_array().unwrap().len(), 1);
    project.set("DATABASE_URL", "mysql://me:secret@h/d");
    for command in [&["db", "status"][..], &["verify"], &["run", "flow.yaml"]] {
        let refused = project.run(command).await.expect(2);
        refused.says(&["not one of sqlite:PATH and postgres://"]);
    }
}

#[tokio::test]
async fn verify_finds_what_is_wrong_with_the_file_and_says_the_way_out() {
    let project = project(SCRIPT);
    project.run(["run", "flow.yaml"]).await.expect(0);
    let file = project.data_dir().join("fusion.db");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let report = project.run(["verify", "--json"]).await.expect(1).json();
    assert_eq!(report["ok"], false);
    let found: Vec<String> = faults(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, ["file mode"]);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();

    let mut damaged = OpenOptions::new().write(true).open(&file).unwrap();
    damaged.seek(SeekFrom::Start(4096)).unwrap();
    damaged.write_all(&[0xff; 8192]).unwrap();
    let told = project.run(["verify"]).await.expect(1).stdout;
    assert!(told.contains("✗ pages"), "{told}");
    assert!(told.contains("help: "), "{told}");
}
