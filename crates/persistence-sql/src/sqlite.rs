//! Opening a SQLite database: settings, version, schema.

mod decoded;
mod near;
mod place;
mod session;

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_persistence::{Error, Result};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
    TransactionTrait,
};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::error::{damaged, trying};
use crate::location::Durability;
use crate::migrations::bring_up_to_date;
use crate::readers::Readers;
use crate::store::Opened;
use crate::writer::{self, Writer};
pub(crate) use decoded::Decoded;
pub(crate) use near::Near;
pub(crate) use place::is_owned;
use session::SqliteSession;

/// The first SQLite release without the WAL-reset corruption bug of 3.7.0 to 3.51.2
/// (<https://www.sqlite.org/wal.html>).
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

/// How long a statement waits for an outside tool that holds the file, before callers are told.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Names the databases in memory of this process.
static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

/// Connections for reading.
const READERS: u32 = 4;

/// Opens or makes a file, and starts its writer.
pub(crate) async fn open(
    path: &Path,
    durability: Durability,
    tracker: &TaskTracker,
) -> Result<Opened> {
    let (owned, first) = take(path).await?;
    migrate(&first).await?;
    expire_leases(&first).await?;
    first.close().await.map_err(trying("open the database"))?;
    let session = SqliteSession::open(path, durability)
        .map_err(Error::from)?
        .owning(owned);
    let readers = connect(&at(path), Access::ReadOnly, READERS).await?;
    Ok(Opened {
        writer: Some(start(session, tracker)?),
        readers: Readers::near(readers, Near::open(path).map_err(Error::from)?),
    })
}

/// Opens or makes a file and takes the right to be the only process that writes to it, until the
/// first answer is dropped. Its schema is left as it is.
pub(crate) async fn take(path: &Path) -> Result<(File, DatabaseConnection)> {
    check_library()?;
    let path = &place::real(path);
    place::refuse_network(path)?;
    let was_left_open = place::was_left_open(path);
    let owned = place::own(path)?;
    make_private(path)?;
    let connection = connect(&at(path), Access::Write, 1).await?;
    if was_left_open {
        check_pages(&connection).await?;
    }
    Ok((owned, connection))
}

/// Starts a writer on a file that another process owns. SQLite lets one of them write at a time, and the
/// numbers of the logs are taken in the transaction, so that both keep their promises.
pub(crate) fn write_beside(
    path: &Path,
    durability: Durability,
    tracker: &TaskTracker,
) -> Result<Writer> {
    let session = SqliteSession::open(path, durability).map_err(Error::from)?;
    start(session, tracker)
}

/// Opens a file that another process may own; `None` when there is none.
pub(crate) async fn look_at(path: &Path) -> Result<Option<DatabaseConnection>> {
    check_library()?;
    if !path.exists() {
        return Ok(None);
    }
    connect(&at(path), Access::ReadOnly, READERS)
        .await
        .map(Some)
}

/// Opens or makes a file that nobody else knows of yet. It is neither synced nor journaled on disk:
/// a crash leaves nothing of use.
pub(crate) async fn open_unknown(path: &Path) -> Result<DatabaseConnection> {
    connect(&at(path), Access::Unknown, 1).await
}

/// Makes a database that lives as long as its writer.
pub(crate) async fn open_in_memory(tracker: &TaskTracker) -> Result<Opened> {
    check_library()?;
    let name = format!("/fusion-{}", IN_MEMORY.fetch_add(1, Ordering::Relaxed));
    let uri = format!("file:{name}?vfs=memdb");
    let session = SqliteSession::open(Path::new(&uri), Durability::Full).map_err(Error::from)?;
    let options = SqliteConnectOptions::new().filename(&name).vfs("memdb");
    let first = connect(&options, Access::Write, 1).await?;
    migrate(&first).await?;
    first.close().await.map_err(trying("open the database"))?;
    let readers = connect(&options, Access::ReadOnly, READERS).await?;
    Ok(Opened {
        writer: Some(start(session, tracker)?),
        readers: Readers::near(readers, Near::open(Path::new(&uri)).map_err(Error::from)?),
    })
}

