//! A [`Depot`] in S3, or in a service that speaks its language (MinIO, R2, Ceph).
//!
//! A piece is an object `PREFIX/snapshots/OWNER/WRITER/NAME`. S3 shows a whole object or none, and shows
//! what was put to everybody at once; so what was answered is kept, and one that was not answered is put
//! again under the same name with the same content.

mod words;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path as Place, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use fusion_workspaces::{Depot, Shelf, is_depot_name};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use self::words::Words;

/// What is below the prefix.
const FOLDER: &str = "snapshots";

/// The object that is put and removed to prove that it can be.
const PROBE: &str = "probe";

/// The region that is meant when none is named.
const REGION: &str = "us-east-1";

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one request may take, and for how long it is tried again.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where a depot is and what opens it.
#[derive(Debug)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// What the names of all objects begin with; may be empty, and have `/` in it.
    pub prefix: String,
    /// The address of the service, `https` or `http`; that of AWS without it.
    pub endpoint: Option<String>,
    /// The region, `us-east-1` without it.
    pub region: Option<String>,
    /// The key's id, which is not shown either.
    pub key_id: SecretString,
    /// The key.
    pub key: SecretString,
    /// What a key for a time comes with.
    pub session: Option<SecretString>,
}

impl S3Place {
    /// The bucket and the prefix of `s3://BUCKET/PREFIX`; none where a text is no such address.
    #[must_use]
    pub fn named(address: &str) -> Option<(&str, &str)> {
        let rest = address.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_good = !bucket.is_empty() && bucket.chars().all(is_bucket);
        is_good.then(|| (bucket, prefix.trim_matches('/')))
    }
}

/// The pieces of snapshots in a bucket.
pub struct S3Depot {
    store: AmazonS3,
    place: PathBuf,
    prefix: Path,
    patience: Duration,
    words: Words,
    runtime: Own,
}

impl S3Depot {
    /// Asks nothing of the service yet. A request may take so long, and is tried again for so long, when
    /// the service can't be reached or says that it is busy: an operation ends within about twice that.
    ///
    /// # Errors
    /// An address or a prefix is none.
    pub fn new(at: &S3Place, patience: Duration) -> io::Result<Self> {
        let prefix = Path::parse(&at.prefix).map_err(io::Error::other)?;
        let client = ClientOptions::new()
            .with_timeout(patience)
            .with_connect_timeout(CONNECT.min(patience))
            .with_allow_http(at.endpoint.as_deref().is_some_and(is_plain));
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&at.bucket)
            .with_region(at.region.as_deref().unwrap_or(REGION))
            .with_access_key_id(at.key_id.expose_secret())
            .with_secret_access_key(at.key.expose_secret())
            // Not every service can remove many objects with one request.
            .with_disable_bulk_delete(true)
            .with_client_options(client)
            .with_retry(retries(patience));
        if let Some(session) = &at.session {
            builder = builder.with_token(session.expose_secret());
        }
        if let Some(endpoint) = &at.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let words = Words::of(at);
        let store = builder.build().map_err(|error| words.of_error(&error))?;
        let place = PathBuf::from(format!("s3://{}", at.bucket)).join(&at.prefix);
        Ok(Self {
            store,
            place,
            prefix,
            patience,
            words,
            runtime: Own::start()?,
        })
    }

    fn all(&self) -> Path {
        self.prefix.clone().join(FOLDER)
    }

    fn owner(&self, owner: &str) -> Path {
        self.all().join(owner)
    }

    fn shelf(&self, shelf: Shelf<'_>) -> Path {
        self.owner(shelf.owner).join(shelf.writer)
    }

    /// Waits for what is done on the threads of this depot.
    fn wait<T: Send + 'static>(
        &self,
        doing: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> io::Result<T> {
        let most = self.patience * 3;
        let (tell, hear) = mpsc::sync_channel(1);
        let Some(runtime) = &self.runtime.0 else {
            return Err(io::Error::other("it was closed"));
        };
        runtime.spawn(async move { tell.send(timeout(most, doing).await).ok() });
        match hear.recv() {
            Ok(Ok(done)) => done.map_err(|error| self.words.of_error(&error)),
            Ok(Err(_)) => Err(self.words.late(most)),
            Err(_) => Err(io::Error::other("what asked the storage broke off")),
        }
    }

    /// Removes everything below a path.
    fn clear_below(&self, path: Path) -> io::Result<()> {
        let store = self.store.clone();
        self.wait(async move {
            let listed = store.list(Some(&path)).map_ok(|object| object.location);
            let mut removed = store.delete_stream(listed.boxed());
            while let Some(removed) = removed.next().await {
                unless_missing(removed.map(drop))?;
            }
            Ok(())
        })
    }
}

