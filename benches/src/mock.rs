//! A server that answers like a model: chat completions, whole or streamed, at once or after a while.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the model says.
const ANSWER: &str = "Hello, how can I help you today?";

/// A model of this name and a number calls a tool so often before it answers.
const TOOL_TURNS: &str = "tool-turns-";

/// How the server behaves.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// How long an answer takes.
    pub delay: Duration,
    /// Completions that were asked for.
    pub calls: Arc<AtomicU64>,
}

/// A server in this process, for as long as that lives.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    calls: Arc<AtomicU64>,
}

impl Mock {
    /// Starts one that answers after so many milliseconds.
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(delay: u64) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // A runtime may call this, so nothing is waited for here.
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let behaviour = Behaviour {
            delay: Duration::from_millis(delay),
            calls: Arc::default(),
        };
        let calls = Arc::clone(&behaviour.calls);
        std::thread::spawn(move || {
            runtime.block_on(async { serve(TcpListener::from_std(listener)?, behaviour).await })
        });
        Ok(Self { address, calls })
    }

    /// Where it listens, as an URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Completions that it was asked for so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Answers on a listener until the process ends.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, behaviour: Behaviour) -> std::io::Result<()> {
    let app = Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .with_state(behaviour);
    axum::serve(listener, app).await
}

/// What counts of a request.
#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    #[serde(default)]
    stream: bool,
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Tool>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
}

#[derive(Debug, Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
}

impl Request {
    /// The tool that is called now, if any.
    fn calls(&self) -> Option<&str> {
        let turns: usize = self.model.strip_prefix(TOOL_TURNS)?.parse().ok()?;
        let since = self
            .messages
            .iter()
            .rev()
            .take_while(|one| one.role != "user");
        let done = since.filter(|one| one.role == "tool").count();
        let names = || self.tools.iter().map(|tool| tool.function.name.as_str());
        let name = names()
            .find(|name| *name == "list_files")
            .or_else(|| names().next());
        name.filter(|_| done < turns)
    }

    fn message(&self) -> (Value, &'static str) {
        match self.calls() {
            None => (json!({ "role": "assistant", "content": ANSWER }), "stop"),
            Some(name) => {
                let call = json!({
                    "index": 0,
                    "id": format!("call_{}", self.messages.len()),
                    "type": "function",
                    "function": { "name": name, "arguments": "{}" },
                });
                let message = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
                (message, "tool_calls")
            }
        }
    }
}

async fn models() -> Json<Value> {
    let model = |id: &str| json!({ "id": id, "object": "model", "created": 0, "owned_by": "mock" });
    Json(json!({ "object": "list", "data": [model("mock"), model("tool-turns-10")] }))
}

async fn complete(
    State(behaviour): State<Behaviour>,
    Json(request): Json<Request>,
) -> Result<Response, Infallible> {
    behaviour.calls.fetch_add(1, Ordering::Relaxed);
    if !behaviour.delay.is_zero() {
        tokio::time::sleep(behaviour.delay).await;
    }
    let (message, finish) = request.message();
    let usage = json!({ "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29 });
    let (kind, body) = if request.stream {
        (
            "text/event-stream",
            streamed(&request, message, finish, &usage),
        )
    } else {
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        let whole = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0,
            "model": request.model, "choices": [choice], "usage": usage,
        });
        ("application/json", whole.to_string())
    };
    let mut response = Response::new(Body::from(Bytes::from(body)));
    let kind = axum::http::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// The same in three pieces: what is said, why it ends, what it took.
fn streamed(request: &Request, delta: Value, finish: &str, usage: &Value) -> String {
    let chunk = |choices: Value, usage: &Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0,
            "model": request.model, "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let said = chunk(choice(delta, Value::Null), &Value::Null);
    let ended = chunk(choice(json!({}), json!(finish)), &Value::Null);
    let used = chunk(json!([]), usage);
    format!("{said}{ended}{used}data: [DONE]\n\n")
}

#[cfg(test)]
mod tests {
    use super::Request;

    fn request(roles: &[&str]) -> Request {
        let messages: Vec<_> = roles
            .iter()
            .map(|role| serde_json::json!({ "role": role }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "model": "tool-turns-2", "messages": messages,
            "tools": [{ "function": { "name": "read_file" } }, { "function": { "name": "list_files" } }],
        }))
        .unwrap()
    }

    #[test]
    fn a_model_of_tool_turns_calls_a_tool_so_often_and_then_answers() {
        let turn = ["assistant", "tool"];
        let after = |turns: usize| [&["system", "user"][..], &turn.repeat(turns)].concat();
        let calls: Vec<_> = (0..4)
            .map(|turns| request(&after(turns)).calls().is_some())
            .collect();
        assert_eq!(calls, [true, true, false, false]);
        assert_eq!(request(&["user"]).calls(), Some("list_files"));
    }
}
