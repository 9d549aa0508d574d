//! What is seen of an answer while it comes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::task::TaskTracker;

use crate::support::{Project, contents, wait_for};
use crate::terminal::Terminal;

pub(crate) const WORKFLOW: &str = "
version: 1
name: flow
agents:
  a: { provider: openai-compatible, model: tiny }
steps:
  - { id: write, agent: a, prompt: Write. }
outputs: { text: \"${{ steps.write.outputs.text }}\" }
";

/// The time from word to word of a server that talks.
const PACE: Duration = Duration::from_millis(30);

pub(crate) const FIRST: &str = "The bees are dancing";

/// A server without a list of models, whose answer stops half-way until it is told to go on.
pub(crate) async fn slow_server(go_on: oneshot::Receiver<()>) -> (String, JoinHandle<()>) {
    server(go_on, None).await
}

/// The same, which says a word again and again meanwhile.
pub(crate) async fn talking_server(
    go_on: oneshot::Receiver<()>,
    word: &'static str,
) -> (String, JoinHandle<()>) {
    server(go_on, Some(word)).await
}

async fn server(
    go_on: oneshot::Receiver<()>,
    word: Option<&'static str>,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let serving = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if read_request(&mut stream).await.starts_with("GET") {
                let none =
                    "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(none.as_bytes()).await.unwrap();
                continue;
            }
            answer(stream, go_on, word).await;
            return;
        }
    };
    (url, TaskTracker::new().spawn(serving))
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.unwrap();
        request.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        // A turn ends with the end of its JSON.
        let is_whole = text.starts_with("GET") || text.ends_with('}');
        if count == 0 || (text.contains("\r\n\r\n") && is_whole) {
            return text;
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    mut go_on: oneshot::Receiver<()>,
    word: Option<&'static str>,
) {
    let chunk = |text: &str, finish: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let begun = format!("{head}{}", chunk(FIRST, "null"));
    stream.write_all(begun.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut ticks = interval(PACE);
    loop {
        tokio::select! {
            told = &mut go_on => {
                told.unwrap();
                break;
            }
            _ = ticks.tick(), if word.is_some() => {
                let more = chunk(word.unwrap(), "null");
                stream.write_all(more.as_bytes()).await.unwrap();
            }
        }
    }
    let rest = format!("{}data: [DONE]\n\n", chunk(" at noon.", "\"stop\""));
    stream.write_all(rest.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn on_a_terminal_the_end_of_a_coming_answer_is_seen() {
    let (go_on, waits) = oneshot::channel();
    let (url, server) = slow_server(waits).await;
    let mut project = Project::with(WORKFLOW, "");
    project.set("FUSION_BASE_URL", url);
    let terminal = Terminal::open(&project, &["run", "flow.yaml"]);
    let seen = format!("20 characters: {FIRST}");
    wait_for("the first words", || {
        terminal.shown().contains(&seen).then_some(())
    })
    .await;
    for (path, bytes) in contents(project.path()) {
        let bytes = bytes.unwrap_or_default();
        let stored = bytes
            .windows(FIRST.len())
            .any(|part| part == FIRST.as_bytes());
        assert!(!stored, "what is not complete is in {}", path.display());
    }
    go_on.send(()).unwrap();
    let shown = terminal.finish(0).await;
    assert!(
        shown.contains("text: The bees are dancing at noon."),
        "{shown}"
    );
    server.await.unwrap();
}

#[tokio::test]
async fn in_plain_output_nothing_is_seen_before_the_end() {
    let (go_on, waits) = oneshot::channel();
    let (url, server) = slow_server(waits).await;
    let mut project = Project::with(WORKFLOW, "");
    project.set("FUSION_BASE_URL", url);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    project
        .until("the turn", |run| run["steps"][0]["activity"] == "turn 1")
        .await;
    go_on.send(()).unwrap();
    let ended = running.finish().await.expect(0);
    assert!(!ended.stderr.contains("characters"), "{ended:?}");
    server.await.unwrap();
}
