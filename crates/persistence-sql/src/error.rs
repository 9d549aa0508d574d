//! From the readers' driver to the port's errors.

use fusion_persistence::{Error, Source};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>).
mod sqlite_code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const INTERRUPT: i32 = 9;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
}

/// Gives a result code of SQLite its meaning.
pub(crate) fn of_sqlite_code(code: Option<i32>, action: &'static str, source: Source) -> Error {
    match code.map(|extended| extended & 0xff) {
        Some(sqlite_code::FULL) => Error::DiskFull { source },
        Some(
            sqlite_code::BUSY
            | sqlite_code::LOCKED
            | sqlite_code::NOMEM
            | sqlite_code::INTERRUPT
            | sqlite_code::IOERR,
        ) => Error::Unavailable { action, source },
        Some(sqlite_code::CORRUPT | sqlite_code::NOTADB) => damaged(),
        Some(sqlite_code::READONLY | sqlite_code::CANTOPEN) => Error::Unusable {
            reason: "the database file can't be opened for writing: check its permissions, or use another --data-dir"
                .to_owned(),
        },
        _ => Error::Failed { action, source },
    }
}

/// The answer to a damaged file.
pub(crate) fn damaged() -> Error {
    Error::Unusable {
        reason:
            "the database file is damaged or is not a database: move it away or restore a backup, \
                 or use another --data-dir"
                .to_owned(),
    }
}

/// Gives a driver's error its meaning. `action` completes "trying to ...".
pub(crate) fn map(action: &'static str, error: DbErr) -> Error {
    match driver_code(&error) {
        Driver::Sqlite(code) => of_sqlite_code(Some(code), action, Box::new(error)),
        Driver::Other => crate::failure::of_postgres(action, error).into(),
    }
}

/// For `map_err`.
pub(crate) fn trying(action: &'static str) -> impl Fn(DbErr) -> Error {
    move |error| map(action, error)
}

enum Driver {
    Sqlite(i32),
    Other,
}

fn driver_code(error: &DbErr) -> Driver {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the driver's enum; only these carry a code"
    )]
    let runtime = match error {
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return Driver::Other,
    };
    let RuntimeErr::SqlxError(driver) = runtime else {
        return Driver::Other;
    };
    let sqlx::Error::Database(database) = driver.as_ref() else {
        return Driver::Other;
    };
    if database
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_none()
    {
        return Driver::Other;
    }
    let code = database.code().and_then(|code| code.parse().ok());
    code.map_or(Driver::Other, Driver::Sqlite)
}

/// A stored value that does not fit its type any more.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::Corrupt {
        what: what.to_owned(),
        source: None,
    }
}
