//! A server begins, is found, and ends.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use super::client::Serving;
use crate::support::{Project, gated_script};

const TWO_STEPS: &str = "
version: 1
name: two
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell] }
steps:
  - { id: first, agent: worker, prompt: one }
  - { id: second, agent: worker, needs: [first], prompt: two }
";

#[tokio::test]
async fn the_token_and_the_announcement_are_for_the_user_alone_and_the_token_stays() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let modes = ["token", "server.json"].map(|name| {
        let found = fs::metadata(project.data_dir().join(name)).unwrap();
        found.mode() & 0o777
    });
    assert_eq!(modes, [0o600, 0o600]);
    let (first, port) = (serving.token.clone(), serving.address.port());
    serving.stop(Signal::TERM).await.expect(0);
    assert!(!project.data_dir().join("server.json").exists());
    let serving = Serving::with(&project, &["--port", &port.to_string()]).await;
    assert_eq!(serving.token, first);
    serving.get("/api/v1/runs").await.expect(200);
}

#[tokio::test]
async fn a_token_that_others_can_read_is_refused() {
    let project = Project::new();
    Serving::on(&project)
        .await
        .stop(Signal::TERM)
        .await
        .expect(0);
    let file = project.data_dir().join("token");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let refused = project.run(["serve", "--port", "0"]).await.expect(4);
    refused.says(&["others can read it", "rm "]);
}

#[tokio::test]
async fn who_waits_for_a_server_is_told_when_it_is_well_or_that_there_is_none() {
    let project = Project::new();
    let none = project.run(["health", "--wait", "1s"]).await.expect(3);
    none.says(&["no server owns the data directory"]);
    let waiting = project
        .fusion_kit(["health", "--wait", "60s", "--json"])
        .start();
    let _serving = Serving::on(&project).await;
    let told = waiting.finish().await.expect(0).json();
    assert_eq!(told["status"], "healthy");
}

#[tokio::test]
async fn what_can_not_be_served_leaves_nothing_behind() {
    let project = Project::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = project.run(["serve", "--port", &port]).await.expect(10);
    refused.says(&["can't listen at 127.0.0.1", "--port"]);
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let refused = project
            .run(["serve", "--port", "0", "--host", host])
            .await
            .expect(2);
        refused.says(&["unencrypted", "--allow-plain-http"]);
    }
    let refused = project
        .run(["serve", "--host", "everywhere"])
        .await
        .expect(2);
    refused.says(&["no address"]);
    assert_eq!(project.contents(), [].into());
}

#[tokio::test]
async fn one_server_owns_a_data_directory() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let second = project.run(["serve", "--port", "0"]).await.expect(5);
    second.says(&["another fusion-kit", &serving.pid().to_string()]);
    serving.stop(Signal::INT).await.expect(0);
    // What a killed server left behind is in nobody's way.
    Serving::on(&project).await.stop(Signal::KILL).await;
    assert!(project.data_dir().join("server.json").exists());
    Serving::on(&project)
        .await
        .stop(Signal::TERM)
        .await
        .expect(0);
}

#[tokio::test]
async fn a_run_goes_on_at_the_next_start_where_it_was_left() {
    let mut project = Project::with(TWO_STEPS, &gated_script());
    project.set("FUSION_DRAIN_SECONDS", "0");
    for signal in [Signal::TERM, Signal::KILL] {
        let serving = Serving::on(&project).await;
        let run = super::runs::start(&serving, &project, "flow.yaml").await;
        let path = format!("/api/v1/runs/{run}");
        serving
            .until(&path, |run| run["steps"][1]["activity"] == "run_command")
            .await;
        serving.stop(signal).await;
        let serving = Serving::on(&project).await;
        let ended = serving
            .until(&path, |run| run["state"] == "completed")
            .await;
        assert_eq!(
            json!([ended["steps"][0]["attempts"], ended["steps"][1]["attempts"]]),
            json!([1, 2]),
            "what was finished is not done again"
        );
        serving.stop(Signal::TERM).await.expect(0);
    }
}

#[tokio::test]
async fn who_listens_and_who_waits_is_told_of_the_end_and_nobody_holds_it_up() {
    let mut project = Project::with(TWO_STEPS, &gated_script());
    project.set("FUSION_DRAIN_SECONDS", "0");
    let serving = Serving::on(&project).await;
    let run = super::runs::start(&serving, &project, "flow.yaml").await;
    let path = format!("/api/v1/runs/{run}");
    let mut socket = serving.socket("?after=0").await;
    let waiting = serving.request("GET", &format!("{path}?wait=30"));
    let stream = serving.request("GET", "/api/v1/events/stream");
    let ending = async {
        serving
            .until(&path, |run| run["steps"][1]["state"] == "running")
            .await;
        let began = Instant::now();
        serving.stop(Signal::TERM).await.expect(0);
        began.elapsed()
    };
    let (waited, streamed, took) = tokio::join!(waiting.send(), stream.send(), ending);
    assert!(took.as_secs() < 20, "{took:?}");
    assert_eq!(waited.expect(200).json()["state"], "running");
    assert!(streamed.body.contains("\"type\":\"shutdown\""));
    let mut last = json!(null);
    while let Some(frame) = socket.frame().await {
        last = frame;
    }
    assert_eq!(last["type"], "shutdown");
}
