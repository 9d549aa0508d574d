//! Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): the first stops the run cleanly, the second stops at once.

use std::time::Duration;

use fusion_cli::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the farewell may take once the run has stopped: a terminal that nobody reads must
/// not keep the program alive.
const FAREWELL: Duration = Duration::from_secs(2);

/// Cancels `stop` at the first signal. At the second one, or when the program is still there
/// some time after the run has `ended`, it ends the process.
pub(crate) async fn stop_on_signal(stop: CancellationToken, ended: CancellationToken) {
    let (Ok(interrupt), Ok(terminate), Ok(hang_up)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::warn!("signals can't be caught: Ctrl-C will stop the program without a farewell");
        return;
    };
    let mut signals = Signals {
        interrupt,
        terminate,
        hang_up,
    };
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
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
