//! A server in the background: this program in a session of its own.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use fusion_api_types::{Problem, ProblemKind, ServerReady};
use fusion_cli::ServeRequest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::address;
use super::announcement::unwritable;
use crate::backend::LocalBackend;
use crate::data_dir::{DataDir, Prepared};
use crate::signals::Signalled;
use crate::system::DETACHED;

/// So much of a log is told when a server ended at once: the end of it.
const TOLD: usize = 2_000;

impl LocalBackend {
    pub(super) async fn start_detached(
        &self,
        request: &ServeRequest,
        place: &[OsString],
    ) -> Result<Option<ServerReady>, Problem> {
        address::of(request, self.config())?;
        let data_dir = self.data_dir()?;
        if let Some(server) = data_dir.owner() {
            return Err(there_is_one(&server, &data_dir));
        }
        let fresh = data_dir.prepare()?;
        let log = Log::open(data_dir.log())?;
        let started = start(request, place, &log).await;
        let is_in_vain = match &started {
            Ok(Some(_)) => false,
            Ok(None) => true,
            // Another process works there, maybe with this log.
            Err(problem) => problem.kind != ProblemKind::Conflict,
        };
        if is_in_vain && !data_dir.exists() {
            undo(&data_dir, &log, fresh).await;
        }
        Ok(started?.map(|server| ServerReady {
            log_file: Some(log.path.display().to_string()),
            ..server
        }))
    }
}

/// Takes away what a start made that came to nothing. Where another process has begun to work there, all is
/// its own.
async fn undo(data_dir: &DataDir, log: &Log, fresh: Prepared) {
    if let Ok(held) = data_dir.own().await {
        log.undo();
        held.undo();
        fresh.undo();
    }
}

fn there_is_one(server: &ServerReady, data_dir: &DataDir) -> Problem {
    let doing = if server.url.is_empty() {
        "drives runs".to_owned()
    } else {
        format!("serves {}", server.url)
    };
    let text = format!(
        "a server (pid {}) {doing} on the data directory {}",
        server.pid,
        data_dir.path().display()
    );
    let end = data_dir.command("down");
    Problem::new(ProblemKind::Conflict, text).with_help(format!("to end it: {end}"))
}

/// Starts it and waits until it is ready; `None` when a signal comes before that.
async fn start(
    request: &ServeRequest,
    place: &[OsString],
    log: &Log,
) -> Result<Option<ServerReady>, Problem> {
    let signals = Signalled::catch();
    let mut child = child(request, place, log)?;
    let mut line = String::new();
    let read = async {
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).await.ok();
        }
    };
    tokio::select! {
        biased;
        () = signals.stop.cancelled() => {
            end(&mut child).await;
            return Ok(None);
        }
        () = read => {}
    }
    match serde_json::from_str(&line) {
        Ok(server) => Ok(Some(server)),
        Err(_) => {
            end(&mut child).await;
            Err(log.problem())
        }
    }
}

fn child(request: &ServeRequest, place: &[OsString], log: &Log) -> Result<Child, Problem> {
    let not_started = |error: &dyn std::fmt::Display| {
        let text = format!("the server can't be started: {error}");
        Problem::new(ProblemKind::Unavailable, text)
    };
    let program = std::env::current_exe().map_err(|error| not_started(&error))?;
    let errors = log.file.try_clone().map_err(|error| not_started(&error))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "what is started here is this program, and no command of an agent"
    )]
    let mut command = Command::new(program);
    command
        .arg(DETACHED)
        .args(place)
        .args(words(request))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors);
    command.spawn().map_err(|error| not_started(&error))
}

/// The command line of the server.
fn words(request: &ServeRequest) -> Vec<String> {
    let roles = [(request.api, "api"), (request.worker, "worker")];
    let roles = roles.into_iter().filter(|(has, _)| *has);
    let roles: Vec<&str> = roles.map(|(_, role)| role).collect();
    let mut words = vec![
        "serve".to_owned(),
        "--json".to_owned(),
        format!("--roles={}", roles.join(",")),
        format!("--capacity={}", request.capacity),
    ];
    words.extend(request.host.as_ref().map(|host| format!("--host={host}")));
    words.extend(request.port.map(|port| format!("--port={port}")));
    if request.allow_plain_http {
        words.push("--allow-plain-http".to_owned());
    }
    words
}

/// Ends one that is not to go on.
async fn end(child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // One that has ended has nothing to be told.
        kill_process(pid, Signal::TERM).ok();
    }
    child.wait().await.ok();
}

/// The file that a server in the background logs to. It grows from start to start.
struct Log {
    path: PathBuf,
    file: File,
    /// Where this start begins in it.
    from: u64,
    /// It was not there before this start.
    is_new: bool,
}

impl Log {
    fn open(path: PathBuf) -> Result<Self, Problem> {
        let mut options = OpenOptions::new();
        options.append(true).read(true).mode(0o600);
        let opened = match options.clone().create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // By now it may have been taken away again, by the start that made it.
                options.create(true).open(&path).map(|file| (file, false))
            }
            made => made.map(|file| (file, true)),
        };
        let opened = opened.and_then(|(file, is_new)| {
            let from = file.metadata()?.len();
            Ok((file, from, is_new))
        });
        let (file, from, is_new) = opened.map_err(|error| unwritable(&path, &error))?;
        Ok(Self {
            path,
            file,
            from,
            is_new,
        })
    }

    /// What a server told that did not get ready: its last line is the problem, as `--json` tells it.
    fn problem(&self) -> Problem {
        let mut text = String::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.from))?;
            file.read_to_string(&mut text)
        });
        let told = text
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok());
        told.unwrap_or_else(|| {
            let start = text.len().saturating_sub(TOLD);
            let end = text.get(start..).unwrap_or_default().trim();
            let why = match read {
                Ok(_) if end.is_empty() => "it said nothing".to_owned(),
                Ok(_) => format!("it said: {end}"),
                Err(error) => format!("its log can't be read: {error}"),
            };
            let text = format!("the server ended before it was ready; {why}");
            let problem = Problem::new(ProblemKind::Internal, text);
            problem.with_help(format!("its log is {}", self.path.display()))
        })
    }

    /// Takes it away where this start made it.
    fn undo(&self) {
        if self.is_new {
            fs::remove_file(&self.path).ok();
        }
    }
}