/// Starts the writer on a thread of its own.
fn start(session: SqliteSession, tracker: &TaskTracker) -> Result<Writer> {
    let (hand, jobs) = Writer::new();
    let (runtime, tracked) = (Handle::current(), tracker.token());
    std::thread::Builder::new()
        .name("sqlite-writer".to_owned())
        .spawn(move || {
            runtime.block_on(writer::work(session, jobs));
            drop(tracked);
        })
        .map(|_| hand)
        .map_err(|error| Error::Unavailable {
            action: "start the writer's thread",
            source: Box::new(error),
        })
}

fn check_library() -> Result<()> {
    let found = libsqlite3_sys::SQLITE_VERSION_NUMBER;
    if found < OLDEST_SAFE_SQLITE {
        return Err(Error::Unusable {
            reason: format!(
                "this program was built with SQLite {found}, which can corrupt a WAL database"
            ),
        });
    }
    Ok(())
}

/// Makes the file readable by its owner only, before SQLite makes it readable by all: agents
/// run under other user ids and can reach its folder. The files beside it inherit the mode.
fn make_private(path: &Path) -> Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .map_err(|error| Error::Unusable {
            reason: format!(
                "the database file {} can't be opened for writing ({error}): check its permissions, or use \
                 another --data-dir",
                path.display()
            ),
        })
}

fn at(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path)
}

/// What connections may do.
#[derive(Debug, Clone, Copy)]
enum Access {
    Write,
    ReadOnly,
    /// Write to a file that nobody else knows of.
    Unknown,
}

async fn connect(
    place: &SqliteConnectOptions,
    access: Access,
    connections: u32,
) -> Result<DatabaseConnection> {
    let place = place.clone();
    let mut options = ConnectOptions::new("sqlite:");
    options
        .sqlx_logging(false)
        .test_before_acquire(false)
        .max_connections(connections)
        .min_connections(0)
        // With either, a task of the pool looks after idle connections, and may spin for ever when
        // one comes back meanwhile (https://github.com/launchbadge/sqlx/issues/3645).
        .idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_opts(move |_| {
            let common = place.clone().foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
            match access {
                Access::ReadOnly => common.read_only(true),
                Access::Write => common
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full),
                Access::Unknown => common
                    .journal_mode(SqliteJournalMode::Memory)
                    .synchronous(SqliteSynchronous::Off),
            }
        });
    Database::connect(options)
        .await
        .map_err(trying("open the database"))
}

/// After a crash: whether every page of the file makes sense.
pub(crate) async fn check_pages(connection: &DatabaseConnection) -> Result<()> {
    let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let row = connection
        .query_one_raw(check)
        .await
        .map_err(trying("check the database"))?;
    let found: Option<String> = row
        .map(|row| row.try_get_by_index(0))
        .transpose()
        .map_err(trying("check the database"))?;
    if found.as_deref() == Some("ok") {
        return Ok(());
    }
    Err(damaged())
}

/// Applies the missing steps in one transaction: a crash leaves the old schema or the new one.
async fn migrate(connection: &DatabaseConnection) -> Result<()> {
    let transaction = connection
        .begin()
        .await
        .map_err(trying("open the database"))?;
    bring_up_to_date(&transaction, None).await?;
    transaction
        .commit()
        .await
        .map_err(trying("bring the schema up to date"))
}

/// One process owns the file, so whoever holds a lease in it is dead: its leases run out now.
async fn expire_leases(connection: &DatabaseConnection) -> Result<()> {
    connection
        .execute_unprepared(
            "UPDATE tasks SET lease_until = 0 WHERE state IN ('assigned', 'running') AND lease_until <> 0",
        )
        .await
        .map(|_| ())
        .map_err(trying("open the database"))
}
