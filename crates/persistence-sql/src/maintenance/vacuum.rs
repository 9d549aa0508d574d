//! Giving back the room of what was deleted.

use fusion_persistence::Result;
use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::door::{self, Owned};
use super::{size, steps};
use crate::error::trying;
use crate::location::Location;

/// What a vacuum gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuumed {
    /// Bytes on disk before it.
    pub before: u64,
    /// Bytes on disk after it.
    pub after: u64,
}

/// Gives the room of deleted rows back: a SQLite file is written anew and belongs to this call
/// meanwhile; PostgreSQL works on beside it and mostly keeps the room for new rows.
///
/// # Errors
/// There is no database, it can't be reached, or belongs to another process. Its rows are as they were.
pub async fn vacuum(location: &Location) -> Result<Vacuumed> {
    let Some(connection) = door::look(location).await? else {
        return Err(door::none_there(location));
    };
    let found = steps(&connection).await?;
    connection
        .close()
        .await
        .map_err(trying("close the database"))?;
    if found.state.applied.is_empty() {
        return Err(door::none_there(location));
    }
    let owned = Owned::take(location).await?;
    let done = on(location, owned.connection()).await;
    owned.close().await?;
    done
}

async fn on(location: &Location, connection: &DatabaseConnection) -> Result<Vacuumed> {
    let before = size(location, connection).await?;
    let statements: &[&str] = match location {
        // The second moves what the first wrote out of the log and empties it.
        Location::File(..) => &["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"],
        Location::Memory => &[],
        Location::Server(_) => &["SET statement_timeout = 0", "VACUUM (ANALYZE)"],
    };
    for statement in statements {
        connection
            .execute_unprepared(statement)
            .await
            .map_err(trying("vacuum the database"))?;
    }
    let after = size(location, connection).await?;
    Ok(Vacuumed { before, after })
}
