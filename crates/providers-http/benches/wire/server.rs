//! The server that both ask: a process of its own, so that its work and memory are not ours.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use serde_json::{Value, json};

/// Makes this program the server.
pub(crate) const ARGUMENT: &str = "--serve";

/// The model that answers in one piece.
pub(crate) const PIECE: &str = "piece";

/// The model that streams ten deltas at once.
pub(crate) const STREAM: &str = "stream";

/// The model that streams a hundred deltas in a second.
pub(crate) const SLOW: &str = "slow";

/// The server's process. It ends when its input does.
pub(crate) struct Server {
    base_url: String,
    child: Child,
    input: Option<ChildStdin>,
}

impl Server {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server of a benchmark; nothing of an agent runs here"
    )]
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        Self {
            base_url: format!("{}/v1", url.trim()),
            input: child.stdin.take(),
            child,
        }
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}

/// Serves until the input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(MisbehavingHttp::start(answer)).unwrap();
    println!("{}", server.url());
    std::io::stdin().lines().for_each(drop);
}

fn answer(request: &HttpRequest) -> Vec<Act> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let model = asked.get("model").and_then(Value::as_str);
    match model.unwrap_or_default() {
        PIECE => {
            let body = json!({
                "id": "gen-1", "model": PIECE, "usage": {"prompt_tokens": 9, "completion_tokens": 30},
                "choices": [{"message": {"content": "word ".repeat(30)}, "finish_reason": "stop"}]
            })
            .to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            vec![Act::Send((head + &body).into())]
        }
        STREAM => {
            let events: String = (0..10).map(|_| event()).collect::<String>() + &end();
            vec![
                Act::Send(head().into_bytes()),
                Act::Send(chunk(&events)),
                Act::Send(LAST.to_vec()),
            ]
        }
        _ => {
            let mut acts = vec![Act::Send(head().into_bytes())];
            for _ in 0..100 {
                acts.push(Act::Wait(Duration::from_millis(10)));
                acts.push(Act::Send(chunk(&event())));
            }
            acts.push(Act::Send(chunk(&end())));
            acts.push(Act::Send(LAST.to_vec()));
            acts
        }
    }
}

const LAST: &[u8] = b"0\r\n\r\n";

fn head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_owned()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn event() -> String {
    let delta = json!({"content": "several words of text "});
    let chunk = json!({
        "id": "gen-1", "object": "chat.completion.chunk", "created": 1_795_608_000, "model": "stream",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]
    });
    format!("data: {chunk}\n\n")
}

fn end() -> String {
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 30}});
    format!("data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}
