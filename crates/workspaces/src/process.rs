//! The one place that starts processes: a command of an agent, held by a helper process.
//!
//! The launcher starts this program again as a helper ([`helper_main`](crate::helper_main)),
//! hands it the request over its stdin and keeps that pipe open as a life line. The helper
//! starts the command, and when the command ends or the life line does, it kills everything
//! that came of the command before it reports. So nothing survives a timeout, a cancellation,
//! a dropped future, or the death of this process.

mod custody;
mod granted;
mod held;
mod output;
mod request;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use crate::sandbox::folders::Withheld;
use crate::{Error, Grants, Limits, Resource, Result, Sandbox, SandboxReport, Usage, WorkspaceDir};
pub use custody::{Consumed, Custody};
use granted::Variables;
use held::{Ended, Helper, Lifeline};
use output::Output;
use wire::Report;

/// Where commands look for programs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long the sandbox's own test may take.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// What runs the scripts of commands.
const SHELL: &str = "/bin/sh";

/// What is told with the output of a command whose workspace takes more than it may.
const FULL: &str =
    "[the workspace is over its limit on the disk: this command can remove files, not write any]\n";

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
    /// What it reads from its stdin; with streams of its own it has that instead.
    pub stdin: String,
    /// After this long everything of the command is killed.
    pub timeout: Duration,
    /// How many bytes of output are kept: the first and the last half of it each.
    pub output_limit: usize,
    /// Where in `logs/` of the workspace the whole output is put when it does not fit: a file name.
    pub output_file: Option<String>,
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
    /// Killed because it used too much.
    OverLimit(Resource),
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
    /// What held it; `None` when it was not started.
    pub sandbox: Option<SandboxReport>,
}

/// Starts commands.
#[derive(Debug, Clone)]
pub struct Launcher {
    helper: Vec<OsString>,
    sandbox: Sandbox,
    limits: Limits,
    grants: Grants,
    withheld: Withheld,
    variables: Variables,
    custody: Custody,
    /// Why this machine has no namespaces, once that was found out.
    no_namespaces: Arc<OnceLock<String>>,
}

impl Launcher {
    /// `helper` is the program and the arguments that lead to
    /// [`helper_main`](crate::helper_main), by absolute path: `/proc/self/exe __exec`, say.
    #[must_use]
    pub fn new(helper: Vec<OsString>) -> Self {
        Self {
            helper,
            sandbox: Sandbox::On,
            limits: Limits::default(),
            grants: Grants::default(),
            withheld: Withheld::default(),
            variables: Variables::none(),
            custody: Custody::default(),
            no_namespaces: Arc::default(),
        }
    }

    /// Whether commands are held by the kernel.
    #[must_use]
    pub const fn with_sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// How much of the machine a command may use.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps these from every command, though they may be below a folder of programs.
    #[must_use]
    pub fn hiding(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.withheld.whole.extend(paths);
        self
    }

    /// Neither these folders nor those around them are given to any command; folders in them may be.
    #[must_use]
    pub fn withholding(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.withheld.around.extend(paths);
        self
    }

    /// Where the values of granted variables come from.
    #[must_use]
    pub fn with_variables(
        mut self,
        find: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.variables = Variables(Arc::new(find));
        self
    }

    /// Counts what commands use.
    #[must_use]
    pub fn counted(mut self, custody: Custody) -> Self {
        self.custody = custody;
        self
    }

    /// Does without namespaces, as on a machine that allows none.
    #[must_use]
    pub fn without_namespaces(mut self, why: &str) -> Self {
        self.no_namespaces = Arc::new(OnceLock::from(why.to_owned()));
        self
    }

    /// What the operator set.
    #[must_use]
    pub const fn sandbox(&self) -> Sandbox {
        self.sandbox
    }

    /// Runs a command in a workspace, under the workspace's user, until it and everything it
    /// started has ended. Dropping the future kills it too, without waiting for the end.
    ///
    /// # Errors
    /// The program can't be started ([`Error::NotStarted`]), a promised layer of the sandbox
    /// can't be had, the helper can't be started or was killed, or something of the command did
    /// not die. An end by code, signal, timeout, limit or cancellation is no error.
    pub async fn run(
        &self,
        dir: &WorkspaceDir,
        command: &Command,
        cancel: &CancellationToken,
    ) -> Result<Finished> {
        self.run_with(dir, command, None, cancel).await
    }

