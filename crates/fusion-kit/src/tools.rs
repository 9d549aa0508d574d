//! Commands and tools that a person runs as an agent would: `sandbox run` and `tool`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_agents::ToolPlace;
use fusion_api_types::{Problem, ProblemKind, ToolAnswer, ToolList, ToolView};
use fusion_cli::{HeldCommand, NotRun, ToolFolder, Tools};
use fusion_web::Hosts;
use fusion_workspaces::{Command, Error, Exit, Launcher, Program, Sandbox, Scratch, WorkspaceDir};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::backend::LocalBackend;
use crate::signals::stop_on_signal;
use crate::system::SystemIds;
use crate::{problems, sandbox, wiring};

/// No request is longer, in bytes.
const LINE_LIMIT: u64 = 16 * 1024 * 1024;
/// As shells and programs such as `env` number it: the sandbox failed, the command can't be
/// run, there is none of that name, a signal ended it.
const NOT_HELD: u8 = 125;
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
const SIGNALS: i32 = 128;
const KILLED: u8 = 137;

#[async_trait]
impl Tools for LocalBackend {
    async fn run_held(
        &self,
        command: &HeldCommand,
        notice: &(dyn Fn(&str) + Sync),
    ) -> Result<u8, NotRun> {
        let failed = |problem| NotRun {
            problem,
            code: NOT_HELD,
        };
        let launcher = self.launcher().map_err(failed)?;
        if launcher.sandbox() == Sandbox::Off {
            notice(sandbox::OFF);
        }
        let place = match &command.workspace {
            Some(path) => Workspace::Given(self.adopt(path).map_err(failed)?),
            None => Workspace::Made(self.scratch().map_err(failed)?),
        };
        let command = Command {
            program: Program::Argv(command.argv.clone()),
            env: BTreeMap::new(),
            stdin: String::new(),
            timeout: Duration::MAX,
            output_limit: 0,
            output_file: None,
        };
        let streams = own_streams().map_err(|error| {
            let problem = format!("the streams can't be handed on: {error}");
            failed(Problem::new(ProblemKind::Unavailable, problem))
        })?;
        let ended = until_signal(|stop| async move {
            launcher.pass(place.dir(), &command, streams, &stop).await
        })
        .await;
        ended
            .map(|finished| code_of(finished.exit))
            .map_err(|error| not_run(&error))
    }

    fn tools(&self) -> ToolList {
        let view = |tool: fusion_agents::ToolInfo| ToolView {
            name: tool.spec.name,
            group: tool.group.to_string(),
            effect: tool.effect.to_string(),
            description: tool.spec.description,
            parameters: tool.spec.parameters,
        };
        ToolList {
            tools: fusion_agents::tools().into_iter().map(view).collect(),
        }
    }

    async fn call_tool(
        &self,
        name: &str,
        input: Value,
        folder: ToolFolder<'_>,
    ) -> Result<ToolAnswer, Problem> {
        let hosts = Hosts::try_from(folder.hosts.to_vec())
            .map_err(|error| Problem::new(ProblemKind::InvalidInput, error.to_string()))?;
        let place = ToolPlace {
            launcher: self.launcher()?,
            workspace: Arc::new(self.adopt(folder.workspace)?),
            web: wiring::web(),
            hosts,
        };
        let name = name.to_owned();
        let answer = until_signal(|stop| async move {
            fusion_agents::call_tool(name, input, place, &stop).await
        })
        .await;
        let answer = answer.ok_or_else(|| Problem::new(ProblemKind::Timeout, "it was stopped"))?;
        Ok(ToolAnswer {
            ok: answer.ok,
            content: answer.content,
            exit_code: answer.exit_code,
        })
    }

    async fn next_line(&self) -> Result<Option<String>, Problem> {
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            let stdin = io::stdin().lock();
            let bytes = stdin.take(LINE_LIMIT).read_line(&mut line)?;
            if u64::try_from(bytes).is_ok_and(|bytes| bytes == LINE_LIMIT) {
                return Err(io::Error::other("a line is longer than 16 MiB"));
            }
            Ok((bytes > 0).then(|| line.trim_end_matches('\n').to_owned()))
        });
        let read = read.await.map_err(io::Error::other).flatten();
        read.map_err(|error| {
            Problem::new(
                ProblemKind::InvalidInput,
                format!("stdin can't be read: {error}"),
            )
        })
    }
}

impl LocalBackend {
    fn launcher(&self) -> Result<Launcher, Problem> {
        wiring::launcher(self.config(), &self.data_dir()?)
    }

    fn adopt(&self, path: &Path) -> Result<WorkspaceDir, Problem> {
        wiring::check_folder(path, self.config(), &self.data_dir()?)?;
        let owners = wiring::owners(self.config())?;
        WorkspaceDir::adopt(path, &owners, SystemIds::new().seed())
            .map_err(|error| problems::of_workspaces(&error))
    }
}

/// Works until the work is done; the first signal cancels it.
async fn until_signal<T, F: Future<Output = T>>(work: impl FnOnce(CancellationToken) -> F) -> T {
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let work = work(stop.clone());
    let signals = async {
        stop_on_signal(stop.clone(), ended.clone()).await;
        // Signals can't be caught here.
        std::future::pending().await
    };
    tokio::select! {
        done = work => done,
        never = signals => never,
    }
}

enum Workspace {
    Given(WorkspaceDir),
    Made(Scratch),
}

impl Workspace {
    const fn dir(&self) -> &WorkspaceDir {
        match self {
            Self::Given(dir) => dir,
            Self::Made(scratch) => scratch.dir(),
        }
    }
}

fn own_streams() -> io::Result<[OwnedFd; 3]> {
    Ok([
        io::stdin().as_fd().try_clone_to_owned()?,
        io::stdout().as_fd().try_clone_to_owned()?,
        io::stderr().as_fd().try_clone_to_owned()?,
    ])
}

fn not_run(error: &Error) -> NotRun {
    let problem = problems::of_workspaces(error);
    let code = match (error, problem.kind) {
        (Error::NotStarted { .. }, ProblemKind::NotFound) => NOT_FOUND,
        (Error::NotStarted { .. }, _) => NOT_RUN,
        _ => NOT_HELD,
    };
    NotRun { problem, code }
}

fn code_of(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => u8::try_from(code & 0xFF).unwrap_or(u8::MAX),
        Exit::Signal(signal) => u8::try_from(SIGNALS + signal).unwrap_or(u8::MAX),
        Exit::OverLimit(_) | Exit::TimedOut => KILLED,
        Exit::Cancelled => fusion_cli::Exit::Interrupted.code(),
    }
}
