//! `storm`: many readers of the live stream over WebSocket, beside a bare axum handler that sends the same
//! bytes to as many.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use clap::Parser;
use fusion_benches::server::{Bare, Server, program};
use futures::StreamExt;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reqwest::Client;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Said;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Measures how long an event takes from its commit to those who follow the log.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program; without it the one beside this.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Who follows the log.
    #[arg(long, default_value_t = 1_000)]
    readers: usize,
    /// Those of them who read nothing, in the second run.
    #[arg(long, default_value_t = 100)]
    stuck: usize,
    /// Events a second.
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Events of each run.
    #[arg(long, default_value_t = 1_500)]
    events: usize,
    /// Send the frame in this file, with its time put in, for each request: the floor, in a process of its
    /// own as the server is.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

/// Where an event says when it was told.
const TOLD_AT: &str = "\"timestamp\":\"";

/// How long a frame may take before the run is given up.
const LOST_AFTER: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    // Each socket is a file; the servers inherit it.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    if let Some(file) = &arguments.bare {
        return bare(&std::fs::read_to_string(file)?).await;
    }
    let here = std::env::current_exe()?;
    let program = program(arguments.program.as_deref())?;
    let place = tempfile::tempdir()?;
    println!(
        "{:<12} {:>8} {:>6} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "sender", "readers", "stuck", "events/s", "p50 ms", "p99 ms", "max ms", "MiB more"
    );
    for stuck in [0, arguments.stuck] {
        let run = Run {
            arguments: &arguments,
            hearing: arguments.readers.saturating_sub(stuck),
            stuck,
        };
        let folder = tempfile::tempdir_in(place.path())?;
        let server = Server::start(&program, folder.path())?;
        let frame = run.of_server(&server).await?;
        drop(server);
        let file = folder.path().join("frame");
        std::fs::write(&file, frame)?;
        run.of_bare(&here, &file).await?;
    }
    Ok(())
}

/// One run: who follows, and who of them reads nothing.
struct Run<'a> {
    arguments: &'a Arguments,
    hearing: usize,
    stuck: usize,
}

/// Where events are told, and where they are heard.
#[derive(Clone)]
struct Place {
    tell: String,
    hear: String,
    token: String,
}

impl Run<'_> {
    /// The stream of the server; gives one of its frames.
    async fn of_server(&self, server: &Server) -> Result<String> {
        let place = Place {
            tell: format!("{}/api/v1/capabilities", server.url),
            hear: format!("{}/api/v1/ws/events", server.url.replace("http", "ws")),
            token: server.token.clone(),
        };
        let before = server.memory()?;
        let (heard, rate) = self.storm(&place).await?;
        self.show("fusion-kit", &heard, rate, Some(server.memory()? - before));
        let sample = async {
            let mut socket = open(&place).await?;
            tell(&Client::builder().no_proxy().build()?, &place, usize::MAX).await?;
            next(&mut socket).await
        };
        sample.await
    }

    async fn of_bare(&self, program: &Path, frame: &Path) -> Result<()> {
        let bare = Bare::start(program, frame)?;
        let place = Place {
            tell: format!("{}/tell", bare.url),
            hear: format!("{}/hear", bare.url.replace("http", "ws")),
            token: "none".to_owned(),
        };
        let (heard, rate) = self.storm(&place).await?;
        self.show("bare axum", &heard, rate, None);
        Ok(())
    }

    /// Tells events at their times, whether those before were heard or not; gives how long each took to each
    /// reader, sorted, and how many a second were told.
    async fn storm(&self, place: &Place) -> Result<(Vec<Duration>, f64)> {
        let client = Client::builder().no_proxy().build()?;
        let events = self.arguments.events;
        let mut silent = Vec::with_capacity(self.stuck);
        for _ in 0..self.stuck {
            silent.push(open(place).await?);
        }
        let mut hearing = JoinSet::new();
        for _ in 0..self.hearing {
            hearing.spawn(delays(open(place).await?, events));
        }
        let began = tokio::time::Instant::now();
        let every = Duration::from_secs(1) / u32::try_from(self.arguments.rate)?;
        let mut beat = interval(every);
        let mut telling = JoinSet::new();
        for number in 0..events {
            beat.tick().await;
            let (client, place) = (client.clone(), place.clone());
            telling.spawn(async move { tell(&client, &place, number).await });
        }
        while let Some(told) = telling.join_next().await {
            told??;
        }
        let took = began.elapsed().as_secs_f64();
        let mut all = Vec::with_capacity(self.hearing * events);
        while let Some(heard) = hearing.join_next().await {
            all.extend(heard??);
        }
        all.sort_unstable();
        drop(silent);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = events as f64 / took;
        Ok((all, rate))
    }

    fn show(&self, sender: &str, heard: &[Duration], rate: f64, more: Option<f64>) {
        let at = |part: usize| {
            let place = (heard.len().saturating_sub(1)) * part / 100;
            heard.get(place).map_or(0.0, Duration::as_secs_f64) * 1e3
        };
        let more = more.map_or_else(|| "-".to_owned(), |more| format!("{more:.1}"));
        println!(
            "{sender:<12} {:>8} {:>6} {rate:>9.0} {:>9.1} {:>9.1} {:>9.1} {more:>11}",
            self.hearing,
            self.stuck,
            at(50),
            at(99),
            at(100)
        );
    }
}

