//! A [`Depot`] in S3, or in a service that speaks its language (`MinIO`, R2, Ceph).
//!
//! A piece is an object `PREFIX/snapshots/OWNER/WRITER/NAME`, put with one request. S3 shows a whole object
//! or none, and shows what was put to everybody at once; so what was answered is kept, and one that was not
//! answered is put again under the same name with the same content.

mod client;
mod own;
mod place;
mod words;

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::{Path as Place, PathBuf};
use std::time::Duration;

use fusion_workspaces::{Depot, Shelf, is_depot_name};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, ObjectStore as _, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret as _;

use self::client::Connector;
use self::own::Own;
pub use self::place::S3Place;
use self::words::Words;

/// What is below the prefix.
const FOLDER: &str = "snapshots";

/// Where objects are put, read and removed to prove that they can be.
const PROBES: &str = "probes";

/// What is in such an object.
const PROBE: &[u8] = b"fusion-kit";

/// The region that is meant when none is named.
const REGION: &str = "us-east-1";

/// How long one request may take when nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that are under way at once.
const AT_ONCE: usize = 16;

/// The pieces of snapshots in a bucket.
pub struct S3Depot {
    store: AmazonS3,
    place: PathBuf,
    prefix: Path,
    patience: Duration,
    words: Words,
    own: Own,
}

