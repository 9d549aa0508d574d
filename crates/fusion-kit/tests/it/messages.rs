//! `message` on the real binary: sent, listed, given up, and refused with the way out.

use std::time::Duration;

use fusion_testkit::{Postgres, postgres_binaries};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{GATE, Project, Running, step};

/// The heartbeat of a run is far shorter.
const LIMIT: Duration = Duration::from_secs(60);

/// The step takes as long as the gate is closed; the reviewer has none.
const WORKFLOW: &str = "
version: 1
name: flow
agents:
  worker: { provider: scripted, model: script.yaml, tools: [shell] }
  reviewer: { provider: scripted, model: script.yaml }
steps: [{ id: work, agent: worker, prompt: x }]
";

fn project() -> Project {
    let project = Project::new();
    let script = format!(
        "
version: 1
steps:
  work:
    - tool_calls: [{{ name: run_command, arguments: {{ command: '{GATE}' }} }}]
    - text: done
"
    );
    project.write("flow.yaml", WORKFLOW);
    project.write("script.yaml", script);
    project
}

async fn running(project: &Project) -> Running {
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    project
        .until("the command", |run| {
            step(run, "work")["state"] == "running" && step(run, "work")["activity"] != Value::Null
        })
        .await;
    running
}

async fn list(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let mut words = vec!["message", "list", "--json"];
    words.extend(arguments);
    let listed = project.run(words).await.expect(0).json();
    listed["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_message_that_nobody_reads_becomes_a_dead_letter() {
    let project = project();
    project
        .run(["message", "list"])
        .await
        .expect(0)
        .says(&["no such messages"]);
    let running = running(&project).await;
    let send = ["message", "send", "--to", "reviewer", "look here"];
    let refusal = format!("another fusion-kit (pid {}) works", running.pid());
    project.run(send).await.expect(5).says(&[&refusal]);
    running.stop(Signal::INT).await.expect(130);

    let sent = project.run([&send[..], &["--json"]].concat()).await;
    let sent = sent.expect(0).json();
    assert_eq!(
        (&sent["status"], &sent["sender"], &sent["payload"]),
        (&"pending".into(), &Value::Null, &"look here".into())
    );
    assert_eq!(sent["deliveries"][0]["agent"]["name"], "reviewer");
    let id = sent["id"].as_str().unwrap();
    let listed = list(&project, &["--to", "reviewer", "--status", "pending"]).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], id);
    assert_eq!(
        list(&project, &["--from", "reviewer"]).await,
        Vec::<Value>::new()
    );
    let tail = project.run(["message", "tail", "--json"]).await.expect(0);
    assert_eq!(tail.json(), listed[0]);

    project.open_the_gate();
    project.run(["resume", "--quiet"]).await.expect(0);
    let dead = list(&project, &["--status", "failed,expired"]).await;
    assert_eq!(dead.len(), 1);
    let shown = project
        .run(["message", "show", id.get(..18).unwrap()])
        .await
        .expect(0);
    assert!(shown.stdout.contains("the agent has ended"), "{shown:?}");
    project
        .run(["message", "resend", id])
        .await
        .expect(5)
        .says(&["nobody is left to read the message: reviewer ended with the run"]);
    project.run(send).await.expect(3).says(&[
        "no run is under way, so nobody would read it",
        "help: start one with: fusion-kit run FILE",
    ]);
}

