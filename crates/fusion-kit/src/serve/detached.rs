//! A server in the background: this program in a session of its own, and its end.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fusion_api_types::{Problem, ProblemKind, ServerReady};
use fusion_cli::ServeRequest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::address;
use super::announcement::unwritable;
use crate::backend::LocalBackend;
use crate::data_dir::DataDir;
use crate::signals::Signalled;
use crate::system::DETACHED;

/// Between two looks whether a server has ended.
const BETWEEN: Duration = Duration::from_millis(20);

/// So much of a log is told when a server ended at once: the end of it.
const TOLD: usize = 2_000;

impl LocalBackend {
    pub(super) async fn start_detached(
        &self,
        request: &ServeRequest,
        place: &[String],
    ) -> Result<Option<ServerReady>, Problem> {
        address::of(request, self.config())?;
        let data_dir = self.data_dir()?;
        if let Some(server) = data_dir.server() {
            return Err(there_is_one(&server, &data_dir));
        }
        let fresh = data_dir.prepare()?;
        let log = Log::open(data_dir.log())?;
        let started = start(request, place, &log).await;
        if !matches!(started, Ok(Some(_))) && !data_dir.exists() {
            log.undo();
            fresh.undo();
        }
        Ok(started?.map(|server| ServerReady {
            log_file: Some(log.path.display().to_string()),
            ..server
        }))
    }

    pub(super) async fn stop_owner(&self, within: Duration) -> Result<ServerReady, Problem> {
        let data_dir = self.data_dir()?;
        let server = data_dir.server().ok_or_else(|| {
            let text = "no server owns the data directory";
            Problem::new(ProblemKind::NotFound, text)
        })?;
        let pid = i32::try_from(server.pid).ok().and_then(Pid::from_raw);
        let here = pid.filter(|_| holds(server.pid, &data_dir.lock_file()));
        let Some(pid) = here else {
            let text = format!(
                "the server {} is no process that can be seen from here",
                server.url
            );
            return Err(Problem::new(ProblemKind::Denied, text)
                .with_help("end it on its machine, or in its container"));
        };
        kill_process(pid, Signal::TERM).map_err(|error| {
            let text = format!("can't end the server (pid {}): {error}", server.pid);
            Problem::new(ProblemKind::Denied, text)
        })?;
        let sent = Instant::now();
        while holds(server.pid, &data_dir.lock_file()) {
            if sent.elapsed() > within {
                let text = format!(
                    "the server (pid {}) was told to end and has not ended yet",
                    server.pid
                );
                return Err(Problem::new(ProblemKind::Timeout, text));
            }
            sleep(BETWEEN).await;
        }
        Ok(server)
    }
}

fn there_is_one(server: &ServerReady, data_dir: &DataDir) -> Problem {
    let text = format!(
        "a server (pid {}) serves {} on the data directory {}",
        server.pid,
        server.url,
        data_dir.path().display()
    );
    let end = data_dir.command("down");
    Problem::new(ProblemKind::Conflict, text).with_help(format!("to end it: {end}"))
}

/// Whether this process holds the lock of a data directory, as the kernel of this machine tells: its number
/// alone may be of another process, or of another machine or container.
fn holds(pid: u32, lock_file: &Path) -> bool {
    let Ok(lock) = fs::metadata(lock_file) else {
        return false;
    };
    let (pid, inode) = (pid.to_string(), lock.ino().to_string());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:123456 0 EOF
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = |place: usize, wanted: &str| words.get(place) == Some(&wanted);
        let file = words.get(5).and_then(|file| file.rsplit(':').next());
        is_it(1, "FLOCK") && is_it(4, &pid) && file == Some(inode.as_str())
    })
}

/// Starts it and waits until it is ready; `None` when a signal comes before that.
async fn start(
    request: &ServeRequest,
    place: &[String],
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

fn child(request: &ServeRequest, place: &[String], log: &Log) -> Result<Child, Problem> {
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
}

impl Log {
    fn open(path: PathBuf) -> Result<Self, Problem> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true).mode(0o600);
        let file = options.open(&path);
        let opened = file.and_then(|file| {
            let from = file.metadata()?.len();
            Ok((file, from))
        });
        let (file, from) = opened.map_err(|error| unwritable(&path, &error))?;
        Ok(Self { path, file, from })
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
        if self.from == 0 {
            fs::remove_file(&self.path).ok();
        }
    }
}
