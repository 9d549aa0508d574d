//! The store: readers of its own, one writer.

use std::fmt::Display;

use async_trait::async_trait;
use fusion_persistence::{Batch, Claim, Claimed, Committed, Error, Lease, Result, Store};
use sea_orm::DatabaseConnection;
use tokio_util::task::TaskTracker;

use crate::error::{corrupt, trying};
use crate::sqlite::{self, Connections, Location};
use crate::writer::Writer;

/// The store on SQLite. Clones share its connections.
#[derive(Debug, Clone)]
pub struct SqlStore {
    writer: Writer,
    pub(crate) writing: DatabaseConnection,
    readers: DatabaseConnection,
}

impl SqlStore {
    /// Opens or makes a database and starts its writer on `tracker`.
    ///
    /// # Errors
    /// The file can't be opened, is damaged, or was written by a newer program.
    pub async fn open(location: &Location, tracker: &TaskTracker) -> Result<Self> {
        let Connections { writer, readers } = sqlite::open(location).await?;
        Ok(Self {
            writer: Writer::start(writer.clone(), tracker),
            writing: writer,
            readers,
        })
    }

    /// Closes every connection, so that the WAL is folded into the database file.
    ///
    /// # Errors
    /// The driver can't close; nothing committed is lost by that.
    pub async fn close(self) -> Result<()> {
        drop(self.writer);
        self.readers
            .close()
            .await
            .map_err(trying("close the database"))?;
        self.writing
            .close()
            .await
            .map_err(trying("close the database"))
    }

    pub(crate) const fn reader(&self) -> &DatabaseConnection {
        &self.readers
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.writer.commit(batch).await
    }

    async fn claim_task(&self, claim: Claim) -> Result<Option<Claimed>> {
        self.writer.claim(claim).await
    }

    async fn extend_leases(&self, lease: Lease) -> Result<u64> {
        self.writer.extend(lease).await
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
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64, what: &'static str) -> Result<u64> {
    u64::try_from(value).map_err(|_| corrupt(what))
}
