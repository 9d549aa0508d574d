//! A real browser without a window, told what to do over the `DevTools` protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>).

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{program, wait_for};

/// No answer and no page takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// The program; `None` where there is none, which is told.
pub(crate) fn chromium() -> Option<PathBuf> {
    match fusion_testkit::chromium() {
        Ok(found) => Some(found),
        Err(missing) => {
            #[expect(clippy::disallowed_methods, reason = "CI says so by this variable")]
            let is_ci = std::env::var_os("CI").is_some();
            assert!(!is_ci, "CI must try the pages in a browser: {missing}");
            eprintln!("left out: {missing}");
            None
        }
    }
}

/// One tab of a browser of its own, which ends with it.
pub(crate) struct Tab {
    socket: WebSocketStream<TcpStream>,
    session: String,
    last_id: u64,
    /// What it told meanwhile.
    told: Vec<Value>,
    _browser: Child,
    _profile: TempDir,
}

impl Tab {
    /// Starts the browser, with a profile that nobody has used.
    pub(crate) async fn open(chromium: PathBuf) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = program(chromium);
        command
            .current_dir(profile.path())
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--headless", "--remote-debugging-port=0"])
            .args(["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args(["--disable-extensions", "--disable-sync"]);
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let browser = command.arg("about:blank").spawn().unwrap();
        let place = profile.path().join("DevToolsActivePort");
        let place = wait_for("the browser", || {
            let text = fs::read_to_string(&place).ok()?;
            let (port, path) = text.split_once('\n')?;
            (!path.is_empty()).then(|| (port.to_owned(), path.trim().to_owned()))
        });
        let (port, path) = place.await;
        let address = format!("127.0.0.1:{port}");
        let stream = TcpStream::connect(&address).await.unwrap();
        let opened = timeout(LIMIT, client_async(format!("ws://{address}{path}"), stream)).await;
        let (socket, _) = opened.expect("the browser answers in time").unwrap();
        let mut tab = Self {
            socket,
            session: String::new(),
            last_id: 0,
            told: Vec::new(),
            _browser: browser,
            _profile: profile,
        };
        tab.new_tab().await;
        tab
    }

    /// Goes on in another tab, which shares nothing with the one before.
    pub(crate) async fn new_tab(&mut self) {
        self.session.clear();
        let made = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = made.await["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = self.call("Target.attachToTarget", attach).await;
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.session);
        for domain in ["Page.enable", "Runtime.enable", "Network.enable"] {
            self.call(domain, json!({})).await;
        }
    }

    pub(crate) async fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    pub(crate) async fn reload(&mut self) {
        self.call("Page.reload", json!({})).await;
    }

    /// What an expression of JavaScript is in the page.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", ask).await;
        answer["result"]["value"].take()
    }

    /// Waits until an expression is this.
    pub(crate) async fn until(&mut self, expression: &str, wanted: Value) {
        let began = Instant::now();
        loop {
            let found = self.value(expression).await;
            if found == wanted {
                return;
            }
            assert!(began.elapsed() < LIMIT, "{expression} stays {found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the browser told of a kind, such as `Network.requestWillBeSent`, in all its tabs.
    pub(crate) fn told(&self, method: &str) -> Vec<&Value> {
        let told = self.told.iter();
        told.filter(|told| told["method"] == method)
            .map(|told| &told["params"])
            .collect()
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut ask = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            ask["sessionId"] = json!(self.session);
        }
        let sent = self.socket.send(Message::Text(ask.to_string().into()));
        sent.await.unwrap();
        loop {
            let next = timeout(LIMIT, self.socket.next()).await;
            let next = next.expect("the browser answers in time");
            let Message::Text(text) = next.expect("the browser goes on").unwrap() else {
                continue;
            };
            let mut told: Value = serde_json::from_str(&text).unwrap();
            if told["id"] == self.last_id {
                assert_eq!(told.get("error"), None, "{method}");
                return told["result"].take();
            }
            self.told.push(told);
        }
    }
}
