//! Opening a SQLite database: settings, version, schema.

use std::fs::Permissions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fusion_persistence::{Error, Result};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use sea_orm_migration::MigratorTrait;

use crate::error::trying;
use crate::migrations::Migrator;

/// The first SQLite release without the WAL-reset corruption bug of 3.7.0 to 3.51.2
/// (<https://www.sqlite.org/wal.html>).
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

/// How long a statement waits for an outside tool that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections for reading.
const READERS: u32 = 4;

/// What an acknowledged commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process, of the machine and of its power: `synchronous=FULL`.
    Full,
    /// A crash of the process; the last commits may be lost with the power: `synchronous=NORMAL`.
    Normal,
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file; made when it is missing.
    File(PathBuf, Durability),
    /// A file that another process may own: for reading only. Every write is refused.
    Beside(PathBuf),
    /// Memory only; gone with the process.
    Memory,
}

/// One connection for writing, some for reading.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) writer: DatabaseConnection,
    pub(crate) readers: DatabaseConnection,
}

/// Opens the database and brings its schema up to date.
pub(crate) async fn open(location: &Location) -> Result<Connections> {
    check_library()?;
    let connections = match location {
        Location::File(path, durability) => {
            make_private(path)?;
            let writer = connect(path, Access::Write(*durability), 1).await?;
            migrate(&writer).await?;
            let readers = connect(path, Access::ReadOnly, READERS).await?;
            Connections { writer, readers }
        }
        Location::Beside(path) => {
            let readers = connect(path, Access::ReadOnly, READERS).await?;
            check_schema(&readers).await?;
            Connections {
                writer: readers.clone(),
                readers,
            }
        }
        Location::Memory => {
            let mut options = ConnectOptions::new("sqlite::memory:");
            quiet(&mut options).max_connections(1).min_connections(1);
            let only = Database::connect(options)
                .await
                .map_err(trying("open a database in memory"))?;
            migrate(&only).await?;
            Connections {
                writer: only.clone(),
                readers: only,
            }
        }
    };
    Ok(connections)
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

/// What connections may do.
#[derive(Debug, Clone, Copy)]
enum Access {
    Write(Durability),
    ReadOnly,
}

async fn connect(path: &Path, access: Access, connections: u32) -> Result<DatabaseConnection> {
    let file = path.to_path_buf();
    let mut options = ConnectOptions::new("sqlite:");
    quiet(&mut options)
        .max_connections(connections)
        .min_connections(0)
        .map_sqlx_sqlite_opts(move |_| {
            let common = SqliteConnectOptions::new()
                .filename(&file)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT);
            let synchronous = match access {
                Access::ReadOnly => return common.read_only(true),
                Access::Write(Durability::Full) => SqliteSynchronous::Full,
                Access::Write(Durability::Normal) => SqliteSynchronous::Normal,
            };
            common
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(synchronous)
                .pragma("journal_size_limit", "67108864")
        });
    Database::connect(options)
        .await
        .map_err(trying("open the database"))
}

fn quiet(options: &mut ConnectOptions) -> &mut ConnectOptions {
    options.sqlx_logging(false).test_before_acquire(false)
}

/// Applies the missing steps in one transaction: a crash leaves the old schema or the new one.
async fn migrate(writer: &DatabaseConnection) -> Result<()> {
    let transaction = writer.begin().await.map_err(trying("open the database"))?;
    Migrator::install(&transaction)
        .await
        .map_err(trying("read the schema's version"))?;
    if missing_steps(&transaction).await? > 0 {
        Migrator::up(&transaction, None)
            .await
            .map_err(trying("bring the schema up to date"))?;
    }
    transaction
        .commit()
        .await
        .map_err(trying("bring the schema up to date"))
}

/// Refuses a database that this program can't read as it is.
async fn check_schema(readers: &DatabaseConnection) -> Result<()> {
    if missing_steps(readers).await? == 0 {
        return Ok(());
    }
    Err(Error::Unusable {
        reason: "the database is of an older fusion-kit: any command that runs a workflow brings it up to date".to_owned(),
    })
}

/// How many steps the database lacks.
async fn missing_steps(conn: &impl ConnectionTrait) -> Result<usize> {
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect();
    let applied = Migrator::get_migration_models(conn)
        .await
        .map_err(trying("read the schema's version"))?;
    if let Some(newer) = applied.iter().find(|step| !known.contains(&step.version)) {
        return Err(Error::Unusable {
            reason: format!(
                "the database was written by a newer fusion-kit (its schema has step {}): \
                 use that version, or another --data-dir",
                newer.version
            ),
        });
    }
    Ok(known.len() - applied.len())
}
