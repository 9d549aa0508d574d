//! The one place that starts processes: a command of an agent, held by a helper process.
//!
//! The launcher starts this program again as a helper ([`helper_main`](crate::helper_main)),
//! hands it the request over its stdin and keeps that pipe open as a life line. The helper
//! starts the command, and when the command ends or the life line does, it kills everything
//! that came of the command before it reports. So nothing survives a timeout, a cancellation,
//! a dropped future, or the death of this process.

mod output;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, WorkspaceDir};
use output::Output;
use wire::{Report, Request};

/// Where commands look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long the helper may take to kill everything.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long output is still read after the helper is gone. Only a descriptor that the command
/// handed to a process of another command can keep the stream open that long.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// No report is longer, in bytes.
const REPORT_LIMIT: u64 = 64 * 1024;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A script for `sh -c`.
    Shell(String),
    /// A program, by absolute path or searched in `PATH`, and its arguments.
    Argv(Vec<String>),
}

/// A command of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What to run.
    pub program: Program,
    /// Variables on top of the fixed ones (`PATH`, `HOME`, `TMPDIR`, `LANG`, `TERM`,
    /// `GIT_CONFIG_NOSYSTEM`), which they may replace. Nothing else is in the environment.
    pub env: BTreeMap<String, String>,
    /// After this long everything of the command is killed.
    pub timeout: Duration,
    /// How many bytes of output are kept: the first and the last half of it each.
    pub output_limit: usize,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code: 0 means success.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Killed after its time was over.
    TimedOut,
    /// Killed because it was cancelled.
    Cancelled,
}

/// A command that has ended; no process of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to stdout and stderr, as it came. What is not UTF-8 is replaced, and what
    /// is too much is replaced by a line that says how many bytes were left out.
    pub output: String,
    /// From the start of the helper to its end.
    pub duration: Duration,
}

/// Starts commands.
#[derive(Debug, Clone)]
pub struct Launcher {
    helper: Vec<OsString>,
}

impl Launcher {
    /// `helper` is the program and the arguments that lead to
    /// [`helper_main`](crate::helper_main), by absolute path: `/proc/self/exe __exec`, say.
    #[must_use]
    pub const fn new(helper: Vec<OsString>) -> Self {
        Self { helper }
    }

    /// Runs a command in a workspace, under the workspace's user, until it and everything it
    /// started has ended. Dropping the future kills it too, without waiting for the end.
    ///
    /// # Errors
    /// The program can't be started ([`Error::NotStarted`]), the helper can't be started or
    /// was killed, or something of the command did not die. An end by code, signal, timeout or
    /// cancellation is no error.
    pub async fn run(
        &self,
        dir: &WorkspaceDir,
        command: &Command,
        cancel: &CancellationToken,
    ) -> Result<Finished> {
        let began = Instant::now();
        let request = request(dir, command);
        let program = request.argv.first().cloned().unwrap_or_default();
        let mut output = Output::new(command.output_limit);
        let stop = async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Exit::Cancelled,
                () = tokio::time::sleep(command.timeout) => Exit::TimedOut,
            }
        };
        let exit = if cancel.is_cancelled() {
            Exit::Cancelled
        } else {
            let request = wire::encode(&request).map_err(|source| Error::Helper { source })?;
            let helper = self.start(dir).map_err(|source| Error::Helper { source })?;
            let ended = helper.hold(request, stop, &mut output).await;
            exit_of(ended, program)?
        };
        Ok(Finished {
            exit,
            output: output.into_text(),
            duration: began.elapsed(),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts processes"
    )]
    fn start(&self, dir: &WorkspaceDir) -> io::Result<Helper> {
        let (program, arguments) = self
            .helper
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no helper is set"))?;
        // The open directory, not its path: the path may have been given to something else.
        let workspace = format!("/proc/self/fd/{}", dir.dir().as_raw_fd());
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .current_dir(workspace)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(lifeline), Some(control), Some(stream)) => Ok(Helper {
                child,
                lifeline,
                control,
                stream,
            }),
            _ => Err(io::Error::other("the helper has no pipes")),
        }
    }
}

