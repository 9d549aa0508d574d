//! Restoring a backup.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use fusion_persistence::{Error, Result};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, TransactionTrait,
};
use tokio::time::{Instant, sleep};

use super::backup::{Draft, copy_pages};
use super::door::{self, Owned};
use super::tables::{self, Rows};
use crate::error::trying;
use crate::events::index;
use crate::location::Location;
use crate::migrations::{bring_up_to_date, steps};
use crate::sqlite;

const ACTION: &str = "restore the backup";

/// How long other processes that work with a database of a server may take to be gone.
const OTHERS_GO: Duration = Duration::from_secs(5);

/// The wait between two looks at them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Connections of other processes, or of other parts of this one.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
  AND application_name = 'fusion-kit' AND pid <> pg_backend_pid()";

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Rows of each table.
    pub rows: Rows,
    /// Rows that each table had before.
    pub replaced: Rows,
    /// The steps of the schema that a copy of the backup was brought up to date with, in order.
    pub upgraded: Vec<String>,
}

/// Puts everything in a backup into a database, in one transaction; makes the database when there
/// is none. No other process may work with the database meanwhile. A database that holds data is
/// refused, or, with `replace`, emptied first. The backup may come from the other kind of database
/// and from an older program; it is left as it is.
///
/// # Errors
/// `NotFound` when there is no `file`; `Unusable` when it is no backup, is damaged or was written by
/// a newer program, or when another process works with the database; `Invalid` when the database
/// holds data and is not to be replaced; else the database or the disk fails. The database has what
/// it had.
pub async fn restore(location: &Location, file: &Path, replace: bool) -> Result<Restored> {
    let backup = Source::open(file).await?;
    fill(location, backup, replace, After::Commit).await
}

/// Does all of [`restore`] in a transaction that is rolled back, and says what it would have done. Where
/// there is no database none is made, and the backup is read only.
///
/// # Errors
/// As [`restore`].
pub async fn try_restore(location: &Location, file: &Path, replace: bool) -> Result<Restored> {
    let backup = Source::open(file).await?;
    let Some(connection) = door::look(location).await? else {
        let from = door::snapshot(&backup.connection).await?;
        let rows = tables::count(&from).await?;
        door::leave(backup.connection, from).await?;
        return Ok(Restored {
            rows,
            replaced: Rows::new(),
            upgraded: backup.upgraded,
        });
    };
    connection.close().await.map_err(trying(ACTION))?;
    fill(location, backup, replace, After::Rollback).await
}

/// What becomes of the transaction that a backup was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Commit,
    Rollback,
}

impl After {
    async fn end(self, transaction: DatabaseTransaction) -> Result<()> {
        let ended = match self {
            Self::Commit => transaction.commit().await,
            Self::Rollback => transaction.rollback().await,
        };
        ended.map_err(trying(ACTION))
    }
}

/// Refuses a database that holds data.
async fn expect_empty(to: &DatabaseTransaction, location: &Location) -> Result<()> {
    if tables::are_empty(to).await? {
        return Ok(());
    }
    Err(Error::Invalid {
        reason: format!(
            "the database {} holds data, and a restore would replace it: ask for that, or restore to another",
            door::place(location)
        ),
    })
}

async fn fill(
    location: &Location,
    backup: Source,
    replace: bool,
    after: After,
) -> Result<Restored> {
    let owned = Owned::take(location).await?;
    let to = owned.begin().await?;
    wait_until_alone(&to, location).await?;
    bring_up_to_date(&to, None).await?;
    if !replace {
        expect_empty(&to, location).await?;
    }
    let replaced = tables::count(&to).await?;
    tables::empty(&to).await?;
    let from = door::snapshot(&backup.connection).await?;
    let rows = tables::copy(&from, &to).await?;
    index::rebuild(&to).await?;
    after.end(to).await?;
    owned.close().await?;
    door::leave(backup.connection, from).await?;
    Ok(Restored {
        rows,
        replaced,
        upgraded: backup.upgraded,
    })
}

/// Waits for the connections of others to close. A SQLite file is known to be ours alone.
async fn wait_until_alone(transaction: &DatabaseTransaction, location: &Location) -> Result<()> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let give_up = Instant::now() + OTHERS_GO;
    loop {
        // Without this a transaction sees the connections as they were at its first look.
        transaction
            .execute_unprepared("SELECT pg_stat_clear_snapshot()")
            .await
            .map_err(trying(ACTION))?;
        let others: Option<i64> = door::first(transaction, OTHERS).await?;
        if others == Some(0) {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(Error::Unusable {
                reason: format!(
                    "another process works with the database {}: wait until it is done, or stop it",
                    door::place(location)
                ),
            });
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// A backup that can be read, with the newest schema.
struct Source {
    connection: DatabaseConnection,
    upgraded: Vec<String>,
    /// Removed when the backup was read.
    _copy: Option<Draft>,
}

impl Source {
    async fn open(file: &Path) -> Result<Self> {
        let no_backup = || Error::Unusable {
            reason: format!(
                "{} is damaged, or is no backup of fusion-kit: take another",
                file.display()
            ),
        };
        readable(file)?;
        let Ok(Some(connection)) = sqlite::look_at(file).await else {
            return Err(no_backup());
        };
        let steps = steps(&connection).await.map_err(|_| no_backup())?;
        if steps.state.applied.is_empty() {
            return Err(no_backup());
        }
        if let Some(newer) = steps.newer.first() {
            return Err(Error::Unusable {
                reason: format!(
                    "the backup {} was written by a newer fusion-kit (its schema has step {newer}): use \
                     that version",
                    file.display()
                ),
            });
        }
        sqlite::check_pages(&connection)
            .await
            .map_err(|_| no_backup())?;
        if steps.state.missing.is_empty() {
            return Ok(Self {
                connection,
                upgraded: Vec::new(),
                _copy: None,
            });
        }
        let copy = Draft::for_copy(file)?;
        copy_pages(&connection, copy.path()).await?;
        connection.close().await.map_err(trying(ACTION))?;
        let connection = sqlite::open_unknown(copy.path()).await?;
        let transaction = connection.begin().await.map_err(trying(ACTION))?;
        let upgraded = bring_up_to_date(&transaction, None).await?;
        transaction.commit().await.map_err(trying(ACTION))?;
        Ok(Self {
            connection,
            upgraded,
            _copy: Some(copy),
        })
    }
}

/// Says that a file is missing or can't be read before SQLite says less.
fn readable(file: &Path) -> Result<()> {
    match File::open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NotFound {
            entity: "backup",
            id: file.display().to_string(),
        }),
        Err(error) => Err(Error::Unusable {
            reason: format!(
                "the backup {} can't be read ({error}): check its permissions",
                file.display()
            ),
        }),
    }
}
