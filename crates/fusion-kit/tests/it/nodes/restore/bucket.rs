//! The same with snapshots in a bucket of S3 instead of a folder.

use std::fs;

use fusion_testkit::S3Server;
use serde_json::{Value, json};

use super::{CHECKED, Machines, WRITES, names, read};
use crate::support::{Finished, Project, wait_for};

const BUCKET: &str = "fusion";

/// Settings that name a bucket of a server, and open it.
fn settings(server: &S3Server) -> [(&'static str, String); 5] {
    [
        ("FUSION_SHARED_DIR", format!("s3://{BUCKET}/team/one")),
        ("AWS_ENDPOINT_URL", server.at()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", S3Server::KEY_ID.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", S3Server::KEY.to_owned()),
    ]
}

fn start() -> S3Server {
    S3Server::start(&[BUCKET]).unwrap()
}

/// The objects of the bucket; some may be going.
fn objects(server: &S3Server) -> Vec<String> {
    let bucket = server.bucket(BUCKET);
    let mut folders = vec![bucket.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&bucket).unwrap();
                found.push(name.display().to_string());
            }
        }
    }
    found
}

fn in_bucket(machines: &mut Machines, server: &S3Server) {
    for (name, value) in settings(server) {
        machines.cluster.set(name, &value);
    }
}

/// A command that writes what its environment is, then tools that write.
fn tells_its_environment(machines: &Machines, delay: &str) -> String {
    let ledger = machines.folder("ledger").display().to_string();
    let command = json!(format!(
        "echo begin ${{PWD##*/}} s0 >> {ledger}; env > projects/environment"
    ));
    format!(
        "  s0:\n    - tool_calls: [{{ name: run_command, arguments: {{ command: {command} }} }}]{WRITES}delay: {delay}\n"
    )
}

#[tokio::test]
async fn a_workspace_of_a_dead_node_is_restored_from_a_bucket_and_nothing_is_repeated() {
    let server = start();
    let mut machines = Machines::start().await;
    in_bucket(&mut machines, &server);
    let one = machines.node("one").await;
    let answers = tells_its_environment(&machines, "2s");
    let run = machines.begin(&one, CHECKED, &answers).await;
    machines.until_turn(&one, &run, 4).await;
    machines.lose(one).await;
    let there = objects(&server);
    assert!(!there.is_empty());
    for object in there {
        assert!(object.starts_with("team/one/snapshots/"), "{object}");
    }
    let two = machines.node("two").await;
    let ended = machines.ended(&two, &run).await;
    assert_eq!(ended["state"], "completed", "{ended:#}");
    let ledger = machines.cluster.ledger();
    assert_eq!((ledger.beginnings(), ledger.repeated()), (1, vec![]));
    let tools = ["run_command", "write_file", "edit_file", "write_file"];
    assert_eq!(names(&ended), tools, "none was done twice");
    assert_eq!(
        ["a", "b"].map(|name| read(&ended, name)),
        ["second", "last"]
    );
    assert_eq!(machines.told().await, ["restored"]);
    let environment = read(&ended, "environment");
    assert!(
        environment.contains("PATH=") && !environment.contains("AWS_"),
        "{environment}"
    );
    wait_for("the snapshots to go with the run", || {
        objects(&server).is_empty().then_some(())
    })
    .await;
    for node in ["one", "two"] {
        let log = fs::read_to_string(machines.cluster.log_file(node)).unwrap();
        assert!(!log.contains(S3Server::KEY), "{log}");
    }
}

#[tokio::test]
async fn a_bucket_that_goes_away_does_not_stop_a_run() {
    let server = start();
    let mut machines = Machines::start().await;
    in_bucket(&mut machines, &server);
    let one = machines.node("one").await;
    let answers = tells_its_environment(&machines, "1s");
    let run = machines.begin(&one, CHECKED, &answers).await;
    machines.until_turn(&one, &run, 4).await;
    drop(server);
    let ended = machines.ended(&one, &run).await;
    assert_eq!(ended["state"], "completed", "{ended:#}");
    assert_eq!(
        ["a", "b"].map(|name| read(&ended, name)),
        ["second", "last"]
    );
    let log = fs::read_to_string(machines.cluster.log_file("one")).unwrap();
    assert!(log.contains("no snapshot of a workspace is kept"), "{log}");
    assert!(log.contains("Connection refused"), "{log}");
    assert!(!log.contains(S3Server::KEY), "{log}");
}