    /// The same, with streams of its own for the command: nothing is kept of what it writes, and
    /// its output has no limit.
    ///
    /// # Errors
    /// As [`Launcher::run`].
    pub async fn pass(
        &self,
        dir: &WorkspaceDir,
        command: &Command,
        streams: [OwnedFd; 3],
        cancel: &CancellationToken,
    ) -> Result<Finished> {
        self.run_with(dir, command, Some(&streams), cancel).await
    }

    /// Puts the sandbox on in a workspace, tries from inside what it must deny, and says what
    /// holds. A promise that is broken is in the report.
    ///
    /// # Errors
    /// There is no room for a file to try it on, the helper can't be started or was killed.
    pub async fn look(&self, dir: &WorkspaceDir) -> Result<SandboxReport> {
        if self.sandbox == Sandbox::Off {
            return Ok(SandboxReport::nothing(Sandbox::Off, "switched off"));
        }
        let canary = canary().map_err(Error::io("make a file in", std::env::temp_dir()))?;
        let command = Command {
            program: Program::Argv(Vec::new()),
            env: BTreeMap::new(),
            stdin: String::new(),
            timeout: LOOK_LIMIT,
            output_limit: 0,
            output_file: None,
        };
        let attempt = Attempt {
            dir,
            command: &command,
            streams: None,
            canary: Some(canary.path()),
            used: None,
        };
        let (ended, _) = self.attempt(&attempt, &CancellationToken::new()).await?;
        let program = "the sandbox's own test".to_owned();
        match ended {
            Ended::Reported(Some(answer)) => match answer.report {
                Report::NotStarted { errno, message } => Err(not_started(program, errno, message)),
                Report::Exited { .. }
                | Report::Signalled { .. }
                | Report::Refused
                | Report::NoNamespaces { .. }
                | Report::OverLimit { .. }
                | Report::Stopped => Ok(answer.sandbox),
            },
            Ended::Reported(None) | Ended::Stopped(..) | Ended::Stuck => {
                Err(Error::HelperLost { program })
            }
        }
    }

