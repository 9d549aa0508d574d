//! From the driver's errors to the port's.

use fusion_persistence::Error;
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>).
mod sqlite_code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const IOERR: u32 = 10;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

/// Gives a driver's error its meaning. `action` completes "trying to ...".
pub(crate) fn map(action: &'static str, error: DbErr) -> Error {
    match code(&error) {
        Some(sqlite_code::FULL) => Error::DiskFull { source: Box::new(error) },
        Some(sqlite_code::BUSY | sqlite_code::LOCKED | sqlite_code::IOERR) => {
            Error::Unavailable { action, source: Box::new(error) }
        }
        Some(sqlite_code::CORRUPT | sqlite_code::NOTADB) => Error::Unusable {
            reason: "the database file is damaged or is not a database: move it away or restore a backup, \
                     or use another --data-dir"
                .to_owned(),
        },
        Some(sqlite_code::READONLY | sqlite_code::CANTOPEN) => Error::Unusable {
            reason: "the database file can't be opened for writing: check its permissions, or use another --data-dir"
                .to_owned(),
        },
        _ => Error::Failed { action, source: Box::new(error) },
    }
}

/// For `map_err`.
pub(crate) fn trying(action: &'static str) -> impl Fn(DbErr) -> Error {
    move |error| map(action, error)
}

fn code(error: &DbErr) -> Option<u32> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the driver's enum; only these carry a code"
    )]
    let runtime = match error {
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return None,
    };
    let RuntimeErr::SqlxError(driver) = runtime else {
        return None;
    };
    let sqlx::Error::Database(database) = driver.as_ref() else {
        return None;
    };
    let extended: u32 = database.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// A stored value that does not fit its type any more.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::Corrupt {
        what: what.to_owned(),
        source: None,
    }
}

/// A stored JSON value that does not fit its type any more.
pub(crate) fn unreadable(what: &'static str) -> impl Fn(serde_json::Error) -> Error {
    move |error| Error::Corrupt {
        what: what.to_owned(),
        source: Some(Box::new(error)),
    }
}
