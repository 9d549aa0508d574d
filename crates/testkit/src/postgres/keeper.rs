//! The process between the server and its owner, which outlives the owner and cleans up.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
#[cfg(test)]
use rustix::process::Pid;
use rustix::process::geteuid;

/// Everything that is done to the server's files and to its first process is done in here, by the
/// user that the server runs as.
const SCRIPT: &str = include_str!("keeper.sh");

/// Whom root takes, the first that exists.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A shell that runs [`SCRIPT`]. Dropped, or with the end of this process, it ends the server.
#[derive(Debug)]
pub(super) struct Keeper {
    process: Child,
    answers: BufReader<ChildStdout>,
    /// Holds all files of the server.
    pub(super) folder: PathBuf,
}

impl Keeper {
    /// Creates a cluster with this password, and starts nothing yet.
    ///
    /// # Errors
    /// When the cluster can't be created, with what `initdb` said.
    pub(super) fn start(binaries: &Path, password: &str) -> Result<Self> {
        let mut process = command(binaries)?
            .spawn()
            .context("could not start a shell")?;
        let answers = process.stdout.take().context("the shell has no output")?;
        let mut keeper = Self {
            process,
            answers: BufReader::new(answers),
            folder: PathBuf::new(),
        };
        let folder = keeper
            .order(password)
            .context("PostgreSQL could not create a cluster")?;
        keeper.folder = PathBuf::from(folder);
        Ok(keeper)
    }

    /// Hands over a line and waits for what it gives.
    ///
    /// # Errors
    /// When it failed, with the reason, or the keeper is gone.
    pub(super) fn order(&mut self, line: &str) -> Result<String> {
        let orders = self.process.stdin.as_mut().context("it has no input")?;
        writeln!(orders, "{line}").context("the keeper of PostgreSQL is gone")?;
        let mut said = Vec::new();
        for line in self.answers.by_ref().lines() {
            let line = line.context("could not read the keeper of PostgreSQL")?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("ok", gave) => return Ok(gave.to_owned()),
                ("failed", _) => break,
                _ => said.push(line),
            }
        }
        bail!("{}", said.join("\n").trim())
    }
}

#[cfg(test)]
impl Keeper {
    pub(super) fn id(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Closes its input, which tells it to end.
        self.process.wait().ok();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server of a test; nothing of an agent runs here"
)]
fn command(binaries: &Path) -> Result<Command> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "keeper"])
        .args([binaries, &std::env::temp_dir()])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        // Not of the terminal's group: Ctrl-C is its owner's to act on.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if geteuid().is_root() {
        let (user, group) = unprivileged()?;
        command.uid(user).gid(group);
    }
    Ok(command)
}

fn unprivileged() -> Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").context("could not read /etc/passwd")?;
    let found = USERS.iter().find_map(|user| ids(&accounts, user));
    found.with_context(|| {
        format!("root can't run PostgreSQL, and there is no user of the names {USERS:?}")
    })
}

fn ids(accounts: &str, user: &str) -> Option<(u32, u32)> {
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(user))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
