//! Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): the first stops the run cleanly, the second stops at once.

use std::time::Duration;

use fusion_cli::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the farewell may take once the run has stopped: a terminal that nobody reads must
/// not keep the program alive.
const FAREWELL: Duration = Duration::from_secs(2);

/// Cancels `stop` at the first signal; signals are caught from this call on. At the second one, or
/// when the program is still there some time after the run has `ended`, it ends the process.
pub(crate) fn stop_on_signal(
    stop: CancellationToken,
    ended: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let caught = Signals::catch();
    async move {
        match caught {
            Ok(signals) => stop_at(signals, stop, ended).await,
            Err(error) => {
                tracing::warn!(%error, "signals can't be caught: Ctrl-C ends without a farewell");
            }
        }
    }
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

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
