//! Runs through a server of this program: asked for over REST, their ends heard over a WebSocket.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_api_client::Client;
use fusion_api_types::api::{self, Frame};
use fusion_api_types::{Problem, ProblemKind, RunSummary, ServerReady};
use fusion_core::EventType;
use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::task::TaskTracker;

use super::place::Place;
use super::{Done, Plan, WARM_UP, units, workflows};

/// Runs of a page.
const PAGE: usize = 500;

/// How a run of the row ends.
const ENDS: [EventType; 3] = [
    EventType::WorkflowCompleted,
    EventType::WorkflowFailed,
    EventType::WorkflowCancelled,
];

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) async fn measure(place: &Place, plan: Plan) -> Result<Done, Problem> {
    let (mut server, ready) = serve(place).await?;
    let done = on(&ready, place, plan).await;
    let pid = Pid::from_raw(i32::try_from(ready.pid).unwrap_or_default());
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::warn!(%error, "the server could not be told to end");
    }
    server.wait().await.map_err(|error| broken(&error))?;
    done
}

/// The variables of a program that works like this one.
pub(super) fn settings(command: &mut Command, place: &Place) {
    let config = place.config();
    for name in [
        "REDIS_URL",
        "FUSION_SERVER",
        "FUSION_KIT_DATA_DIR",
        "FUSION_API_KEY",
    ] {
        command.env_remove(name);
    }
    for (name, value) in [
        ("FUSION_BASE_URL", config.base_url.clone()),
        ("DATABASE_URL", place.database_url()),
        ("FUSION_AGENTS_AT_ONCE", config.agents_at_once.clone()),
        ("FUSION_KIT_AGENT_UIDS", config.agent_uids.clone()),
    ] {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // A `.env` of the current folder is another one's.
    command.current_dir(place.folder());
}

/// Starts a server and waits until it listens.
async fn serve(place: &Place) -> Result<(Child, ServerReady), Problem> {
    let program = std::env::current_exe().map_err(|error| broken(&error))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "what is started here is this program, and no command of an agent"
    )]
    let mut command = Command::new(program);
    command
        .args(["serve", "--json", "--port", "0", "--data-dir"])
        .arg(place.folder().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    settings(&mut command, place);
    let mut child = command.spawn().map_err(|error| broken(&error))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut line).await;
        read.map_err(|error| broken(&error))?;
    }
    let ready = serde_json::from_str(&line).map_err(|error| broken(&error))?;
    Ok((child, ready))
}

async fn on(ready: &ServerReady, place: &Place, plan: Plan) -> Result<Done, Problem> {
    let token = std::fs::read_to_string(&ready.token_file).map_err(|error| broken(&error))?;
    let token = token.trim().to_owned();
    let client = Client::new(&ready.url, SecretString::from(token.clone()))?;
    let new = api::NewWorkflow {
        source: Some(place.file.source.clone()),
        base_dir: Some(place.file.base_dir.display().to_string()),
        ..api::NewWorkflow::default()
    };
    let workflow: api::Workflow = client.post("/workflows", &new).await?;
    let ends = Arc::new(Ends::default());
    let listening = TaskTracker::new();
    let socket = listen(&ready.url, &token).await?;
    let hearing = listening.spawn(hear(socket, Arc::clone(&ends)));
    let path = format!("/workflows/{}/start", workflow.id);
    let unit = {
        let (client, ends) = (client.clone(), Arc::clone(&ends));
        move |_| {
            let (client, ends, path) = (client.clone(), Arc::clone(&ends), path.clone());
            async move {
                let started: api::RunStarted = client.post(&path, &json!({})).await?;
                ends.of(&started.run_id).await
            }
        }
    };
    let measured = async {
        units::each(WARM_UP, plan.at_once, unit.clone()).await?;
        let before = calls(&client).await?;
        let counting = place.start(i32::try_from(ready.pid).ok()).await?;
        units::each(plan.number, plan.at_once, unit).await?;
        let cost = counting.stop().await?;
        Ok(Done {
            cost,
            llm_calls: calls(&client).await? - before,
            steps: plan.number * workflows::steps(plan.row),
            bytes_per_agent: None,
        })
    };
    let measured = measured.await;
    hearing.abort();
    measured
}

/// Opens a socket on which the ends of runs are told.
async fn listen(url: &str, token: &str) -> Result<Socket, Problem> {
    let host = url.trim_start_matches("http://");
    let filter: Vec<String> = ENDS
        .iter()
        .map(|end| format!("event_type={}", end.as_str()))
        .collect();
    let url = format!("ws://{host}/api/v1/ws/events?{}", filter.join("&"));
    let mut request = url.into_client_request().map_err(|error| broken(&error))?;
    let token = format!("Bearer {token}").parse();
    let headers = request.headers_mut();
    headers.insert(
        "Authorization",
        token.map_err(|_| broken(&"a wrong token"))?,
    );
    let opened = connect_async(request).await;
    opened
        .map(|(socket, _)| socket)
        .map_err(|error| broken(&error))
}

/// Notes what is told, until the socket ends.
async fn hear(mut socket: Socket, ends: Arc<Ends>) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if let Ok(Frame::Event { event }) = serde_json::from_str(&text)
            && let Some(run) = &event.run_id
        {
            ends.note(
                run,
                event.event_type == EventType::WorkflowCompleted.as_str(),
            );
        }
    }
    ends.close();
}

/// Runs that have ended, and whether well, and who waits for which.
#[derive(Debug, Default)]
struct Ends(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ended: BTreeSet<(String, bool)>,
    waiting: BTreeMap<String, oneshot::Sender<bool>>,
    is_closed: bool,
}

impl Ends {
    fn locked(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, run: &str, well: bool) {
        let mut known = self.locked();
        match known.waiting.remove(run) {
            // Who no longer waits does not need it.
            Some(waiting) => drop(waiting.send(well)),
            None => drop(known.ended.insert((run.to_owned(), well))),
        }
    }

    /// Nothing more will be heard.
    fn close(&self) {
        let mut known = self.locked();
        known.is_closed = true;
        known.waiting.clear();
    }

    /// Waits for the end of a run.
    async fn of(&self, run: &str) -> Result<(), Problem> {
        let waiting = {
            let mut known = self.locked();
            if known.ended.remove(&(run.to_owned(), true)) {
                return Ok(());
            }
            let (tell, waiting) = oneshot::channel();
            if !known.is_closed && !known.ended.contains(&(run.to_owned(), false)) {
                known.waiting.insert(run.to_owned(), tell);
            }
            waiting
        };
        match waiting.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(broken(&format!("run {run} did not complete"))),
        }
    }
}

/// A page of runs.
#[derive(Deserialize)]
struct Runs {
    runs: Vec<RunSummary>,
    next_cursor: Option<String>,
}

/// Answers that all runs were given.
async fn calls(client: &Client) -> Result<u64, Problem> {
    let (mut calls, mut cursor) = (0, None::<String>);
    loop {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Runs = client.get("/runs", &query).await?;
        cursor = page.next_cursor;
        calls += page.runs.iter().map(|run| run.usage.turns).sum::<u64>();
        if cursor.is_none() {
            return Ok(calls);
        }
    }
}

fn broken(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        format!("the server could not be measured: {why}"),
    )
}
