//! The bus over Redis, on the real binary: what it joins, and what its loss costs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fusion_messaging::{Bus, Subscription};
use fusion_messaging_redis::{RedisBus, Settings};
use fusion_testkit::{Postgres, Redis, postgres_binaries, redis_binaries};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::{Finished, Project, gated_script, states};

/// Far more than a message takes.
const LIMIT: Duration = Duration::from_secs(60);

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

const QUICK: &str = "version: 1\nsteps:\n  first: [{ text: one }]\n  second: [{ text: two }]\n";

fn project(script: &str) -> Project {
    let mut project = Project::new();
    project.write("flow.yaml", WORKFLOW);
    project.write("script.yaml", script);
    let key = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    project
}

fn server() -> Redis {
    Redis::start(&redis_binaries().unwrap()).unwrap()
}

/// What `verify` says of the bus.
fn bus_check(verified: &Finished) -> Value {
    let report = verified.json();
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == "bus").unwrap().clone()
}

/// What this process hears of others.
async fn listen(server: &Redis, pattern: &str) -> (RedisBus, Subscription) {
    let address = server.url().parse().unwrap();
    let origin = Uuid::from_u128(1);
    let bus = RedisBus::open(address, Settings::default(), origin, &TaskTracker::new());
    assert_eq!(bus.fault().await, None);
    let reader = bus.subscribe(&pattern.parse().unwrap()).await;
    (bus, reader)
}

async fn next_subject(reader: &mut Subscription) -> String {
    let message = tokio::time::timeout(LIMIT, reader.recv()).await;
    message.unwrap().unwrap().subject.as_str().to_owned()
}

