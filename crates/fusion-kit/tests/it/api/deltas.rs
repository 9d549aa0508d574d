//! What a model says is heard while it says it, by who asks for it, and is nowhere afterwards.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::client::{Serving, Socket};
use super::runs::start;
use crate::live_answers::{FIRST, WORKFLOW, slow_server, talking_server};
use crate::support::{Project, contents, wait_for};
use crate::terminal::Terminal;

/// A project whose model is at this address.
fn asking(url: String) -> Project {
    let mut project = Project::with(WORKFLOW, "");
    project.set("FUSION_BASE_URL", url);
    project
}

/// The next delta of a socket; its ids are given apart.
async fn delta(socket: &mut Socket) -> (Value, Value) {
    loop {
        let frame = socket.frame().await.expect("the stream goes on");
        if frame["type"] == "delta" {
            let delta = &frame["delta"];
            let said = json!([delta["kind"], delta["at"], delta["text"], delta["tool"]]);
            return (said, json!([delta["run_id"], delta["step"], delta["turn"]]));
        }
    }
}

#[tokio::test]
async fn who_asks_for_deltas_hears_an_answer_while_it_comes_and_nothing_keeps_it() {
    let (go_on, waits) = oneshot::channel();
    let (url, model) = slow_server(waits).await;
    let project = asking(url);
    let serving = Serving::on(&project).await;
    let mut hears = serving.socket("?deltas=true&event_type=task.*").await;
    let run = start(&serving, &project, "flow.yaml").await;
    let (said, place) = delta(&mut hears).await;
    assert_eq!(said, json!(["text", 0, FIRST, null]));
    assert_eq!(place, json!([run, "write", 1]));
    for (path, bytes) in contents(project.path()) {
        let bytes = bytes.unwrap_or_default();
        let mut parts = bytes.windows(FIRST.len());
        let is_kept = parts.any(|part| part == FIRST.as_bytes());
        assert!(!is_kept, "what is not complete is in {}", path.display());
    }
    let log = serving.get("/api/v1/events?limit=500").await.expect(200);
    assert!(!log.body.contains(FIRST), "{log:?}");
    go_on.send(()).unwrap();
    assert_eq!(
        delta(&mut hears).await.0,
        json!(["text", 20, " at noon.", null])
    );
    assert_eq!(delta(&mut hears).await.0, json!(["end", 29, "", null]));
    serving
        .until(&format!("/api/v1/runs/{run}"), |run| {
            run["state"] == "completed"
        })
        .await;
    model.await.unwrap();
}

#[tokio::test]
async fn deltas_come_to_who_asks_for_them_only_and_of_the_runs_that_are_asked_for() {
    let (go_on, waits) = oneshot::channel();
    let (url, model) = slow_server(waits).await;
    let project = asking(url);
    let serving = Serving::on(&project).await;
    let nobody = uuid::Uuid::nil();
    let mut silent = serving.socket("").await;
    let mut elsewhere = serving
        .socket(&format!("?deltas=true&run_id={nobody}"))
        .await;
    let mut others = serving
        .socket(&format!("?deltas=true&agent_id={nobody}"))
        .await;
    let mut hears = serving.socket("?deltas=true").await;
    start(&serving, &project, "flow.yaml").await;
    assert_eq!(delta(&mut hears).await.0[2], FIRST);
    go_on.send(()).unwrap();
    model.await.unwrap();
    serving.stop(Signal::TERM).await;
    for (socket, hears_events) in [
        (&mut silent, true),
        (&mut elsewhere, false),
        (&mut others, false),
    ] {
        let mut types = std::collections::BTreeSet::new();
        while let Some(frame) = socket.frame().await {
            types.insert(frame["type"].as_str().unwrap().to_owned());
        }
        let mut expected = vec!["hello", "shutdown"];
        if hears_events {
            expected.push("event");
        }
        expected.sort_unstable();
        assert_eq!(types.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_wrong_wish_for_deltas_is_refused() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    for path in [
        "/api/v1/events/stream?deltas=loud",
        "/api/v1/events?deltas=true",
    ] {
        let refused = serving.get(path).await.expect(400).json();
        assert_eq!(refused["errors"][0]["pointer"], "deltas", "{path}");
    }
}

/// Reads what a command says until this is in it.
async fn read_until(stdout: &mut ChildStdout, told: &mut String, text: &str) {
    let reading = async {
        while !told.contains(text) {
            let mut part = [0; 4096];
            let count = stdout.read(&mut part).await.unwrap();
            assert_ne!(count, 0, "no {text} in {told}");
            told.push_str(&String::from_utf8_lossy(&part[..count]));
        }
    };
    timeout(Duration::from_secs(60), reading).await.expect(text);
}

#[tokio::test]
async fn run_watch_and_agent_logs_show_what_is_being_said() {
    let (go_on, waits) = oneshot::channel();
    let (url, model) = talking_server(waits, " and dancing").await;
    let project = asking(url);
    let serving = Serving::on(&project).await;
    let run = start(&serving, &project, "flow.yaml").await;
    let watching = Terminal::open(&project, &["run", "watch", &run]);
    wait_for("the words on the screen", || {
        watching
            .shown()
            .contains("dancing and dancing")
            .then_some(())
    })
    .await;
    let mut following = project
        .fusion_kit(["agent", "logs", "a", "--follow"])
        .start();
    let mut stdout = following.stdout();
    let mut told = String::new();
    read_until(&mut stdout, &mut told, "dancing").await;
    assert!(told.starts_with("write turn 1 says: "), "{told}");
    go_on.send(()).unwrap();
    // The words have no end of their line before the turn ends.
    read_until(&mut stdout, &mut told, "finished").await;
    let (said, entry) = told.split_once('\n').unwrap();
    assert!(said.ends_with(" at noon."), "{said}");
    assert!(entry.contains("write turn "), "{entry}");
    let shown = watching.finish(0).await;
    assert!(shown.contains("at noon."), "{shown}");
    following.signal(Signal::INT);
    following.finish().await;
    model.await.unwrap();
}
