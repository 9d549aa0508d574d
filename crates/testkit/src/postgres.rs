//! A PostgreSQL server of one's own.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use crate::keeper::{Keeper, Kept};
use crate::server::{random_text, signal};

const SCRIPT: &str = include_str!("postgres/server.sh");

/// A PostgreSQL server with data, port and password of its own, on 127.0.0.1 only.
///
/// It belongs to the process that started it: when that ends, in whatever way, or this is dropped,
/// the server is stopped and its files are removed. Root can't run PostgreSQL, so under root it runs
/// as the user `postgres`, else as `nobody`. All methods block until what they promise holds.
#[derive(Debug)]
pub struct Postgres {
    keeper: Keeper,
    password: String,
    port: u16,
    postmaster: Option<Pid>,
}

impl Postgres {
    /// Creates an empty cluster (a second or two) and starts it. `binaries` is the folder that
    /// [`postgres_binaries`](crate::postgres_binaries) finds.
    ///
    /// # Errors
    /// When it can't be created or started, with the server's log.
    pub fn start(binaries: &Path) -> Result<Self> {
        let password = random_text()?;
        let kept = Kept {
            name: "PostgreSQL",
            script: SCRIPT,
            users: &["postgres", "nobody"],
            binaries,
        };
        let mut keeper = Keeper::start(&kept, &password)?;
        let (port, postmaster) = keeper.start_somewhere()?;
        Ok(Self {
            keeper,
            password,
            port,
            postmaster: Some(postmaster),
        })
    }

    /// A superuser's URL of the database `postgres`; the same for the whole life of the server.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")
    }

    /// Stops the server as a crash does: connections are cut, the next start recovers from the log.
    /// Does nothing to a server that is down.
    ///
    /// # Errors
    /// When its keeper is gone.
    pub fn stop_immediate(&mut self) -> Result<()> {
        self.resume()?;
        self.keeper.order("stop")?;
        self.postmaster = None;
        Ok(())
    }

    /// Starts a server that is down, with its data, on its port.
    ///
    /// # Errors
    /// When it runs already or does not start, with its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.postmaster = Some(self.keeper.start_on(self.port)?);
        Ok(())
    }

    /// Kills all processes of the server at once (SIGKILL), as the end of the machine would.
    /// Does nothing to a server that is down.
    ///
    /// # Errors
    /// When a process can't be killed, or does not end.
    pub fn kill(&mut self) -> Result<()> {
        let processes = self.halt()?;
        self.postmaster = None;
        self.keeper.kill(&processes)
    }

    /// Pauses all processes of the server (SIGSTOP): connections stay open, nothing answers.
    /// Does nothing to a server that is down.
    ///
    /// # Errors
    /// When a process can't be paused.
    pub fn pause(&mut self) -> Result<()> {
        self.halt().map(drop)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When a process can't be woken.
    pub fn resume(&mut self) -> Result<()> {
        signal(&self.processes()?, Signal::CONT)
    }

    /// Stops the postmaster first: it then makes no process that would be overlooked.
    fn halt(&self) -> Result<Vec<Pid>> {
        signal(self.postmaster.as_slice(), Signal::STOP)?;
        let processes = self.processes()?;
        signal(&processes, Signal::STOP)?;
        Ok(processes)
    }

    /// The postmaster and its children; none when the server is down.
    fn processes(&self) -> Result<Vec<Pid>> {
        let Some(postmaster) = self.postmaster else {
            return Ok(Vec::new());
        };
        let mut processes = vec![postmaster];
        let entries = std::fs::read_dir("/proc").context("could not list the processes")?;
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        processes.extend(
            ids.filter_map(Pid::from_raw)
                .filter(|process| parent(*process) == Some(postmaster)),
        );
        Ok(processes)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its paused children would only end by the server's own time limit.
        self.resume().ok();
    }
}

/// The second field after the name, which may hold anything, brackets too. None when it has ended.
fn parent(process: Pid) -> Option<Pid> {
    let path = format!("/proc/{}/stat", process.as_raw_pid());
    let line = std::fs::read_to_string(path).ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    Pid::from_raw(fields.split_whitespace().nth(1)?.parse().ok()?)
}

#[cfg(test)]
mod tests;
