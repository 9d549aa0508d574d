//! A server that speaks the language of S3, with its buckets in a folder of its own.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder as Connections;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Serves on 127.0.0.1 until it is dropped. Takes requests that are signed with [`Self::KEY`] only.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    folder: TempDir,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// The id of the key.
    pub const KEY_ID: &str = "id-of-the-key-of-tests";

    /// The key.
    pub const KEY: &str = "the-key-of-tests";

    /// Starts it with these buckets, which are empty.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(buckets: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for bucket in buckets {
            std::fs::create_dir(folder.path().join(bucket))?;
        }
        let Ok(files) = FileSystem::new(folder.path()) else {
            anyhow::bail!("the folder of buckets can't be served");
        };
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::KEY_ID, Self::KEY));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build()?;
        let context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).context("listen")?;
        drop(context);
        runtime.spawn(serve(listener, service.build()));
        Ok(Self {
            address,
            folder,
            runtime: Some(runtime),
        })
    }

    /// Its address for those who ask, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn at(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where a bucket's objects are, as files.
    #[must_use]
    pub fn bucket(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // This may be a thread that must not block.
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, service: S3Service) {
    // Dropped with this task, and all connections with it.
    let mut serving = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let service = service.clone();
        serving.spawn(async move {
            let connections = Connections::new(TokioExecutor::new());
            let served = connections.serve_connection(TokioIo::new(socket), service);
            // One that breaks off is of no interest.
            served.await.ok();
        });
        while serving.try_join_next().is_some() {}
    }
}
