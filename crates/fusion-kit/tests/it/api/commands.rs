//! Commands beside a server and through one.

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::Serving;
use crate::support::{Finished, Project, gated_script};

const GATED: &str = "
version: 1
name: gated
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell, messages] }
steps:
  - { id: first, agent: worker, prompt: one }
  - { id: second, agent: worker, needs: [first], prompt: two }
";

/// A command that asks the server by its URL from another folder.
async fn asking(serving: &Serving, from: &Project, arguments: &[&str]) -> Finished {
    let url = format!("http://{}", serving.address);
    let all = arguments.iter().copied().chain(["--server", url.as_str()]);
    let command = from.fusion_kit(all).env("FUSION_TOKEN", &serving.token);
    command.finish().await
}

/// What a run came to, without what differs from one run to another.
fn came_to(run: &Value) -> Value {
    let steps = run["steps"].as_array().unwrap().iter();
    let steps: Vec<Value> = steps
        .map(|step| json!([step["id"], step["state"], step["outputs"], step["usage"]]))
        .collect();
    json!([
        run["state"],
        run["workflow"],
        run["inputs"],
        run["outputs"],
        steps
    ])
}

#[tokio::test]
async fn a_run_comes_to_the_same_with_a_server_and_without() {
    let project = Project::of_examples();
    let line = ["run", "hello.yaml", "-i", "name=Ada", "--json"];
    let without = project.run(line).await.expect(0).json();
    let serving = Serving::on(&project).await;
    let with = project.run(line).await.expect(0).json();
    assert_eq!(came_to(&with), came_to(&without));
    let runs = serving.get("/api/v1/runs").await.expect(200).json();
    assert_eq!(
        json!([runs["total"], runs["runs"][0]["id"]]),
        json!([2, with["id"]])
    );
    let refused = project
        .run(["run", "hello.yaml", "-i", "nmae=Ada"])
        .await
        .expect(2);
    refused.says(&["no input 'nmae'", "did you mean 'name'?"]);
    assert_eq!(serving.get("/api/v1/runs").await.json()["total"], 2);
}

#[tokio::test]
async fn a_command_that_is_stopped_leaves_its_run_to_the_server() {
    let project = Project::with(GATED, &gated_script());
    let serving = Serving::on(&project).await;
    let watching = project.fusion_kit(["run", "flow.yaml"]).start();
    let started = |runs: &Value| runs["runs"][0]["state"] == "running";
    let runs = serving.until("/api/v1/runs", started).await;
    let path = format!("/api/v1/runs/{}", runs["runs"][0]["id"].as_str().unwrap());
    serving
        .until(&path, |run| run["steps"][1]["activity"] == "run_command")
        .await;
    let left = watching.stop(Signal::INT).await.expect(130);
    left.says(&["the server works on", "run show"]);
    project.open_the_gate();
    let ended = serving
        .until(&path, |run| run["state"] == "completed")
        .await;
    assert_eq!(ended["steps"][1]["attempts"], 1);
}