/// How holding a helper ended.
enum Ended {
    /// By itself, with its report if it left one.
    Reported(Option<Report>),
    /// We stopped it, and everything is dead.
    Stopped(Exit),
    /// We stopped it, and it did not end.
    Stuck,
}

/// A running helper and the three pipes to it.
struct Helper {
    child: Child,
    /// The request goes in here; closing it ends everything.
    lifeline: ChildStdin,
    /// The report comes from here. The command does not have it.
    control: ChildStdout,
    /// What the command writes.
    stream: ChildStderr,
}

impl Helper {
    async fn hold(
        self,
        request: Vec<u8>,
        stop: impl Future<Output = Exit>,
        output: &mut Output,
    ) -> Ended {
        let Self {
            child,
            lifeline,
            control,
            stream,
        } = self;
        let gone = CancellationToken::new();
        let read = async {
            tokio::select! {
                biased;
                () = output.fill(stream) => {}
                () = async { gone.cancelled().await; tokio::time::sleep(DRAIN_LIMIT).await } => {}
            }
        };
        let attend = async {
            // Whichever is first; the life line goes with `talk`.
            let ended = tokio::select! {
                biased;
                report = talk(lifeline, control, request) => Ended::Reported(report),
                exit = stop => Ended::Stopped(exit),
            };
            let ended = bury(child, ended).await;
            gone.cancel();
            ended
        };
        let ((), ended) = tokio::join!(read, attend);
        ended
    }
}

/// Gives the helper its request and waits for its report. The life line is closed at the end.
async fn talk(mut lifeline: ChildStdin, control: ChildStdout, request: Vec<u8>) -> Option<Report> {
    lifeline.write_all(&request).await.ok()?;
    let mut report = Vec::new();
    let read = control.take(REPORT_LIMIT).read_to_end(&mut report).await;
    read.ok()?;
    serde_json::from_slice(&report).ok()
}

/// Waits until the helper is gone; it goes only after everything it held.
async fn bury(mut child: Child, ended: Ended) -> Ended {
    if tokio::time::timeout(KILL_LIMIT, child.wait()).await.is_ok() {
        return ended;
    }
    let killed = kill_group(&child);
    if let Err(error) = child.start_kill().and(killed) {
        tracing::warn!(%error, "can't kill a helper process");
    }
    Ended::Stuck
}

/// Kills the helper's process group, which the helper leads. It is not reaped yet, so its id is
/// still its own.
fn kill_group(child: &Child) -> io::Result<()> {
    let leader = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    leader.map_or(Ok(()), |group| Ok(kill_process_group(group, Signal::KILL)?))
}

fn exit_of(ended: Ended, program: String) -> Result<Exit> {
    match ended {
        Ended::Reported(Some(Report::Exited { code })) => Ok(Exit::Code(code)),
        Ended::Reported(Some(Report::Signalled { signal })) => Ok(Exit::Signal(signal)),
        Ended::Reported(Some(Report::NotStarted { errno, message })) => Err(Error::NotStarted {
            program,
            source: errno.map_or_else(|| io::Error::other(message), io::Error::from_raw_os_error),
        }),
        Ended::Reported(Some(Report::Stopped) | None) => Err(Error::HelperLost { program }),
        Ended::Stopped(exit) => Ok(exit),
        Ended::Stuck => Err(Error::NotEnded { program }),
    }
}

fn request(dir: &WorkspaceDir, command: &Command) -> Request {
    let argv = match &command.program {
        Program::Shell(script) => vec!["/bin/sh".to_owned(), "-c".to_owned(), script.clone()],
        Program::Argv(argv) => argv.clone(),
    };
    let agent = dir.path().join(".agent");
    let folder = |name: &str| agent.join(name).to_string_lossy().into_owned();
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), folder("home")),
        ("TMPDIR".to_owned(), folder("tmp")),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TERM".to_owned(), "dumb".to_owned()),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
    ]);
    env.extend(command.env.clone());
    Request {
        argv,
        env,
        uid: dir.uid(),
    }
}
