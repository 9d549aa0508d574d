//! The process between a server and its owner, which outlives the owner and cleans up.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, geteuid};

use crate::server::{Dying, TRIES, free_port, signal};

const SCRIPT: &str = include_str!("keeper.sh");

/// What is kept, and how.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    /// For messages.
    pub(crate) name: &'static str,
    /// What is particular to it, as functions of sh that `keeper.sh` names. Everything that is done to
    /// the server's files and to its first process is done in there, by the user that it runs as.
    pub(crate) script: &'static str,
    /// Whom root takes, the first that exists.
    pub(crate) users: &'static [&'static str],
    /// The folder of the server's programs.
    pub(crate) binaries: &'a Path,
}

/// A shell that runs the script. Dropped, or with the end of this process, it ends the server.
#[derive(Debug)]
pub(crate) struct Keeper {
    name: &'static str,
    process: Child,
    answers: BufReader<ChildStdout>,
    /// Holds all files of the server.
    pub(crate) folder: PathBuf,
}

impl Keeper {
    /// Creates the files of a server with this password, and starts nothing yet.
    ///
    /// # Errors
    /// When they can't be created, with the reason.
    pub(crate) fn start(kept: &Kept<'_>, password: &str) -> Result<Self> {
        let mut process = command(kept)?.spawn().context("could not start a shell")?;
        let answers = process.stdout.take().context("the shell has no output")?;
        let mut keeper = Self {
            name: kept.name,
            process,
            answers: BufReader::new(answers),
            folder: PathBuf::new(),
        };
        let folder = keeper
            .order(password)
            .with_context(|| format!("{} could not create its files", kept.name))?;
        keeper.folder = PathBuf::from(folder);
        Ok(keeper)
    }

    /// Hands over a line and waits for what it gives.
    ///
    /// # Errors
    /// When it failed, with the reason, or the keeper is gone.
    pub(crate) fn order(&mut self, line: &str) -> Result<String> {
        let orders = self.process.stdin.as_mut().context("it has no input")?;
        let name = self.name;
        writeln!(orders, "{line}").with_context(|| format!("the keeper of {name} is gone"))?;
        let mut said = Vec::new();
        for line in self.answers.by_ref().lines() {
            let line = line.with_context(|| format!("could not read the keeper of {name}"))?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("ok", gave) => return Ok(gave.to_owned()),
                ("failed", _) => break,
                _ => said.push(line),
            }
        }
        bail!("{}", said.join("\n").trim())
    }
}

impl Keeper {
    /// Starts the server on a port that is free, which it gives with the first process.
    ///
    /// # Errors
    /// When it does not start, with its log.
    pub(crate) fn start_somewhere(&mut self) -> Result<(u16, Pid)> {
        let mut tries = 1;
        loop {
            let port = free_port()?;
            match self.start_on(port) {
                Ok(process) => return Ok((port, process)),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    /// Starts the server on a port; gives its first process.
    ///
    /// # Errors
    /// When it runs already or does not start, with its log.
    pub(crate) fn start_on(&mut self, port: u16) -> Result<Pid> {
        let name = self.name;
        let answer = self.order(&format!("start {port}"));
        let answer = answer.with_context(|| format!("{name} did not start"))?;
        let process = answer.parse().ok().and_then(Pid::from_raw);
        process.with_context(|| format!("no process id: {answer:?}"))
    }

    /// Ends processes of the server at once (SIGKILL), its first one among them.
    ///
    /// # Errors
    /// When one can't be killed, or does not end.
    pub(crate) fn kill(&mut self, processes: &[Pid]) -> Result<()> {
        let dying = Dying::of(processes);
        signal(processes, Signal::KILL)?;
        self.order("stop")?;
        let name = self.name;
        dying.end().with_context(|| format!("{name} was killed"))
    }
}

#[cfg(test)]
impl Keeper {
    pub(crate) fn id(&self) -> Pid {
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
fn command(kept: &Kept<'_>) -> Result<Command> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("{}\n{SCRIPT}", kept.script), "keeper"])
        .args([kept.binaries, &std::env::temp_dir()])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        // Not of the terminal's group: Ctrl-C is its owner's to act on.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if geteuid().is_root() {
        let (user, group) = unprivileged(kept)?;
        command.uid(user).gid(group);
    }
    Ok(command)
}

fn unprivileged(kept: &Kept<'_>) -> Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").context("could not read /etc/passwd")?;
    let Kept { name, users, .. } = kept;
    let found = users.iter().find_map(|user| ids(&accounts, user));
    found.with_context(|| {
        format!("root does not run {name}, and there is no user of the names {users:?}")
    })
}

fn ids(accounts: &str, user: &str) -> Option<(u32, u32)> {
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(user))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