#[tokio::test]
async fn messages_and_providers_go_through_the_server_that_owns_the_directory() {
    let mut project = Project::with(GATED, &gated_script());
    let key_file = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key_file);
    project.set("MINE_KEY", "canary-4711");
    let serving = Serving::on(&project).await;
    let run = super::runs::start(&serving, &project, "flow.yaml").await;
    serving
        .until(&format!("/api/v1/runs/{run}"), |run| {
            run["steps"][1]["state"] == "running"
        })
        .await;
    let send = ["message", "send", "--to", "worker", "hello", "--json"];
    let sent = project.run(send).await.expect(0).json();
    assert_eq!(json!([sent["payload"], sent["run"]]), json!(["hello", run]));
    let listed = project
        .run(["message", "list", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(listed["messages"][0]["id"], sent["id"]);
    let add = [
        "provider",
        "add",
        "mine",
        "--type",
        "openai-compatible",
        "--base-url",
        "http://127.0.0.1:9/v1",
        "--key-env",
        "MINE_KEY",
        "--json",
    ];
    let added = project.run(add).await.expect(0).json();
    project.run(add).await.expect(5).says(&["mine"]);
    let shown = project
        .run(["provider", "show", "mine", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(added["provider"], shown, "the same as it is stored");
    let off = project
        .run(["provider", "disable", "mine", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(off["enabled"], false);
    project.run(["provider", "remove", "mine"]).await.expect(0);
    project
        .run(["provider", "remove", "mine"])
        .await
        .expect(3)
        .says(&["no provider 'mine'"]);
    // What can't go through it says so, as without one.
    project
        .run(["db", "migrate"])
        .await
        .expect(5)
        .says(&["another fusion-kit"]);
}

#[tokio::test]
async fn a_server_that_is_named_is_asked_from_anywhere() {
    let project = Project::of_examples();
    let serving = Serving::on(&project).await;
    let run = super::runs::start(&serving, &project, "talk.yaml").await;
    serving
        .until(&format!("/api/v1/runs/{run}"), |run| {
            run["state"] == "completed"
        })
        .await;
    let elsewhere = Project::new();
    for line in [
        &["run", "list", "--json"][..],
        &["run", "show", "--json"],
        &["run", "show", run.rsplit_once('-').unwrap().0, "--json"],
        &["message", "list", "--json"],
        &["message", "list", "--status", "delivered", "--json"],
        &["run", "list"],
        &["message", "list"],
    ] {
        let here = project.run(line).await.expect(0);
        let there = asking(&serving, &elsewhere, line).await.expect(0);
        assert_eq!(there.stdout, here.stdout, "{line:?}");
    }
    let messages = project.run(["message", "list", "--json"]).await.json();
    let id = messages["messages"][0]["id"].as_str().unwrap();
    let line = ["message", "show", id, "--json"];
    let (here, there) = (
        project.run(line).await,
        asking(&serving, &elsewhere, &line).await,
    );
    assert_eq!(there.expect(0).stdout, here.stdout);
    let refused = asking(&serving, &elsewhere, &["db", "status"])
        .await
        .expect(2);
    refused.says(&["can't go through a server yet", "--server"]);
    let nobody = asking(&serving, &elsewhere, &["run", "show", "ffff"])
        .await
        .expect(3);
    nobody.says(&["begins with 'ffff'"]);
    assert_eq!(elsewhere.contents(), [].into());
}

#[tokio::test]
async fn a_server_that_can_not_be_asked_is_told_with_the_way_out() {
    let project = Project::new();
    let list = |url: &str, token: &str| {
        let command = project.fusion_kit(["run", "list", "--server", url]);
        command.env("FUSION_TOKEN", token).finish()
    };
    let silent = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = list(&format!("http://{silent}"), "x").await.expect(10);
    nobody.says(&["does not answer", "fusion-kit serve"]);
    list("http://127.0.0.1:9", "")
        .await
        .expect(4)
        .says(&["no token", "FUSION_TOKEN"]);
    list("http://192.0.2.1:8000", "x")
        .await
        .expect(2)
        .says(&["unencrypted"]);
    let serving = Serving::on(&project).await;
    let refused = list(&format!("http://{}", serving.address), "fk_wrong")
        .await
        .expect(4);
    refused.says(&["unknown"]);
}

#[tokio::test]
async fn the_token_is_not_sent_to_who_took_the_port_of_a_dead_server() {
    let project = Project::of_examples();
    let serving = Serving::on(&project).await;
    let address = serving.address;
    serving.stop(Signal::KILL).await;
    let thief = TcpListener::bind(address).await.unwrap();
    // The queue of the listener keeps who came while the command ran: the next in it is this one.
    project.run(["run", "hello.yaml"]).await.expect(0);
    let mut own = TcpStream::connect(address).await.unwrap();
    own.write_all(b"own").await.unwrap();
    drop(own);
    let (mut first, _) = thief.accept().await.unwrap();
    let mut heard = String::new();
    first.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "own", "a stranger was asked");
}

#[tokio::test]
async fn verify_asks_the_server_and_says_the_way_out() {
    let project = Project::new();
    let server = |report: &Value| {
        let checks = report["checks"].as_array().unwrap().iter();
        let mut checks = checks.filter(|check| check["name"] == "server");
        checks.next().cloned().unwrap()
    };
    let none = project.run(["verify", "--json"]).await.json();
    assert_eq!(
        server(&none)["note"],
        "none runs; start one with: fusion-kit serve"
    );
    let serving = Serving::on(&project).await;
    let well = project.run(["verify", "--json"]).await.json();
    let version = env!("CARGO_PKG_VERSION");
    let note = format!("http://{}/ answers, version {version}", serving.address);
    assert_eq!(server(&well)["note"], json!(note));
    std::fs::write(project.data_dir().join("token"), "fk_another\n").unwrap();
    let ill = project.run(["verify", "--json"]).await.json();
    let ill = server(&ill);
    assert_eq!(
        json!([ill["fault"], ill["help"]]),
        json!([
            "the token is unknown, has expired or was taken away",
            "the server's first token is in the file `token` of its data directory"
        ])
    );
}
