//! The maintenance of a database: its schema, its state, its soundness, its backups.
//!
//! None of it goes through the port: it works on whole databases, also on ones that the port can't
//! open. A database in memory has no maintenance and is refused.

mod backup;
mod check;
mod door;
mod restore;
mod tables;
mod vacuum;

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::Timestamp;
use fusion_persistence::Result;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, QueryOrder, QuerySelect};

pub use backup::{Backup, backup};
pub use check::{Check, check};
pub use restore::{Restored, restore, try_restore};
pub use vacuum::{Vacuumed, vacuum};

use crate::dialect::Dialect;
use crate::error::trying;
use crate::events;
use crate::location::Location;
use crate::migrations::{SchemaState, Steps, bring_up_to_date, schema_state, steps};
use crate::store::unsigned;
use door::Owned;

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The steps that were applied now, in order; none when the schema was up to date.
    pub applied_now: Vec<String>,
    /// What the database has of the schema.
    pub schema: SchemaState,
}

/// Brings the schema of a database up to date, in one transaction; makes the database when there is
/// none. A SQLite file belongs to this call meanwhile.
///
/// # Errors
/// The database can't be reached or opened, belongs to another process, is damaged, or was written
/// by a newer program. Its schema is as it was.
pub async fn migrate(location: &Location) -> Result<Migrated> {
    migrate_some(location, None).await
}

/// Applies the next few steps only, as a program did that had no more of them: for tests of
/// upgrades.
///
/// # Errors
/// As [`migrate`].
#[cfg(feature = "failpoints")]
pub async fn migrate_some_steps(location: &Location, steps: u32) -> Result<Migrated> {
    migrate_some(location, Some(steps)).await
}

async fn migrate_some(location: &Location, steps: Option<u32>) -> Result<Migrated> {
    let owned = Owned::take(location).await?;
    let transaction = owned.begin().await?;
    let applied_now = bring_up_to_date(&transaction, steps).await?;
    let schema = schema_state(&transaction).await?;
    transaction
        .commit()
        .await
        .map_err(trying("bring the schema up to date"))?;
    owned.close().await?;
    Ok(Migrated {
        applied_now,
        schema,
    })
}

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A SQLite file.
    Sqlite,
    /// A database of a PostgreSQL server.
    Postgres,
}

impl DatabaseKind {
    /// As people call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// What a database is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStatus {
    /// Which database it is.
    pub kind: DatabaseKind,
    /// The version of the library or of the server, in its own words.
    pub version: String,
    /// The path of the file, or the URL without its password.
    pub place: String,
    /// On disk; of SQLite with the part that is still in the WAL.
    pub size_bytes: u64,
    /// What it has of the schema.
    pub schema: SchemaState,
    /// Steps of the schema that this program does not know: a newer one wrote the database.
    pub newer: Vec<String>,
    /// Rows of each table that there is.
    pub rows: BTreeMap<&'static str, u64>,
    /// The number of the newest event; 0 before the first one.
    pub last_event: u64,
    /// When the oldest event happened that is left.
    pub oldest_event: Option<Timestamp>,
}

/// Looks at a database, beside the processes that work with it. Its schema may be of an older or a
/// newer program. `None` when there is no database yet, or one with none of our tables.
///
/// # Errors
/// The database can't be reached or opened, or is damaged.
pub async fn status(location: &Location) -> Result<Option<DatabaseStatus>> {
    let Some(connection) = door::look(location).await? else {
        return Ok(None);
    };
    let snapshot = door::snapshot(&connection).await?;
    let steps = steps(&snapshot).await?;
    let found = if steps.state.applied.is_empty() {
        None
    } else {
        Some(look_around(location, &snapshot, steps).await?)
    };
    door::leave(connection, snapshot).await?;
    Ok(found)
}

async fn look_around(
    location: &Location,
    snapshot: &DatabaseTransaction,
    steps: Steps,
) -> Result<DatabaseStatus> {
    let (kind, version) = match Dialect::from(snapshot.get_database_backend()) {
        Dialect::Sqlite => (DatabaseKind::Sqlite, "SELECT sqlite_version()"),
        Dialect::Postgres => (
            DatabaseKind::Postgres,
            "SELECT current_setting('server_version')",
        ),
    };
    let last_event = "SELECT last_seq FROM event_streams WHERE name = 'main'";
    let last_event: Option<i64> = door::first(snapshot, last_event).await?;
    let oldest_event: Option<Timestamp> = events::table::Entity::find()
        .select_only()
        .column(events::table::Column::Timestamp)
        .order_by_asc(events::table::Column::Seq)
        .limit(1)
        .into_tuple()
        .one(snapshot)
        .await
        .map_err(trying("look at the database"))?;
    Ok(DatabaseStatus {
        kind,
        version: door::first(snapshot, version).await?.unwrap_or_default(),
        place: door::place(location),
        size_bytes: size(location, snapshot).await?,
        schema: steps.state,
        newer: steps.newer,
        rows: tables::count(snapshot).await?,
        last_event: unsigned(last_event.unwrap_or(0), "event seq")?,
        oldest_event,
    })
}

async fn size(location: &Location, conn: &impl ConnectionTrait) -> Result<u64> {
    match location {
        Location::File(path, _) => Ok(on_disk(path) + on_disk(&door::beside(path, "-wal"))),
        Location::Memory => Err(door::no_place()),
        Location::Server(_) => {
            let sql = "SELECT pg_database_size(current_database())";
            let found: Option<i64> = door::first(conn, sql).await?;
            unsigned(found.unwrap_or(0), "database size")
        }
    }
}

fn on_disk(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}
