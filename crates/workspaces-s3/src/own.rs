//! A thread of its own, so that who waits may be on any thread.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::words::Words;

/// Does what is to be done on a thread of its own.
#[derive(Debug)]
pub(crate) struct Own(Option<Runtime>);

impl Own {
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("s3").enable_all();
        runtime.build().map(Some).map(Self)
    }

    /// Blocks until it is done, and for so long at most.
    ///
    /// # Errors
    /// It took longer, or broke off.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        doing: impl Future<Output = T> + Send + 'static,
        most: Duration,
    ) -> io::Result<T> {
        let (tell, hear) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.0 {
            runtime.spawn(async move { tell.send(timeout(most, doing).await).ok() });
        }
        match hear.recv() {
            Ok(done) => done.map_err(|_| Words::late(most)),
            Err(_) => Err(io::Error::other("what asked the storage broke off")),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Nobody waits for it any more, and this may be a thread that must not block.
            runtime.shutdown_background();
        }
    }
}