/// Tells one event.
async fn tell(client: &Client, place: &Place, number: usize) -> Result<()> {
    let body = json!({ "name": format!("c{number}") });
    let told = client.post(&place.tell).bearer_auth(&place.token);
    told.json(&body).send().await?.error_for_status()?;
    Ok(())
}

/// A socket that hears every event from now on.
async fn open(place: &Place) -> Result<Socket> {
    let mut request = place.hear.as_str().into_client_request()?;
    let token = format!("Bearer {}", place.token).parse()?;
    request.headers_mut().insert("authorization", token);
    let address = request.uri().authority().context("no address")?.to_string();
    let stream = TcpStream::connect(address).await?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    // The greeting.
    let greeting = timeout(LOST_AFTER, socket.next()).await?;
    greeting.context("the stream ended")??;
    Ok(socket)
}

/// The text of the next event.
async fn next(socket: &mut Socket) -> Result<String> {
    loop {
        let said = timeout(LOST_AFTER, socket.next()).await?;
        match said.context("the stream ended")?? {
            Said::Text(text) if text.contains(TOLD_AT) => return Ok(text.to_string()),
            Said::Close(_) => bail!("a reader was cut off"),
            Said::Text(_) | Said::Binary(_) | Said::Ping(_) | Said::Pong(_) | Said::Frame(_) => {}
        }
    }
}

/// How long each event took to this reader.
async fn delays(mut socket: Socket, events: usize) -> Result<Vec<Duration>> {
    let mut delays = Vec::with_capacity(events);
    while delays.len() < events {
        let text = next(&mut socket).await?;
        let now = now();
        let (_, rest) = text.split_once(TOLD_AT).context("no time")?;
        let (told, _) = rest.split_once('"').context("no time")?;
        let told: DateTime<Utc> = told.parse()?;
        delays.push((now - told).to_std().unwrap_or_default());
    }
    Ok(delays)
}

#[expect(
    clippy::disallowed_methods,
    reason = "times of a measurement are its own"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// What the floor sends, without the time in it, and to whom.
#[derive(Debug)]
struct Floor {
    before: String,
    after: String,
    frames: broadcast::Sender<Utf8Bytes>,
}

/// Sends a frame to all who listen, for each request, until the process is ended.
async fn bare(frame: &str) -> Result<()> {
    let (before, rest) = frame.split_once(TOLD_AT).context("no time")?;
    let (_, after) = rest.split_once('"').context("no time")?;
    let floor = Arc::new(Floor {
        before: format!("{before}{TOLD_AT}"),
        after: format!("\"{after}"),
        frames: broadcast::Sender::new(4_096),
    });
    let router = Router::new()
        .route("/tell", post(bare_tell))
        .route("/hear", get(bare_hear))
        .with_state(floor);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

async fn bare_tell(State(floor): State<Arc<Floor>>) {
    let text = format!("{}{}{}", floor.before, now().to_rfc3339(), floor.after);
    // Nobody may be listening.
    floor.frames.send(text.into()).ok();
}

async fn bare_hear(State(floor): State<Arc<Floor>>, upgrade: WebSocketUpgrade) -> Response {
    let mut frames = floor.frames.subscribe();
    upgrade.on_upgrade(move |mut socket| async move {
        let mut text = Utf8Bytes::from_static("{\"type\":\"hello\"}");
        while socket.send(Message::Text(text)).await.is_ok() {
            match frames.recv().await {
                Ok(next) => text = next,
                Err(_) => return,
            }
        }
    })
}