impl S3Depot {
    /// Asks nothing of the service yet. A request may take so long, and is tried again for half of that when
    /// the service can't be reached or says that it is busy; an operation ends within twice that, one that
    /// removes or moves many pieces within six times.
    ///
    /// # Errors
    /// `InvalidInput` when the address of the service is none, or is open to everyone on the way and must
    /// not be; or no client can be made.
    pub fn new(at: &S3Place, patience: Duration) -> io::Result<Self> {
        let endpoint = at.endpoint()?;
        let prefix = Path::parse(&at.prefix)
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&at.bucket)
            .with_region(at.region.as_deref().unwrap_or(REGION))
            .with_access_key_id(at.key_id.expose_secret())
            .with_secret_access_key(at.key.expose_secret())
            // Not every service can remove many objects with one request.
            .with_disable_bulk_delete(true)
            .with_http_connector(Connector::new(endpoint.as_ref(), patience))
            .with_retry(retries(patience / 2));
        if let Some(session) = &at.session {
            builder = builder.with_token(session.expose_secret());
        }
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let words = Words::of(at);
        let store = builder.build().map_err(|error| words.of_error(&error))?;
        let mut place = PathBuf::from(format!("s3://{}", at.bucket));
        place.extend(prefix.parts().map(|part| part.as_ref().to_owned()));
        Ok(Self {
            store,
            place,
            prefix,
            patience,
            words,
            own: Own::start()?,
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

    /// Waits for what is done with one object.
    fn wait<T: Send + 'static>(
        &self,
        doing: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> io::Result<T> {
        self.wait_for(self.patience * 2, doing)
    }

    /// Waits for what is done with many.
    fn wait_long<T: Send + 'static>(
        &self,
        doing: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> io::Result<T> {
        self.wait_for(self.patience * 6, doing)
    }

    fn wait_for<T: Send + 'static>(
        &self,
        most: Duration,
        doing: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> io::Result<T> {
        let done = self.own.wait(doing, most)?;
        done.map_err(|error| self.words.of_error(&error))
    }

    /// Removes everything below a path.
    fn clear_below(&self, path: Path) -> io::Result<()> {
        let store = self.store.clone();
        self.wait_long(async move {
            let listed = store.list(Some(&path)).map_ok(|object| object.location);
            let removed = store.delete_stream(listed.boxed());
            removed
                .map(|one| unless_missing(one.map(drop)))
                .try_collect()
                .await
        })
    }
}

impl Depot for S3Depot {
    fn place(&self) -> &Place {
        &self.place
    }

    fn preflight(&self, id: &str) -> io::Result<()> {
        let (store, all) = (self.store.clone(), self.all());
        let probe = self.prefix.clone().join(PROBES).join(id);
        let proven = self.wait_long(async move {
            // First, for it fails where there is no bucket, and some services would make one.
            store.list_with_delimiter(Some(&all)).await?;
            store.put(&probe, PROBE.into()).await?;
            let read = content(&store, &probe, u64::MAX).await;
            unless_missing(store.delete(&probe).await)?;
            match read {
                Ok(found) => Ok(found.as_deref() == Some(PROBE)),
                Err(Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        });
        match proven {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other(
                "what was written there can't be read again",
            )),
            Err(error) => Err(self.words.of_missing_bucket(error)),
        }
    }

    fn put(&self, shelf: Shelf<'_>, name: &str, content: &[u8]) -> io::Result<()> {
        let (store, path) = (self.store.clone(), self.shelf(shelf).join(name));
        let content = content.to_vec();
        let put = self.wait(async move { store.put(&path, content.into()).await.map(drop) });
        put.map_err(|error| self.words.of_missing_bucket(error))
    }

    fn put_all(&self, shelf: Shelf<'_>, pieces: Vec<(String, Vec<u8>)>) -> io::Result<()> {
        let (store, shelf) = (self.store.clone(), self.shelf(shelf));
        let put = self.wait_long(async move {
            let puts = pieces.into_iter().map(|(name, content)| {
                let (store, path) = (store.clone(), shelf.clone().join(name));
                async move { store.put(&path, content.into()).await.map(drop) }
            });
            stream::iter(puts)
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await
        });
        put.map_err(|error| self.words.of_missing_bucket(error))
    }

    fn sync(&self, _: Shelf<'_>) -> io::Result<()> {
        // What was answered is kept.
        Ok(())
    }

    fn get(&self, shelf: Shelf<'_>, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let (store, path) = (self.store.clone(), self.shelf(shelf).join(name));
        let found = self.wait(async move { content(&store, &path, limit).await })?;
        found.ok_or_else(too_large)
    }

    fn get_all(&self, shelf: Shelf<'_>, names: &[String], limit: u64) -> io::Result<Vec<Vec<u8>>> {
        let (store, shelf) = (self.store.clone(), self.shelf(shelf));
        let names = names.to_vec();
        let found: Vec<Option<Vec<u8>>> = self.wait_long(async move {
            let gets = names.into_iter().map(|name| {
                let (store, path) = (store.clone(), shelf.clone().join(name));
                async move { content(&store, &path, limit).await }
            });
            stream::iter(gets).buffered(AT_ONCE).try_collect().await
        })?;
        let found: Option<Vec<Vec<u8>>> = found.into_iter().collect();
        found.ok_or_else(too_large)
    }

    fn remove(&self, shelf: Shelf<'_>, name: &str) -> io::Result<()> {
        let (store, path) = (self.store.clone(), self.shelf(shelf).join(name));
        self.wait(async move { unless_missing(store.delete(&path).await) })
    }

    fn remove_all(&self, shelf: Shelf<'_>, names: &[String]) -> io::Result<()> {
        let (store, shelf) = (self.store.clone(), self.shelf(shelf));
        let paths: Vec<_> = names
            .iter()
            .map(|name| Ok(shelf.clone().join(name.as_str())))
            .collect();
        self.wait_long(async move {
            let removed = store.delete_stream(stream::iter(paths).boxed());
            removed
                .map(|one| unless_missing(one.map(drop)))
                .try_collect()
                .await
        })
    }

    fn clear(&self, shelf: Shelf<'_>) -> io::Result<()> {
        self.clear_below(self.shelf(shelf))
    }

    fn clear_owner(&self, owner: &str) -> io::Result<()> {
        self.clear_below(self.owner(owner))
    }

    fn owners(&self) -> io::Result<Vec<String>> {
        let (store, all) = (self.store.clone(), self.all());
        let found = self.wait_long(async move { store.list_with_delimiter(Some(&all)).await })?;
        let prefixes = found.common_prefixes.iter();
        let mut owners: Vec<String> = prefixes
            .filter_map(|path| path.filename().map(str::to_owned))
            .filter(|name| is_depot_name(name))
            .collect();
        owners.sort();
        Ok(owners)
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

/// What an object holds; none when it has more bytes than the limit.
async fn content(store: &AmazonS3, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let found = store.get(path).await?;
    if found.meta.size > limit {
        return Ok(None);
    }
    Ok(Some(found.bytes().await?.to_vec()))
}

fn too_large() -> io::Error {
    io::Error::from(ErrorKind::FileTooLarge)
}

fn retries(for_so_long: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: for_so_long,
    }
}

fn unless_missing(removed: Result<(), Error>) -> Result<(), Error> {
    match removed {
        Err(Error::NotFound { .. }) => Ok(()),
        removed => removed,
    }
}
