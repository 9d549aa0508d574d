//! The end of the server that owns a data directory: `down`, and how a server hears of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fusion_api_types::{Problem, ProblemKind, ServerReady};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backend::LocalBackend;

/// The wish that a server ends when it is done with what is under way. Unlike SIGTERM it means the same
/// however often it comes, so that commands that wish it at the same moment cut nothing off.
const WISH: Signal = Signal::USR1;

/// Between two looks whether a server has ended.
const BETWEEN: Duration = Duration::from_millis(20);

/// The wishes of `down` that come to this process.
pub(super) struct Wishes(Option<unix::Signal>);

impl Wishes {
    /// They are caught from this call on, for as long as the process lives.
    pub(super) fn catch() -> Self {
        let caught = signal(SignalKind::user_defined1());
        let caught = caught
            .inspect_err(|error| tracing::warn!(%error, "`down` can't be heard: it sends SIGTERM"));
        Self(caught.ok())
    }

    /// Cancels `stop` at the first one.
    pub(super) async fn stop(self, stop: CancellationToken) {
        let Some(mut wishes) = self.0 else {
            return;
        };
        stop.run_until_cancelled(wishes.recv()).await;
        stop.cancel();
    }
}

impl LocalBackend {
    pub(super) async fn stop_owner(
        &self,
        within: Duration,
        at_once: bool,
    ) -> Result<ServerReady, Problem> {
        let data_dir = self.data_dir()?;
        let server = data_dir.owner().ok_or_else(|| {
            let text = "no server owns the data directory";
            Problem::new(ProblemKind::NotFound, text)
        })?;
        let lock = data_dir.lock_file();
        let pid = i32::try_from(server.pid).ok().and_then(Pid::from_raw);
        let pid = pid
            .filter(|_| holds(server.pid, &lock))
            .ok_or_else(|| not_here(&server))?;
        let signal = if at_once || !hears_wishes(server.pid) {
            Signal::TERM
        } else {
            WISH
        };
        send(pid, signal)?;
        let sent = Instant::now();
        while holds(server.pid, &lock) {
            if sent.elapsed() > within {
                let now = data_dir.command("down --now");
                return Err(not_yet(&server, at_once, &now));
            }
            sleep(BETWEEN).await;
            // The second one ends it at once.
            if at_once && holds(server.pid, &lock) {
                send(pid, Signal::TERM)?;
            }
        }
        Ok(server)
    }
}

/// A process that has ended meanwhile has nothing to be told.
fn send(pid: Pid, signal: Signal) -> Result<(), Problem> {
    match kill_process(pid, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => {
            let pid = pid.as_raw_nonzero();
            let text = format!("can't end the server (pid {pid}): {error}");
            Err(Problem::new(ProblemKind::Denied, text))
        }
    }
}

fn not_here(server: &ServerReady) -> Problem {
    let text = format!(
        "the server {} (pid {}) is no process that can be seen from here",
        server.url, server.pid
    );
    Problem::new(ProblemKind::Denied, text).with_help("end it on its machine, or in its container")
}

fn not_yet(server: &ServerReady, at_once: bool, now: &str) -> Problem {
    let text = format!(
        "the server (pid {}) was told to end and has not ended yet",
        server.pid
    );
    let problem = Problem::new(ProblemKind::Timeout, text);
    if at_once {
        return problem;
    }
    problem.with_help(format!("to cut off what is under way: {now}"))
}

/// Whether a process catches [`WISH`]: that of an older program would be killed by it.
fn hears_wishes(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    catches(&status, WISH)
}

/// Whether a signal is caught, by what the kernel tells of a process.
fn catches(status: &str, signal: Signal) -> bool {
    let mut caught = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.next().map(str::trim);
    let bit = u64::try_from(signal.as_raw() - 1).unwrap_or_default();
    caught
        .and_then(|signals| u64::from_str_radix(signals, 16).ok())
        .is_some_and(|signals| (signals >> bit) & 1 == 1)
}

/// Whether this process holds the lock of a data directory, as the kernel of this machine tells: its number
/// alone may be of another process, or of another machine or container.
fn holds(pid: u32, lock_file: &Path) -> bool {
    let Ok(lock) = fs::metadata(lock_file) else {
        return false;
    };
    let (pid, inode) = (pid.to_string(), lock.ino().to_string());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:123456 0 EOF
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = |place: usize, wanted: &str| words.get(place) == Some(&wanted);
        let file = words.get(5).and_then(|file| file.rsplit(':').next());
        is_it(1, "FLOCK") && is_it(4, &pid) && file == Some(inode.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_catches_is_read_from_its_status() {
        let status = "Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000200\nCapInh:\t0\n";
        let caught = [WISH, Signal::TERM, Signal::PIPE].map(|signal| catches(status, signal));
        assert_eq!(caught, [true, false, false]);
        assert!(!catches("", WISH));
    }
}