    async fn run_with(
        &self,
        dir: &WorkspaceDir,
        command: &Command,
        streams: Option<&[OwnedFd; 3]>,
        cancel: &CancellationToken,
    ) -> Result<Finished> {
        let began = Instant::now();
        let program = match &command.program {
            Program::Shell(_) => SHELL.to_owned(),
            Program::Argv(argv) => argv.first().cloned().unwrap_or_default(),
        };
        if matches!(&command.program, Program::Argv(argv) if argv.is_empty()) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "no program is given");
            return Err(Error::NotStarted { program, source });
        }
        let mut is_full = false;
        let (ended, mut output) = if cancel.is_cancelled() {
            let output = Output::new(0, u64::MAX);
            (Ended::Stopped(Exit::Cancelled, None), output)
        } else {
            let used = self.used(dir).await;
            is_full = used.is_some_and(|used| used.is_over(dir.quota()));
            let attempt = Attempt {
                dir,
                command,
                streams,
                canary: None,
                used,
            };
            let ended = self.attempt(&attempt, cancel).await?;
            dir.note_command();
            ended
        };
        let (exit, sandbox) = exit_of(ended, program)?;
        let whole = keep_whole(dir, command, &mut output).await;
        let mut output = output.into_text(whole.as_deref());
        if is_full {
            output.insert_str(0, FULL);
        }
        Ok(Finished {
            exit,
            output,
            duration: began.elapsed(),
            sandbox,
        })
    }

    /// Tries once, and once more without namespaces where this machine turns out to have none.
    async fn attempt(
        &self,
        attempt: &Attempt<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Ended, Output)> {
        let Attempt {
            dir,
            command,
            streams,
            ..
        } = *attempt;
        loop {
            let flood = if streams.is_some() {
                u64::MAX
            } else {
                self.limits.output
            };
            let mut output = Output::new(command.output_limit, flood);
            if command.output_file.is_some() {
                output = output.spooled();
            }
            let flooded = output.flooded();
            let stop = async {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Exit::Cancelled,
                    () = flooded.cancelled() => Exit::OverLimit(Resource::Output),
                    () = tokio::time::sleep(command.timeout) => Exit::TimedOut,
                }
            };
            let failed = |source| Error::Helper { source };
            // Another command may find it out in the meantime.
            let no_namespaces = self.no_namespaces.get().cloned();
            let has_tried = no_namespaces.is_none();
            let request = self.request(attempt, no_namespaces);
            let request = wire::encode(&request).map_err(failed)?;
            let helper = self.start(dir, streams).map_err(failed)?;
            let counted = self.custody.begin(helper.child.id());
            let ended = helper.hold(request, stop, &mut output).await;
            if let Some((counted, spent)) = counted.zip(ended.spent()) {
                counted.end(spent);
            }
            if let Ended::Reported(Some(answer)) = &ended
                && let Report::NoNamespaces { why } = &answer.report
                && has_tried
            {
                if self.no_namespaces.set(why.clone()).is_ok() {
                    tracing::info!(why, "commands are held without namespaces");
                }
                continue;
            }
            return Ok((ended, output));
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts processes"
    )]
    fn start(&self, dir: &WorkspaceDir, streams: Option<&[OwnedFd; 3]>) -> io::Result<Helper> {
        let (program, arguments) = self
            .helper
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no helper is set"))?;
        // The open directory, not its path: the path may have been given to something else.
        let workspace = format!("/proc/self/fd/{}", dir.dir().as_raw_fd());
        let mut helper = tokio::process::Command::new(program);
        helper
            .args(arguments)
            .env_clear()
            .current_dir(workspace)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let socket = match streams {
            None => None,
            Some(streams) => {
                let (ours, theirs) = UnixStream::pair()?;
                wire::send_streams(&ours, streams.each_ref().map(AsFd::as_fd))?;
                helper.stdin(OwnedFd::from(theirs));
                Some(ours)
            }
        };
        let mut child = helper.spawn()?;
        let lifeline = match socket {
            Some(socket) => Some(Lifeline::Socket(socket)),
            None => child.stdin.take().map(Lifeline::Pipe),
        };
        match (lifeline, child.stdout.take(), child.stderr.take()) {
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

/// One start of a helper.
struct Attempt<'a> {
    dir: &'a WorkspaceDir,
    command: &'a Command,
    streams: Option<&'a [OwnedFd; 3]>,
    canary: Option<&'a Path>,
    used: Option<Usage>,
}

/// Puts the whole of a long output where the command asked for it, and says where that is. It is a
/// help only: without it the output has its beginning and its end.
async fn keep_whole(dir: &WorkspaceDir, command: &Command, output: &mut Output) -> Option<String> {
    let name = command.output_file.clone()?;
    let kept = match output.take_whole().await {
        Ok(None) => return None,
        Ok(Some(whole)) => dir.keep_log(name, whole).await,
        Err(error) => Err(error),
    };
    kept.inspect_err(|error| tracing::warn!(%error, "the whole output of a command can't be kept"))
        .ok()
}

/// A file that every user may read and write; it goes with what is given back.
fn canary() -> io::Result<tempfile::NamedTempFile> {
    let rights = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new()
        .prefix("fusion-canary-")
        .permissions(rights)
        .tempfile()
}

fn exit_of(ended: Ended, program: String) -> Result<(Exit, Option<SandboxReport>)> {
    let answer = match ended {
        Ended::Reported(Some(answer)) => answer,
        Ended::Reported(None) => return Err(Error::HelperLost { program }),
        Ended::Stopped(exit, _) => return Ok((exit, None)),
        Ended::Stuck => return Err(Error::NotEnded { program }),
    };
    let exit = match answer.report {
        Report::Exited { code } => Exit::Code(code),
        Report::Signalled { signal } if signal == Signal::XCPU.as_raw() => {
            Exit::OverLimit(Resource::Cpu)
        }
        Report::Signalled { signal } => Exit::Signal(signal),
        Report::OverLimit { resource } => Exit::OverLimit(resource),
        Report::NotStarted { errno, message } => return Err(not_started(program, errno, message)),
        Report::Refused | Report::Stopped | Report::NoNamespaces { .. } => {
            answer.sandbox.check()?;
            return Err(Error::HelperLost { program });
        }
    };
    Ok((exit, Some(answer.sandbox)))
}

fn not_started(program: String, errno: Option<i32>, message: String) -> Error {
    let source = errno.map_or_else(|| io::Error::other(message), io::Error::from_raw_os_error);
    Error::NotStarted { program, source }
}
