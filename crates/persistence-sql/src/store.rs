//! The store: readers of its own, one writer.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use fusion_persistence::{
    Batch, Claim, Claimed, Committed, Error, Kept, Lease, Mark, MarkReader, NodeChange, PoolAnswer,
    PoolClaim, Prune, Result, RunFence, Store, TakeRuns,
};
use tokio_util::task::TaskTracker;

use crate::error::{corrupt, trying};
use crate::location::Location;
use crate::migrations::schema_state;
use crate::postgres::Signs;
use crate::readers::Readers;
use crate::seen::Recent;
use crate::writer::Writer;
use crate::{postgres, sqlite};

/// The store on SQLite or PostgreSQL. Clones share its connections.
#[derive(Debug, Clone)]
pub struct SqlStore {
    writer: Option<Writer>,
    readers: Readers,
    recent: Arc<Recent>,
    /// The file of a database that has one owner at a time.
    file: Option<Arc<Path>>,
    /// Which nodes showed life at the last look.
    signs: Arc<Signs>,
}

/// A database that was opened.
pub(crate) struct Opened {
    /// `None` for a database that is only looked at.
    pub(crate) writer: Option<Writer>,
    pub(crate) readers: Readers,
}

impl SqlStore {
    /// Opens or makes a database and starts its writer on `tracker`, which is done once every
    /// clone of the store is dropped.
    ///
    /// # Errors
    /// The database can't be reached or opened, is damaged, or was written by a newer program.
    pub async fn open(location: &Location, tracker: &TaskTracker) -> Result<Self> {
        let Opened { writer, readers } = match location {
            Location::File(path, durability) => sqlite::open(path, *durability, tracker).await?,
            Location::Memory => sqlite::open_in_memory(tracker).await?,
            Location::Server(url) => postgres::open(url, tracker).await?,
        };
        Ok(Self {
            writer,
            readers,
            recent: Arc::default(),
            file: location.file(),
            signs: Arc::default(),
        })
    }

    /// Opens a database for a few commits of a person beside the process that owns it: its schema must be
    /// up to date, and leases are left as they are. `None` when there is none yet. On PostgreSQL, where
    /// many may write, it is opened as any.
    ///
    /// # Errors
    /// As [`open`](Self::open); also when the schema is not up to date.
    pub async fn open_beside(location: &Location, tracker: &TaskTracker) -> Result<Option<Self>> {
        let Some(looking) = Self::open_to_read(location).await? else {
            return Ok(None);
        };
        match location {
            Location::File(path, durability) => Ok(Some(Self {
                writer: Some(sqlite::write_beside(path, *durability, tracker)?),
                ..looking
            })),
            Location::Memory | Location::Server(_) => {
                looking.close().await?;
                Self::open(location, tracker).await.map(Some)
            }
        }
    }

    /// Opens a database for reading only, beside the processes that write to it; `None` when there
    /// is none yet. Every write is refused.
    ///
    /// # Errors
    /// As [`open`](Self::open); also when the schema is not up to date.
    pub async fn open_to_read(location: &Location) -> Result<Option<Self>> {
        let readers = match location {
            Location::File(path, _) => sqlite::look_at(path).await?,
            Location::Memory => None,
            Location::Server(url) => postgres::look_at(url).await?,
        };
        let Some(readers) = readers else {
            return Ok(None);
        };
        let schema = schema_state(&readers).await?;
        if schema.applied.is_empty() {
            return Ok(None);
        }
        if !schema.missing.is_empty() {
            return Err(Error::Unusable {
                reason: "the database is of an older fusion-kit: `fusion-kit db migrate` brings it up to date"
                    .to_owned(),
            });
        }
        Ok(Some(Self {
            writer: None,
            readers: readers.into(),
            recent: Arc::default(),
            file: location.file(),
            signs: Arc::default(),
        }))
    }

    /// Closes the connections of the readers. Those of the writer go with the last clone.
    ///
    /// # Errors
    /// The driver can't close; nothing committed is lost by that.
    pub async fn close(self) -> Result<()> {
        drop(self.writer);
        self.readers
            .close()
            .await
            .map_err(trying("close the database"))
    }

    /// The rows that lists gave lately.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    pub(crate) const fn reader(&self) -> &Readers {
        &self.readers
    }

    pub(crate) const fn signs(&self) -> &Arc<Signs> {
        &self.signs
    }

    /// Whether a process owns the database; `None` for one that many may write to.
    pub(crate) fn is_owned(&self) -> Option<bool> {
        self.file.as_deref().map(sqlite::is_owned)
    }

    fn writer(&self) -> Result<&Writer> {
        self.writer.as_ref().ok_or_else(|| Error::Unusable {
            reason: "the database was opened for reading only".to_owned(),
        })
    }
}

impl MarkReader for SqlStore {
    fn mark(&self) -> Option<Mark> {
        self.readers.data_version().map(Mark::new)
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn commit_shared(&self, batch: Arc<Batch>) -> Result<Committed> {
        self.writer()?.commit(batch).await
    }

    async fn claim_task(&self, claim: Claim) -> Result<Option<Claimed>> {
        self.writer()?.claim(claim).await
    }

    async fn claim_from_pool(&self, claim: PoolClaim) -> Result<PoolAnswer> {
        self.writer()?.take(claim).await
    }

    async fn extend_leases(&self, lease: Lease) -> Result<u64> {
        self.writer()?.extend(lease).await
    }

    async fn keep_node(&self, lease: Lease) -> Result<Kept> {
        self.writer()?.keep_node(lease).await
    }

    async fn take_runs(&self, take: TakeRuns) -> Result<Vec<RunFence>> {
        self.writer()?.take_runs(take).await
    }

    async fn change_node(&self, change: NodeChange) -> Result<u64> {
        self.writer()?.change_node(change).await
    }

    async fn prune(&self, old: Prune) -> Result<u64> {
        self.writer()?.prune(old).await
    }
}

/// A row that was not where its version said has been changed by someone else.
pub(crate) fn expect_one(rows: u64, entity: &'static str, id: &impl Display) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(Error::Conflict {
            entity,
            id: id.to_string(),
        })
    }
}

/// For columns: SQL has no unsigned integers. Counts beyond 2^63 do not occur.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From columns; `what` names the value in an error.
pub(crate) fn unsigned(number: i64, what: &'static str) -> Result<u64> {
    u64::try_from(number).map_err(|_| corrupt(what))
}