#[tokio::test]
async fn a_node_that_may_not_use_the_bucket_does_not_start() {
    let server = start();
    let mut machines = Machines::start().await;
    in_bucket(&mut machines, &server);
    machines
        .cluster
        .set("AWS_SECRET_ACCESS_KEY", "canary-of-somebody-else");
    let refused = machines
        .cluster
        .project()
        .run(["serve", "--data-dir", "one"])
        .await;
    let refused = unshown(refused.expect(4));
    refused.says(&[
        "can't use the shared place s3://fusion/team/one: the storage refuses the key (SignatureDoesNotMatch)",
        "AWS_SECRET_ACCESS_KEY",
    ]);
    assert!(!machines.folder("workspaces").exists());
    assert_eq!(objects(&server), Vec::<String>::new());
}

fn unshown(said: Finished) -> Finished {
    let all = format!("{said:?}");
    for secret in ["canary", S3Server::KEY, S3Server::KEY_ID] {
        assert!(!all.contains(secret), "{all}");
    }
    said
}

/// What `verify` says of the place for snapshots.
async fn checked(project: &Project, code: i32) -> Value {
    let report = unshown(project.run(["verify", "--json"]).await.expect(code)).json();
    let checks = report["checks"].as_array().unwrap();
    let mut found = checks
        .iter()
        .filter(|check| check["name"] == "snapshots for other nodes");
    found.next().cloned().unwrap_or_default()
}

#[tokio::test]
async fn verify_writes_reads_and_removes_where_snapshots_go() {
    let server = start();
    let mut project = Project::new();
    project.set("FUSION_MASTER_KEY_FILE", "master.key");
    project.run(["db", "migrate"]).await.expect(0);
    assert_eq!(checked(&project, 0).await, Value::Null);
    project.set("FUSION_SHARED_DIR", "shared");
    let folder = project.path().join("shared/snapshots");
    let note = |place: &str| {
        json!(format!(
            "written, read and removed in {place}; of no use without PostgreSQL"
        ))
    };
    let found = checked(&project, 0).await;
    assert_eq!(found["note"], note(folder.to_str().unwrap()));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    for (name, value) in settings(&server) {
        project.set(name, value);
    }
    assert_eq!(
        checked(&project, 0).await["note"],
        note("s3://fusion/team/one")
    );
    assert_eq!(objects(&server), Vec::<String>::new());
}

#[tokio::test]
async fn verify_says_what_is_wrong_with_a_bucket_and_the_way_out() {
    let server = start();
    let mut project = Project::new();
    project.set("FUSION_MASTER_KEY_FILE", "master.key");
    project.run(["db", "migrate"]).await.expect(0);
    // It counts in the environment only.
    project.write(".env", "FUSION_SHARED_PLAIN_HTTP=allow\n");
    for (name, value) in settings(&server) {
        project.set(name, value);
    }
    let right = |name: &str| {
        let mut settings = settings(&server).into_iter();
        settings.find(|(known, _)| *known == name).unwrap().1
    };
    let mut cases = vec![
        (
            ("FUSION_SHARED_DIR", "gs://fusion"),
            "neither a folder nor s3://BUCKET/PREFIX",
            "AWS_ENDPOINT_URL",
        ),
        (
            ("FUSION_SHARED_DIR", "s3://another"),
            "there is no bucket another",
            "make the bucket",
        ),
        (
            ("AWS_ACCESS_KEY_ID", ""),
            "AWS_ACCESS_KEY_ID is not set",
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            "the storage refuses the key",
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            ("AWS_ENDPOINT_URL", "http://s3.example.com"),
            "use https://",
            "FUSION_SHARED_PLAIN_HTTP=allow",
        ),
    ];
    let gone = "http://127.0.0.1:9";
    cases.push((
        ("AWS_ENDPOINT_URL", gone),
        "Connection refused",
        "does the service that AWS_ENDPOINT_URL names run",
    ));
    for ((name, wrong), fault, help) in cases {
        project.set(name, wrong);
        let found = checked(&project, 1).await;
        let says = |field: &str, text: &str| found[field].as_str().unwrap().contains(text);
        assert!(says("fault", fault) && says("help", help), "{found:#}");
        project.set(name, right(name));
    }
    assert_eq!(checked(&project, 0).await["fault"], Value::Null);
}