impl Depot for S3Depot {
    fn place(&self) -> &Place {
        &self.place
    }

    fn preflight(&self) -> io::Result<()> {
        let (store, all) = (self.store.clone(), self.all());
        let probe = self.prefix.clone().join(PROBE);
        let proven = self.wait(async move {
            store.put(&probe, Vec::new().into()).await?;
            store.list_with_delimiter(Some(&all)).await?;
            unless_missing(store.delete(&probe).await)
        });
        proven.map_err(|error| self.words.of_missing_bucket(error))
    }

    fn put(&self, shelf: Shelf<'_>, name: &str, content: &[u8]) -> io::Result<()> {
        let (store, path) = (self.store.clone(), self.shelf(shelf).join(name));
        let content = content.to_vec();
        let put = self.wait(async move { store.put(&path, content.into()).await.map(drop) });
        put.map_err(|error| self.words.of_missing_bucket(error))
    }

    fn sync(&self, _: Shelf<'_>) -> io::Result<()> {
        // What was answered is kept.
        Ok(())
    }

    fn get(&self, shelf: Shelf<'_>, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let (store, path) = (self.store.clone(), self.shelf(shelf).join(name));
        let found = self.wait(async move {
            let found = store.get(&path).await?;
            if found.meta.size > limit {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        })?;
        found.map_or_else(
            || Err(io::Error::from(io::ErrorKind::FileTooLarge)),
            |content| Ok(content.to_vec()),
        )
    }

    fn remove(&self, shelf: Shelf<'_>, name: &str) -> io::Result<()> {
        let (store, path) = (self.store.clone(), self.shelf(shelf).join(name));
        self.wait(async move { unless_missing(store.delete(&path).await) })
    }

    fn clear(&self, shelf: Shelf<'_>) -> io::Result<()> {
        self.clear_below(self.shelf(shelf))
    }

    fn clear_owner(&self, owner: &str) -> io::Result<()> {
        self.clear_below(self.owner(owner))
    }

    fn owners(&self) -> io::Result<Vec<String>> {
        let (store, all) = (self.store.clone(), self.all());
        let found = self.wait(async move { store.list_with_delimiter(Some(&all)).await })?;
        let prefixes = found.common_prefixes.iter();
        let mut owners: Vec<String> = prefixes
            .filter_map(|path| path.filename().map(str::to_owned))
            .filter(|name| is_depot_name(name))
            .collect();
        owners.sort();
        Ok(owners)
    }
}

/// Threads of its own, so that who waits may be on any thread.
#[derive(Debug)]
struct Own(Option<Runtime>);

impl Own {
    fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("s3").enable_all();
        runtime.build().map(Some).map(Self)
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

impl fmt::Debug for S3Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest knows the key.
        f.debug_struct("S3Depot")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

fn retries(patience: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: patience,
    }
}

fn unless_missing(removed: Result<(), Error>) -> Result<(), Error> {
    match removed {
        Err(Error::NotFound { .. }) => Ok(()),
        removed => removed,
    }
}
