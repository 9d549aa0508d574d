//! A PostgreSQL server of one's own.

mod keeper;

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use keeper::Keeper;

/// Below the ports that the kernel gives to outgoing connections, so that a server which is down
/// finds its port free when it comes back.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// How often another port is tried when somebody else took the one that was free.
const TRIES: u32 = 3;

/// How long the kernel may take to end killed processes.
const DEATH: Duration = Duration::from_secs(30);

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
        let keeper = Keeper::start(binaries, &password)?;
        let mut server = Self {
            keeper,
            password,
            port: 0,
            postmaster: None,
        };
        let mut result = Ok(());
        for _ in 0..TRIES {
            server.port = free_port()?;
            result = server.start_again();
            if result.is_ok() {
                return Ok(server);
            }
        }
        result.map(|()| server)
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
        let start = format!("start {}", self.port);
        let answer = self
            .keeper
            .order(&start)
            .context("PostgreSQL did not start")?;
        self.postmaster = answer.parse().ok().and_then(Pid::from_raw);
        ensure!(self.postmaster.is_some(), "no process id: {answer:?}");
        Ok(())
    }

    /// Kills all processes of the server at once (SIGKILL), as the end of the machine would.
    /// Does nothing to a server that is down.
    ///
    /// # Errors
    /// When a process can't be killed, or does not end.
    pub fn kill(&mut self) -> Result<()> {
        let processes = self.halt()?;
        let handles = processes
            .iter()
            .filter_map(|process| pidfd_open(*process, PidfdFlags::empty()).ok())
            .collect::<Vec<_>>();
        signal(&processes, Signal::KILL)?;
        self.keeper.order("stop")?;
        self.postmaster = None;
        let limit = Timespec::try_from(DEATH)?;
        for handle in &handles {
            let ended = poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&limit))?;
            ensure!(ended == 1, "a killed process of PostgreSQL does not end");
        }
        Ok(())
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

/// Processes that have ended meanwhile are no fault.
fn signal(processes: &[Pid], signal: Signal) -> Result<()> {
    for process in processes {
        match kill_process(*process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("could not send {signal:?} to {}", process.as_raw_pid())
                });
            }
        }
    }
    Ok(())
}

fn random_text() -> Result<String> {
    Ok(format!("{:032x}", u128::from_ne_bytes(random()?)))
}

/// A port that nobody listens on, at this moment.
fn free_port() -> Result<u16> {
    let width = PORTS.end - PORTS.start;
    for _ in 0..width {
        let port = PORTS.start + u16::from_ne_bytes(random()?) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port of {PORTS:?} is free on 127.0.0.1")
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("could not read /dev/urandom")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
