//! What the servers of tests have in common: ports, passwords and signals.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Below the ports that the kernel gives to outgoing connections, so that a server which is down
/// finds its port free when it comes back.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// How often another port is tried when somebody else took the one that was free.
pub(crate) const TRIES: u32 = 3;

/// How long the kernel may take to end killed processes.
pub(crate) const DEATH: Duration = Duration::from_secs(30);

/// Processes whose end is waited for.
#[derive(Debug)]
pub(crate) struct Dying(Vec<OwnedFd>);

impl Dying {
    /// Those of them that live: their numbers may be given to others once they have ended.
    pub(crate) fn of(processes: &[Pid]) -> Self {
        let open = |process: &Pid| pidfd_open(*process, PidfdFlags::empty()).ok();
        Self(processes.iter().filter_map(open).collect())
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    /// When one does not end.
    pub(crate) fn end(&self) -> Result<()> {
        let limit = Timespec::try_from(DEATH)?;
        for process in &self.0 {
            let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit))?;
            ensure!(ended == 1, "a process does not end");
        }
        Ok(())
    }
}

/// Processes that have ended meanwhile are no fault.
pub(crate) fn signal(processes: &[Pid], signal: Signal) -> Result<()> {
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

pub(crate) fn random_text() -> Result<String> {
    Ok(format!("{:032x}", u128::from_ne_bytes(random()?)))
}

/// A port that nobody listens on, at this moment.
pub(crate) fn free_port() -> Result<u16> {
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
