//! Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): the first stops the run cleanly, the second
//! stops at once.

use std::io::{self, IsTerminal};
use std::time::Duration;

use fusion_cli::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the farewell may take once the run has stopped: a terminal that nobody reads must
/// not keep the program alive.
const FAREWELL: Duration = Duration::from_secs(2);

/// The signals of a command that only looks or waits, until this is dropped.
pub(crate) struct Signalled {
    /// Is cancelled at the first signal.
    pub(crate) stop: CancellationToken,
    ended: CancellationToken,
    _signals: TaskTracker,
}

impl Signalled {
    pub(crate) fn catch() -> Self {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let signals = TaskTracker::new();
        signals.spawn(stop_on_signal(stop.clone(), ended.clone()));
        Self {
            stop,
            ended,
            _signals: signals,
        }
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Cancels `stop` at the first signal; signals are caught from this call on. At the second one, or when
/// the program is still there some time after the run has `ended`, it ends the process.
pub(crate) fn stop_on_signal(
    stop: CancellationToken,
    ended: CancellationToken,
) -> impl Future<Output = ()> + Send {
    stop_when(hang_up().and_then(caught), stop, ended)
}

/// The same for a server: the end of the terminal stops it, but a SIGHUP without one does not.
pub(crate) fn stop_server_on_signal(
    stop: CancellationToken,
    ended: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let hang_up = if io::stdin().is_terminal() {
        hang_up()
    } else {
        Ok(None)
    };
    stop_when(hang_up.and_then(caught), stop, ended)
}

async fn stop_when(caught: io::Result<Signals>, stop: CancellationToken, ended: CancellationToken) {
    match caught {
        Ok(signals) => stop_at(signals, stop, ended).await,
        Err(error) => {
            tracing::warn!(%error, "signals can't be caught: Ctrl-C ends without a farewell");
        }
    }
}

fn caught(hang_up: Option<Signal>) -> io::Result<Signals> {
    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hang_up,
    })
}

async fn stop_at(mut signals: Signals, stop: CancellationToken, ended: CancellationToken) {
    signals.next().await;
    stop.cancel();
    tokio::select! {
        () = signals.next() => {}
        () = overdue(&ended) => {}
    }
    // Agents' processes end with us: their helpers hold a pipe to this process.
    std::process::exit(i32::from(Exit::Interrupted.code()));
}

async fn overdue(ended: &CancellationToken) {
    ended.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
}

/// SIGHUP as the wish to read the settings again, for a server without a terminal whose end it could
/// mean.
pub(crate) fn hang_ups() -> Option<Signal> {
    if io::stdin().is_terminal() {
        return None;
    }
    signal(SignalKind::hangup())
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP can't be caught"))
        .ok()
}

fn hang_up() -> io::Result<Option<Signal>> {
    if is_hang_up_ignored() {
        return Ok(None);
    }
    signal(SignalKind::hangup()).map(Some)
}

/// Whether SIGHUP, the first signal, is ignored since the program began.
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut ignored = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.next().map(str::trim);
    ignored
        .and_then(|signals| u64::from_str_radix(signals, 16).ok())
        .is_some_and(|signals| signals & 1 == 1)
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where whoever started the program wants it to go on without the terminal (`nohup`).
    hang_up: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = received(&mut self.hang_up) => {}
        }
    }
}
