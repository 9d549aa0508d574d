//! A server on a project, and a small client of it that sends what it is told, right or wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{Finished, Invocation, Project, Running};

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A server of the binary.
#[derive(Debug)]
pub(crate) struct Serving {
    running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    name: String,
}

impl Serving {
    /// Starts one on a free port.
    pub(crate) async fn on(project: &Project) -> Self {
        Self::with(project, &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn with(project: &Project, arguments: &[&str]) -> Self {
        let port: &[&str] = match arguments {
            ["--port", ..] => &[],
            _ => &["--port", "0"],
        };
        let all = ["serve", "--json"].iter().chain(port).chain(arguments);
        Self::of(project.fusion_kit(all)).await
    }

    /// The server that this call of the binary starts.
    pub(crate) async fn of(serve: Invocation) -> Self {
        let mut running = serve.start();
        let mut line = String::new();
        let mut stdout = BufReader::new(running.stdout());
        let read = timeout(LIMIT, stdout.read_line(&mut line)).await;
        read.expect("the server is ready in time").unwrap();
        let told: Value = match serde_json::from_str(&line) {
            Ok(told) => told,
            Err(_) => panic!("no server: {:?}", running.finish().await),
        };
        let address = told["url"].as_str().unwrap().trim_start_matches("http://");
        let token = std::fs::read_to_string(told["token_file"].as_str().unwrap()).unwrap();
        Self {
            running,
            address: address.parse().unwrap(),
            token: token.trim().to_owned(),
            name: String::new(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The same under a name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(self, signal: Signal) -> Finished {
        self.running.signal(signal);
        self.running.finish().await
    }

    /// A request with the server's token.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address, method, path)
            .header("Authorization", &format!("Bearer {}", self.token))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).json(body).send().await
    }

    /// Opens a socket of live events; the query begins with `?`.
    pub(crate) async fn socket(&self, query: &str) -> Socket {
        let url = format!("ws://{}/api/v1/ws/events{query}", self.address);
        let mut request = url.into_client_request().unwrap();
        let token = format!("Bearer {}", self.token).parse().unwrap();
        request.headers_mut().insert("Authorization", token);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let opened = timeout(LIMIT, client_async(request, stream)).await;
        Socket(opened.expect("the socket opens in time").unwrap().0)
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until<F>(&self, path: &str, wanted: F) -> Value
    where
        F: Fn(&Value) -> bool + Send,
    {
        let began = Instant::now();
        loop {
            let answer = self.get(path).await.expect(200).json();
            if wanted(&answer) {
                return answer;
            }
            assert!(began.elapsed() < LIMIT, "{path} stays {answer:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A request, written down as it is given.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    head: String,
    /// Names that were given in lower case: nothing is added for them.
    given: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        Self {
            address,
            head: format!("{method} {path} HTTP/1.1\r\n"),
            given: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self.given.push(name.to_lowercase());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn text(&self) -> Vec<u8> {
        let mut head = self.head.clone();
        let is_given = |name: &str| self.given.iter().any(|given| given == name);
        if !is_given("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !is_given("content-length") && !is_given("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut text = head.into_bytes();
        text.extend_from_slice(&self.body);
        text
    }

    /// Sends it and reads the answer to its end.
    pub(crate) async fn send(&self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// The same; `None` when the connection broke before an answer came.
    pub(crate) async fn try_send(&self) -> Option<Answer> {
        let work = async {
            let mut stream = TcpStream::connect(self.address).await.ok()?;
            let (mut reader, mut writer) = stream.split();
            let text = self.text();
            // A server that refuses a long request closes before it has read it all.
            let sending = async { writer.write_all(&text).await.ok() };
            let mut answer = Vec::new();
            let reading = reader.read_to_end(&mut answer);
            tokio::join!(sending, reading).1.ok();
            Answer::of(&answer)
        };
        timeout(LIMIT, work)
            .await
            .expect("the answer comes in time")
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    fn of(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        Some(Self {
            status,
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        })
    }

    /// Fails unless this is the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A socket of live events.
#[derive(Debug)]
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// The next frame; `None` once the server has closed it.
    pub(crate) async fn frame(&mut self) -> Option<Value> {
        use futures::StreamExt;
        loop {
            let next = timeout(LIMIT, self.0.next()).await;
            match next.expect("a frame comes in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => return None,
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the socket broke: {error}"),
            }
        }
    }

    /// Says farewell; gives what the server answers to that.
    pub(crate) async fn close(mut self) -> Option<CloseFrame> {
        use futures::{SinkExt, StreamExt};
        let farewell = CloseFrame {
            code: CloseCode::Normal,
            reason: "enough".into(),
        };
        self.0.send(Message::Close(Some(farewell))).await.unwrap();
        loop {
            let next = timeout(LIMIT, self.0.next()).await;
            match next.expect("an answer comes in time") {
                Some(Ok(Message::Close(answer))) => return answer,
                Some(Ok(_)) => {}
                other => panic!("the server went without an answer: {other:?}"),
            }
        }
    }

    /// The places of the next events, until there are so many.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<u64> {
        let mut places = Vec::new();
        while places.len() < count {
            let frame = self.frame().await.expect("the stream goes on");
            if frame["type"] == "event" {
                places.push(frame["event"]["seq"].as_u64().unwrap());
            }
        }
        places
    }
}
