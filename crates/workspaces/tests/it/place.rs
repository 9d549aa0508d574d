//! A folder of workspaces of its own for each test.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fusion_workspaces::{
    Command, Exit, Finished, Launcher, Options, Owners, Program, Result, WorkspaceDir, Workspaces,
};
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_fusion-exec-helper");
const FIRST_UID: u32 = 210_000;
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) workspaces: Workspaces,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As root, agents are other users, who have to get in.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let workspaces = workspaces(folder.path().join("workspaces"));
        let _prepared = workspaces.preflight().unwrap();
        Self { folder, workspaces }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("workspaces")
    }

    pub(crate) fn agent(&self, number: u32) -> WorkspaceDir {
        let config = json!({ "name": "writer" });
        let env = BTreeMap::from([("GREETING".to_owned(), "good day".to_owned())]);
        self.workspaces
            .create(&name(number), uid(number), &config, &env)
            .unwrap()
    }

    /// A file that no agent may read or change.
    pub(crate) fn secret(&self) -> PathBuf {
        let path = self.folder.path().join("secret");
        fs::write(&path, "secret").unwrap();
        path
    }
}

pub(crate) fn workspaces(root: PathBuf) -> Workspaces {
    let owners = Owners::of_this_process(FIRST_UID..=FIRST_UID + 99);
    Workspaces::new(Options { root, owners })
}

pub(crate) fn name(number: u32) -> String {
    format!("019ab3c4-0000-7000-8000-{number:012}")
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn uid(number: u32) -> Option<u32> {
    is_root().then_some(FIRST_UID + number)
}

pub(crate) fn shell(script: &str) -> Command {
    Command {
        program: Program::Shell(script.to_owned()),
        env: BTreeMap::new(),
        stdin: String::new(),
        timeout: Duration::from_secs(60),
        output_limit: 10_000,
        output_file: None,
    }
}

/// The helper beside these tests where they were copied for another user, else the one that was
/// built with them.
fn helper() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("helper");
    if beside.exists() {
        beside
    } else {
        HELPER.into()
    }
}

pub(crate) fn launcher() -> Launcher {
    Launcher::new(vec![helper().into()])
}

/// The level below: as on a machine that allows no namespaces.
pub(crate) fn base() -> Launcher {
    launcher().without_namespaces("this test does without")
}

pub(crate) async fn run(dir: &WorkspaceDir, command: &Command) -> Result<Finished> {
    launcher()
        .run(dir, command, &CancellationToken::new())
        .await
}

/// Runs a script that is expected to be started; gives its end and its output.
pub(crate) async fn sh(dir: &WorkspaceDir, script: &str) -> (Exit, String) {
    let finished = run(dir, &shell(script)).await.unwrap();
    (finished.exit, finished.output)
}

/// Waits until `condition` gives something; fails the test when it takes too long.
pub(crate) async fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The ids, as the machine counts them, of what runs in a workspace: all of it has the
/// workspace's environment, whatever else it does to itself.
pub(crate) fn processes_of(dir: &WorkspaceDir) -> Vec<String> {
    let home = format!("HOME={}/.agent/home", dir.path().display());
    processes()
        .filter(|process| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == home.as_bytes())
        })
        .map(|process| process.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// The ids of the children of a process.
pub(crate) fn children_of(parent: u32) -> Vec<String> {
    processes()
        .filter(|process| {
            let status = fs::read(process.join("status")).unwrap_or_default();
            String::from_utf8_lossy(&status).contains(&format!("\nPPid:\t{parent}\n"))
        })
        .map(|process| process.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.map(|entry| entry.unwrap().path())
}

/// Whether a process with this id runs. One that has ended and is not reaped does not.
pub(crate) fn runs(pid: &str) -> bool {
    fs::read(Path::new("/proc").join(pid).join("stat")).is_ok_and(|stat| {
        let stat = String::from_utf8_lossy(&stat).into_owned();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    })
}

/// Makes folders in folders, deeper than any path can say.
pub(crate) fn dig(from: &Path, depth: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir = openat(rustix::fs::CWD, from, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(dir.as_fd(), "down", Mode::RWXU).unwrap();
        dir = openat(dir.as_fd(), "down", flags, Mode::empty()).unwrap();
    }
}

/// A file system that is taken down at the end of the test.
pub(crate) struct Mounted(String);

impl Mounted {
    pub(crate) fn tmpfs(at: &Path, options: &str) -> Self {
        let at = at.to_str().unwrap().to_owned();
        assert!(call("mount", &["-t", "tmpfs", "-o", options, "tmpfs", &at]));
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(call("umount", &["-l", &self.0]));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sets the scene, as a person would"
)]
fn call(program: &str, arguments: &[&str]) -> bool {
    std::process::Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success()
}