#[tokio::test]
async fn what_can_not_be_sent_is_refused_with_the_limit() {
    let project = project();
    running(&project).await.stop(Signal::INT).await.expect(130);
    let payload = |content: Vec<u8>| {
        project.write("payload", content);
        project.run([
            "message",
            "send",
            "--to",
            "reviewer",
            "--payload",
            "payload",
        ])
    };
    let refused = payload(vec![b' '; 64 * 1024 * 1024]).await.expect(2);
    refused.says(&["1048576 bytes (1 MiB)", "limit"]);
    let refused = payload(b"\"\xff\"".to_vec()).await.expect(2);
    refused.says(&["not UTF-8: byte 1 is wrong"]);
    let refused = payload(vec![b'['; 10_000]).await.expect(2);
    refused.says(&["nested deeper than 64 levels, which is the limit"]);
    payload(b"{".to_vec()).await.expect(2).says(&["not JSON"]);
    for (arguments, code, told) in [
        (&["--to", "reviewr", "x"][..], 3, "did you mean 'reviewer'?"),
        (
            &["--topic", "review.done", "x"],
            2,
            "no agent listens to 'review.done'",
        ),
        (&["--topic", "review.*", "x"], 2, "has '*'"),
        (
            &["--to", "reviewer", "x", "--reply-to", "00"],
            3,
            "there is no message '00'",
        ),
        (
            &["--to", "reviewer", "x", "--run", "zz"],
            3,
            "there is no run 'zz'",
        ),
    ] {
        let words = [&["message", "send"][..], arguments].concat();
        project.run(words).await.expect(code).says(&[told]);
    }
    assert_eq!(list(&project, &[]).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_sent_to_all_reaches_every_agent_however_that_is_written() {
    let project = project();
    running(&project).await.stop(Signal::INT).await.expect(130);
    let big = "x".repeat(100_000);
    project
        .run(["message", "send", "--broadcast", &big])
        .await
        .expect(0);
    project
        .run(["message", "send", "--to", "all", &big])
        .await
        .expect(0);
    let listed = list(&project, &[]).await;
    for message in &listed {
        assert_eq!(
            (
                &message["recipients"],
                &message["payload"],
                &message["topic"]
            ),
            (&Value::Null, &big.as_str().into(), &"broadcast.all".into())
        );
    }
    assert_eq!(listed.len(), 2);
}

#[tokio::test]
async fn a_list_holds_no_more_content_than_it_may_and_says_so() {
    let project = project();
    running(&project).await.stop(Signal::INT).await.expect(130);
    let content = format!("\"{}\"", "x".repeat(1_000_000));
    project.write("payload", content);
    let send = [
        "message",
        "send",
        "--to",
        "reviewer",
        "--payload",
        "payload",
    ];
    for _ in 0..18 {
        project.run(send).await.expect(0);
    }
    let listed = project.run(["message", "list", "--json"]).await.expect(0);
    let all = listed.json();
    let places: Vec<u64> = all["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(places, (3..=18).rev().collect::<Vec<_>>());
    assert_eq!(all["cut"], true);
    listed.says(&["older messages were left out"]);
    let few = ["message", "list", "--limit", "16", "--json"];
    let few = project.run(few).await.expect(0);
    assert_eq!(
        (few.json()["cut"].clone(), few.stderr.as_str()),
        (false.into(), "")
    );
    let tail = ["message", "tail", "--limit", "18", "--json"];
    let tail = project.run(tail).await.expect(0);
    assert_eq!(tail.stdout.lines().count(), 16);
}

#[tokio::test]
async fn limits_are_settings_and_a_full_inbox_is_told_by_its_name() {
    let mut project = project();
    running(&project).await.stop(Signal::INT).await.expect(130);
    project.set("FUSION_INBOX_LIMIT", "1");
    let send = ["message", "send", "--topic", "broadcast.all", "hello"];
    project.run(send).await.expect(0);
    project.run(send).await.expect(9).says(&[
        "the inbox of '",
        "' is full: 1 messages wait for it, nothing was sent",
        "see what waits with: fusion-kit message list --to ",
    ]);
    let sent = list(&project, &[]).await;
    assert_eq!((sent.len(), &sent[0]["recipients"]), (1, &Value::Null));
    for (name, text, bounds) in [
        ("FUSION_INBOX_LIMIT", "0", "from 1 to 100000"),
        ("FUSION_INBOX_LIMIT", "many", "from 1 to 100000"),
        ("FUSION_MAX_HOPS", "1001", "from 1 to 1000"),
    ] {
        project.set("FUSION_INBOX_LIMIT", "1");
        project.set(name, text);
        for words in [&send[..], &["resume"]] {
            let refused = project.run(words).await.expect(2);
            refused.says(&[&format!("{name} is '{text}'"), bounds]);
        }
    }
}

#[tokio::test]
async fn with_a_server_a_message_reaches_a_run_of_another_process() {
    let server = Postgres::start(&postgres_binaries().unwrap()).unwrap();
    let mut project = project();
    project.set("DATABASE_URL", server.url());
    let running = running(&project).await;
    let send = ["message", "send", "--to", "reviewer", "--expires", "1s"];
    for text in ["one", "two"] {
        project.run([&send[..], &[text]].concat()).await.expect(0);
    }
    // The running process gives up what has expired.
    let expired = tokio::time::timeout(LIMIT, async {
        loop {
            let expired = list(&project, &["--status", "expired"]).await;
            if expired.len() == 2 {
                return expired;
            }
        }
    });
    let expired = expired.await.unwrap();
    let told: Vec<&Value> = expired.iter().map(|message| &message["payload"]).collect();
    assert_eq!(told, ["two", "one"]);
    assert!(expired[1]["seq"].as_u64() < expired[0]["seq"].as_u64());
    let listed = list(&project, &[]).await;
    let id = listed[0]["id"].as_str().unwrap();
    let again = project
        .run(["message", "resend", id, "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(again["resends"], id);
    project.open_the_gate();
    running.finish().await.expect(0);
}