#[tokio::test]
async fn a_process_hears_the_run_of_another_that_shares_redis_and_postgresql() {
    let (redis, postgres) = (
        server(),
        Postgres::start(&postgres_binaries().unwrap()).unwrap(),
    );
    let mut project = project(&gated_script());
    project.set("REDIS_URL", redis.url());
    project.set("DATABASE_URL", postgres.url());
    let (bus, mut reader) = listen(&redis, "task.completed.*").await;
    let mut inboxes = bus.subscribe(&"agent.*.inbox".parse().unwrap()).await;
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let mut heard = vec![next_subject(&mut reader).await];
    // The other one is at work: it told while it runs, and what it told is committed.
    let shown = project.shown().await;
    assert_eq!(states(&shown)[0], ("first", "completed"));
    // What a third one sends is heard at once too.
    let sending = ["message", "send", "--to", "a", "hello", "--json"];
    let sent = project.run(sending).await.expect(0).json();
    let told = next_subject(&mut inboxes).await;
    assert!(sent.to_string().contains("hello"), "{sent}");
    assert!(
        told.starts_with("agent.") && told.ends_with(".inbox"),
        "{told}"
    );
    project.open_the_gate();
    heard.push(next_subject(&mut reader).await);
    let ended = running.finish().await.expect(0).json();
    let expected: Vec<String> = ended["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("task.completed.{}", step["id"].as_str().unwrap()))
        .collect();
    assert_eq!(heard.len(), expected.len());
    assert_eq!(redis.ask("KEYS *").unwrap(), "*0");
    assert_eq!(ended["outputs"], json!({ "text": "two" }));
}

#[tokio::test]
async fn name_spaces_keep_two_installations_apart() {
    let redis = server();
    let mut project = project(QUICK);
    project.set("REDIS_URL", redis.url());
    project.set("FUSION_REDIS_NAMESPACE", "team-a:");
    let (ours, mut reader) = listen(&redis, "*").await;
    project.run(["run", "flow.yaml"]).await.expect(0);
    let mark = "mark".parse().unwrap();
    ours.publish(&mark, [].into());
    assert_eq!(next_subject(&mut reader).await, "mark");
    project.set("FUSION_REDIS_NAMESPACE", "team a");
    let refused = project.run(["run", "flow.yaml"]).await.expect(2);
    refused.says(&["name space", "team a", "FUSION_REDIS_NAMESPACE"]);
}

#[tokio::test]
async fn verify_says_how_it_is_with_the_bus_and_the_way_out() {
    let mut redis = server();
    let mut project = project(QUICK);
    let alone = bus_check(&project.run(["verify", "--json"]).await.expect(0));
    assert_eq!(
        alone["note"],
        "within this process; REDIS_URL joins several"
    );

    project.set("REDIS_URL", redis.url());
    let joined = bus_check(&project.run(["verify", "--json"]).await.expect(0));
    let place = format!("Redis at 127.0.0.1:{}", redis.port());
    let note = joined["note"].as_str().unwrap();
    let millis = note.strip_prefix(&format!("{place} brought a message back in "));
    let millis = millis.and_then(|rest| rest.strip_suffix(" ms")).unwrap();
    assert!(millis.parse::<f64>().is_ok(), "{note}");

    project.set("REDIS_URL", redis.url().replace(redis.password(), "canary"));
    let refused = project.run(["verify", "--json"]).await.expect(1);
    assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    let refused = bus_check(&refused);
    let fault = refused["fault"].as_str().unwrap();
    assert!(
        fault.starts_with(&format!("{place} does not let in")),
        "{fault}"
    );
    assert_eq!(
        refused["help"],
        "check the user and the password in REDIS_URL"
    );

    project.set("REDIS_URL", redis.url());
    redis.kill().unwrap();
    let told = project.run(["verify"]).await.expect(1).stdout;
    assert!(
        told.contains(&format!("bus: {place} can't be reached")),
        "{told}"
    );
    assert!(
        told.contains("does the server that REDIS_URL names run"),
        "{told}"
    );
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_before_anything_is_made_and_not_repeated() {
    let mut project = project(QUICK);
    for url in ["http://me:canary@h", "canary", "redis://me:canary@a,b"] {
        project.set("REDIS_URL", url);
        let before = project.contents();
        for verbosity in ["-q", "-vvv"] {
            let refused = project.run(["run", "flow.yaml", verbosity]).await.expect(2);
            assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
            refused.says(&["no URL of a Redis server", "REDIS_URL"]);
        }
        assert_eq!(project.contents(), before);
    }
}

#[tokio::test]
async fn a_run_needs_no_redis_and_says_that_it_is_away() {
    let mut redis = server();
    let mut project = project(QUICK);
    project.set("REDIS_URL", redis.url());
    redis.kill().unwrap();
    let ended = project.run(["run", "flow.yaml", "--json"]).await.expect(0);
    assert_eq!(ended.json()["outputs"], json!({ "text": "two" }));
    let told = format!("Redis at 127.0.0.1:{} can't be reached", redis.port());
    ended.says(&[&told, "other processes hear of this run when they look"]);
}

#[tokio::test]
async fn a_run_goes_on_whatever_happens_to_redis_meanwhile() {
    let mut redis = server();
    let mut project = project(&gated_script());
    project.set("REDIS_URL", redis.url());
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let at_second = |run: &Value| states(run)[1] == ("second", "running");
    project.until("the second step to run", at_second).await;
    redis.kill().unwrap();
    redis.start_again().unwrap();
    redis.pause().unwrap();
    project.open_the_gate();
    let ended = running.finish().await.expect(0).json();
    assert_eq!(ended["outputs"], json!({ "text": "two" }));
}

/// A certificate for 127.0.0.1 that signs itself, and its key, where the server can read them.
fn certificate(folder: &Path) -> [String; 2] {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = [
        ("cert.pem", certified.cert.pem()),
        ("key.pem", certified.signing_key.serialize_pem()),
    ];
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    files.map(|(name, text)| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    })
}

#[tokio::test]
async fn a_server_behind_tls_is_used_when_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(folder.path());
    let lines = [
        "port 0".to_owned(),
        "tls-port {port}".to_owned(),
        "tls-auth-clients no".to_owned(),
        format!("tls-cert-file {certificate}"),
        format!("tls-key-file {key}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let redis = Redis::start_with(&redis_binaries().unwrap(), &lines).unwrap();
    let mut project = project(QUICK);
    project.set("REDIS_URL", redis.url().replace("redis://", "rediss://"));
    let unknown = bus_check(&project.run(["verify", "--json"]).await.expect(1));
    let fault = unknown["fault"].as_str().unwrap();
    assert!(fault.contains("can't be reached"), "{fault}");
    assert!(fault.to_lowercase().contains("certificate"), "{fault}");

    project.set("SSL_CERT_FILE", certificate);
    let trusted = bus_check(&project.run(["verify", "--json"]).await.expect(0));
    assert_eq!(trusted["fault"], Value::Null);
}
