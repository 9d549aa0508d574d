use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fusion_core::{Clock, Timestamp};
use fusion_providers::{
    Message, ModelInfo, ModelRequest, NoDeltas, Provider, Result, Turn, TurnPlace, TurnRequest,
};
use fusion_providers_http::{HttpProvider, Options};
use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(Still)
}

/// A client for the server at this address, without a key.
pub(crate) fn client(server: &str) -> HttpProvider {
    client_with(Options::openai_compatible(format!("{server}/v1"), None))
}

pub(crate) fn client_with(options: Options) -> HttpProvider {
    // Each test of a process installs it; all but the first are told that it is there.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    HttpProvider::new(options, clock()).unwrap()
}

/// A server that gives this answer to every turn.
pub(crate) async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// A server with this list of models.
pub(crate) async fn listing(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

pub(crate) fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

pub(crate) fn greeting() -> [Message; 1] {
    [Message::User {
        text: "Hello".into(),
    }]
}

pub(crate) fn request(messages: &[Message]) -> TurnRequest<'_> {
    TurnRequest {
        model: "tiny",
        system: "Be short.",
        messages,
        tools: &[],
        output_schema: None,
        max_tokens: None,
        temperature: None,
        options: None,
        may_wait: true,
        place: TurnPlace {
            run: "run",
            task: "task",
            step: "plan",
            turn: 3,
            agent: "a",
            key: "turn-key",
        },
    }
}

/// One turn of a plain greeting.
pub(crate) async fn ask(provider: &impl Provider) -> Result<Turn> {
    provider
        .send_message(&request(&greeting()), &NoDeltas)
        .await
}

pub(crate) async fn spawn(provider: &impl Provider, model: &str) -> Result<ModelInfo> {
    let request = ModelRequest {
        model,
        needs_tools: true,
        needs_json_schema: false,
        base_dir: Path::new("."),
        steps: &["plan"],
    };
    provider.spawn_agent(&request).await
}

/// Everything that is logged in this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begins to log everything, until the guard is dropped.
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
