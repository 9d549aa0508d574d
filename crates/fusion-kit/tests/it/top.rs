//! `top` on a terminal of its own: live, through a server and without one, and given back as it was.

use rustix::process::Signal;
use serde_json::json;

use crate::api::Serving;
use crate::support::{Project, wait_for};
use crate::terminal::Terminal;

/// Enters and leaves the other screen of a terminal.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// Waits until a word has been drawn: the spaces between words are not.
async fn drawn(terminal: &Terminal, word: &str) {
    wait_for(word, || terminal.shown().contains(word).then_some(())).await;
}

/// The screen, once it shows something.
async fn open_top(project: &Project) -> Terminal {
    let top = Terminal::open(project, &["top"]);
    drawn(&top, "waiting").await;
    top
}

async fn a_change_is_seen(serving: &Serving, top: &Terminal, name: &str) {
    let body = json!({ "name": name });
    let made = serving.post("/api/v1/capabilities", &body).await;
    made.expect(201);
    drawn(top, "record.changed").await;
}

#[tokio::test]
async fn what_happens_at_a_server_is_seen_until_q_is_pressed() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut top = open_top(&project).await;
    a_change_is_seen(&serving, &top, "seen-at-once").await;
    top.type_keys("q");
    let shown = top.finish(0).await;
    assert!(shown.contains(ENTER), "{shown}");
    let (_, rest) = shown.rsplit_once(LEAVE).expect("the screen is left");
    assert!(!rest.contains("fusion-kit top"), "{rest}");
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_and_found_again() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let port = serving.address.port().to_string();
    let mut top = open_top(&project).await;
    serving.stop(Signal::TERM).await;
    drawn(&top, "live:").await;
    let serving = Serving::with(&project, &["--port", &port]).await;
    a_change_is_seen(&serving, &top, "seen-again").await;
    top.type_keys("q");
    top.finish(0).await;
}

#[tokio::test]
async fn without_a_server_the_data_directory_is_looked_at() {
    let project = Project::of_examples();
    let mut top = open_top(&project).await;
    project.run(["run", "hello.yaml", "-q"]).await.expect(0);
    drawn(&top, "workflow.completed").await;
    top.type_keys("q");
    top.finish(0).await;
}

#[tokio::test]
async fn a_signal_gives_the_terminal_back() {
    let project = Project::new();
    let top = open_top(&project).await;
    assert!(top.hides_typing());
    top.signal(Signal::TERM);
    let shown = top.finish(130).await;
    assert!(shown.contains(LEAVE), "{shown}");
}

#[tokio::test]
async fn without_a_terminal_it_is_refused_with_the_way_out() {
    let project = Project::new();
    let refused = project.run(["top"]).await.expect(2);
    refused.says(&["top needs a terminal", "agent list --watch"]);
    let refused = project.run(["top", "--json"]).await.expect(2);
    refused.says(&["top is for people"]);
}
