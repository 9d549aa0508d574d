//! The real binary in a throw-away project folder.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use fusion_persistence::{Page, Repository, RunFilter};
use fusion_persistence_sql::SqlStore;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdout, Command};

use crate::own_store::file;
use crate::schemas;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_fusion-kit");

/// No command and no condition takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A shell command that lasts until [`Project::open_the_gate`].
pub(crate) const GATE: &str = "until test -e go; do sleep 0.1; done";

/// The answers for a step `first` and a step `second`, which lasts until the gate is open.
pub(crate) fn gated_script() -> String {
    format!(
        "
version: 1
steps:
  first: [{{ text: one }}]
  second:
    - tool_calls: [{{ name: run_command, arguments: {{ command: '{GATE}' }} }}]
    - text: two
"
    )
}

/// A folder with workflow files, of its own for each test.
#[derive(Debug)]
pub(crate) struct Project {
    dir: TempDir,
    settings: BTreeMap<&'static str, String>,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        // As root, agents have users of their own, who must get through to their workspaces.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        Self {
            dir,
            settings: BTreeMap::new(),
        }
    }

    /// A project with one workflow `flow.yaml` and the answers `script.yaml`.
    pub(crate) fn with(workflow: &str, script: &str) -> Self {
        let project = Self::new();
        project.write("flow.yaml", workflow);
        project.write("script.yaml", script);
        project
    }

    /// A project with a copy of the examples of the repository.
    pub(crate) fn of_examples() -> Self {
        let project = Self::new();
        for entry in fs::read_dir(examples()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), project.path().join(entry.file_name())).unwrap();
        }
        project
    }

    /// Gives every command of this project an environment variable.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.insert(name, value.into());
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path().join(".fusion-kit")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    /// Lets the commands [`GATE`] end: each begins in its workspace or in the folder of its projects.
    pub(crate) fn open_the_gate(&self) {
        for workspace in fs::read_dir(self.data_dir().join("workspaces")).unwrap() {
            let workspace = workspace.unwrap().path();
            for folder in [workspace.clone(), workspace.join("projects")] {
                fs::write(folder.join("go"), "").unwrap();
            }
        }
    }

    /// The binary with these arguments, in this folder, with nothing of ours in its environment but
    /// the project's settings.
    pub(crate) fn fusion_kit<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Invocation {
        self.call(BINARY, arguments)
    }

    /// The same with a program that leads to the binary.
    pub(crate) fn call<S: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Invocation {
        let mut command = program(name);
        command
            .args(arguments)
            .current_dir(self.path())
            .envs(&self.settings);
        Invocation { command }
    }

    /// Runs the binary to its end.
    pub(crate) async fn run<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Finished {
        self.fusion_kit(arguments).finish().await
    }

    /// The newest run, as `run show --json` tells it.
    pub(crate) async fn shown(&self) -> Value {
        self.run(["run", "show", "--json"]).await.json()
    }

    /// Waits until `run show --json` tells a run for which this holds.
    pub(crate) async fn until<F>(&self, what: &str, holds: F) -> Value
    where
        F: Fn(&Value) -> bool + Send + Sync,
    {
        let began = Instant::now();
        loop {
            let shown = self.run(["run", "show", "--json"]).await;
            if shown.code == Some(0) {
                let run = shown.json();
                if holds(&run) {
                    return run;
                }
            }
            breathe(began, what).await;
        }
    }

    /// The store of this project's data, for reading, and the id of its newest run.
    pub(crate) async fn store(&self) -> (SqlStore, fusion_core::RunId) {
        let store = SqlStore::open_to_read(&file(self)).await.unwrap().unwrap();
        let every = RunFilter::default();
        let run = store.list(&every, Page::first(1)).await.unwrap()[0].id;
        (store, run)
    }

    /// Every file and folder with its content: what "nothing is left behind" is compared by.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        contents(self.path())
    }

    /// What this folder's agents and commands still have running: processes that work below it
    /// or name it.
    pub(crate) fn processes(&self) -> Vec<String> {
        let here = self.path().to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let of_folder = fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(here));
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if of_folder || line.contains(here) {
                found.push(format!("{}: {line}", path.display()));
            }
        }
        found
    }
}

/// Everything below a folder.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(contents(&path));
            found.insert(path, None);
        } else {
            let bytes = kind.is_file().then(|| fs::read(&path).unwrap());
            found.insert(path, bytes);
        }
    }
    found
}

/// The `examples` folder of the repository.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// A call of the binary that has not begun.
#[derive(Debug)]
pub(crate) struct Invocation {
    command: Command,
}

impl Invocation {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes what it says on stderr into a file.
    pub(crate) fn log_to(mut self, file: fs::File) -> Self {
        self.command.stderr(file);
        self
    }

    /// Waits for its end, and checks the form of what it said.
    pub(crate) async fn finish(self) -> Finished {
        let arguments = self.command.as_std().get_args();
        let arguments: Vec<OsString> = arguments.map(OsStr::to_owned).collect();
        let done = self.start().finish().await;
        schemas::check(&arguments, &done.stdout);
        done
    }

    /// Starts it; it is killed when the test ends before it does.
    pub(crate) fn start(mut self) -> Running {
        Running {
            child: self.command.spawn().unwrap(),
        }
    }

    /// The command, for what only one test needs.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

/// Starts a program with an empty environment but `PATH`, its output caught.
#[expect(
    clippy::disallowed_methods,
    reason = "these tests are about real processes; all of them start here"
)]
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What the binary says to a line of words, none of which has a space in it.
pub(crate) async fn said(project: &Project, line: &str) -> Finished {
    project
        .run(line.split(' ').filter(|word| !word.is_empty()))
        .await
}

/// A call of the binary under way.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Whether it is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal and waits for the end, which must come within two seconds.
    pub(crate) async fn stop(self, signal: Signal) -> Finished {
        self.signal(signal);
        let sent = Instant::now();
        let finished = self.finish().await;
        let took = sent.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?} after {signal:?}");
        finished
    }

    /// What it says on stdout, from now on.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub(crate) async fn finish(self) -> Finished {
        let ended = tokio::time::timeout(LIMIT, self.child.wait_with_output()).await;
        Finished::from(ended.expect("the command ends in time").unwrap())
    }
}

/// A call of the binary that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            status: output.status,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Finished {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// All of stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON value ({error}): {self:?}"))
    }

    /// Fails unless stderr has each of these texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "'{text}' is not in:\n{}",
                self.stderr
            );
        }
        self
    }
}

/// The step of this id in what `--json` shows of a run.
#[track_caller]
pub(crate) fn step<'a>(run: &'a Value, id: &str) -> &'a Value {
    let steps = run["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["id"] == id);
    found.unwrap_or_else(|| panic!("no step '{id}' in {run:#}"))
}

/// The states of all steps, in the order of the file.
pub(crate) fn states(run: &Value) -> Vec<(&str, &str)> {
    let steps = run["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            (
                step["id"].as_str().unwrap(),
                step["state"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Looks until there is something to see.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T> + Send) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        breathe(began, what).await;
    }
}

/// A moment between two looks; fails when they take too long.
pub(crate) async fn breathe(began: Instant, what: &str) {
    assert!(began.elapsed() < LIMIT, "waited too long for {what}");
    tokio::time::sleep(Duration::from_millis(5)).await;
}

pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}
