//! Ctrl-C and SIGTERM: the first stops the run cleanly, the second stops at once.

use fusion_cli::Exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal and ends the process at the second. Never returns.
pub(crate) async fn stop_on_signal(stop: CancellationToken) -> std::convert::Infallible {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::warn!("signals can't be caught: Ctrl-C will stop the program without a farewell");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.is_cancelled() {
            // Agents' processes end with us: their helpers hold a pipe to this process.
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        stop.cancel();
    }
}
