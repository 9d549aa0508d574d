//! The ways into a database for its maintenance.

use std::fs::File;
use std::path::{Path, PathBuf};

use fusion_persistence::{Error, Result};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend,
    IsolationLevel, Statement, TransactionTrait, TryGetable,
};

use crate::error::trying;
use crate::location::Location;
use crate::{postgres, sqlite};

const ACTION: &str = "open the database";

/// A database that this call may change. No other process works with its file meanwhile.
#[derive(Debug)]
pub(super) struct Owned {
    connection: DatabaseConnection,
    lock: Option<File>,
}

impl Owned {
    /// Opens or makes a database. Its schema is left as it is.
    pub(super) async fn take(location: &Location) -> Result<Self> {
        let (lock, connection) = match location {
            Location::File(path, _) => {
                let (lock, connection) = sqlite::take(path).await?;
                (Some(lock), connection)
            }
            Location::Memory => return Err(no_place()),
            Location::Server(url) => (None, postgres::take(url).await?),
        };
        Ok(Self { connection, lock })
    }

    /// The way into it.
    pub(super) const fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Begins a transaction that may take long.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction> {
        if self.connection.get_database_backend() == DbBackend::Postgres {
            return postgres::begin_alone(&self.connection).await;
        }
        self.connection.begin().await.map_err(trying(ACTION))
    }

    /// Gives the database up.
    pub(super) async fn close(self) -> Result<()> {
        let closed = self.connection.close().await;
        drop(self.lock);
        closed.map_err(trying("close the database"))
    }
}

/// Opens a database for reading, beside the processes that write to it; `None` when there is none.
pub(super) async fn look(location: &Location) -> Result<Option<DatabaseConnection>> {
    match location {
        Location::File(path, _) => sqlite::look_at(path).await,
        Location::Memory => Err(no_place()),
        Location::Server(url) => postgres::look_at(url).await,
    }
}

/// The database at one moment, however long it is read.
pub(super) async fn snapshot(connection: &DatabaseConnection) -> Result<DatabaseTransaction> {
    if connection.get_database_backend() != DbBackend::Postgres {
        let snapshot = connection.begin().await.map_err(trying(ACTION))?;
        // Everything is read: with the small cache it would be read from the file over and over.
        snapshot
            .execute_unprepared("PRAGMA cache_size = -65536")
            .await
            .map_err(trying(ACTION))?;
        return Ok(snapshot);
    }
    let snapshot = connection
        .begin_with_config(
            Some(IsolationLevel::RepeatableRead),
            Some(AccessMode::ReadOnly),
        )
        .await
        .map_err(trying(ACTION))?;
    snapshot
        .execute_unprepared(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
        )
        .await
        .map_err(trying(ACTION))?;
    Ok(snapshot)
}

/// Gives up what [`snapshot`] and [`look`] gave.
pub(super) async fn leave(
    connection: DatabaseConnection,
    snapshot: DatabaseTransaction,
) -> Result<()> {
    const ACTION: &str = "close the database";
    snapshot.rollback().await.map_err(trying(ACTION))?;
    connection.close().await.map_err(trying(ACTION))
}

/// The first columns of all rows.
pub(super) async fn all<T: TryGetable>(conn: &impl ConnectionTrait, sql: &str) -> Result<Vec<T>> {
    const ACTION: &str = "look at the database";
    let query = Statement::from_string(conn.get_database_backend(), sql);
    let rows = conn.query_all_raw(query).await.map_err(trying(ACTION))?;
    rows.iter()
        .map(|row| row.try_get_by_index(0).map_err(trying(ACTION)))
        .collect()
}

/// The first column of the first row.
pub(super) async fn first<T: TryGetable>(
    conn: &impl ConnectionTrait,
    sql: &str,
) -> Result<Option<T>> {
    Ok(all(conn, sql).await?.into_iter().next())
}

/// A file, or a URL without its password.
pub(super) fn place(location: &Location) -> String {
    match location {
        Location::File(path, _) => path.display().to_string(),
        Location::Memory => "memory".to_owned(),
        Location::Server(url) => url.to_string(),
    }
}

/// The answer to a database in memory.
pub(super) fn no_place() -> Error {
    Error::Invalid {
        reason: "a database in memory has no maintenance: it is gone with its process".to_owned(),
    }
}

/// The answer when there is no database of ours.
pub(super) fn none_there(location: &Location) -> Error {
    Error::NotFound {
        entity: "database",
        id: place(location),
    }
}

/// A file with the same name and more at its end.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
