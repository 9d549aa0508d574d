//! What can go wrong with a statement of the writer, by what it means for the transaction.

use fusion_persistence::{Error, Source};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a statement was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The job is refused; the transaction goes on once the job's part is rolled back.
    Refused(Error),
    /// A unique value is taken.
    Unique(Error),
    /// A row that is referred to is missing, or one that is deleted is referred to.
    Reference(Error),
    /// Other transactions were in the way: the same job may go through when it is tried again.
    Contended(Error),
    /// The transaction is gone, and with it everything in it.
    Lost(Error),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Tells what a taken unique value means for the caller.
    pub(crate) fn unique_as(self, error: impl FnOnce() -> Error) -> Self {
        if let Self::Unique(_) = self {
            Self::Refused(error())
        } else {
            self
        }
    }

    /// Tells what a broken reference means for the caller.
    pub(crate) fn reference_as(self, error: impl FnOnce() -> Error) -> Self {
        if let Self::Reference(_) = self {
            Self::Refused(error())
        } else {
            self
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error)
            | Failure::Unique(error)
            | Failure::Reference(error)
            | Failure::Contended(error)
            | Failure::Lost(error) => error,
        }
    }
}

/// Gives an error of SQLite its meaning. `action` completes "trying to ...".
pub(crate) fn of_sqlite(action: &'static str, error: &rusqlite::Error) -> Failure {
    use rusqlite::ffi;
    let code = error.sqlite_error().map(|code| code.extended_code);
    // Its own source only says the same again.
    let told = error.to_string().into();
    let meaning = super::error::of_sqlite_code(code, action, told);
    match code {
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            Failure::Unique(meaning)
        }
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Failure::Reference(meaning),
        // SQLite rolls everything back when the disk is full or broken.
        _ if is_of_the_database(&meaning) => Failure::Lost(meaning),
        _ => Failure::Refused(meaning),
    }
}

fn is_of_the_database(error: &Error) -> bool {
    matches!(
        error,
        Error::DiskFull { .. } | Error::Unavailable { .. } | Error::Unusable { .. }
    )
}

/// Codes of PostgreSQL (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
mod sqlstate {
    pub(super) const CONTENDED: [&str; 4] = [
        "40001", // serialization failure
        "40P01", // deadlock detected
        "55P03", // lock not available: lock_timeout
        "57014", // query cancelled: statement_timeout
    ];
    pub(super) const UNIQUE: &str = "23505";
    pub(super) const FOREIGN_KEY: &str = "23503";
}

/// Gives an error of PostgreSQL its meaning. `action` completes "trying to ...".
pub(crate) fn of_postgres(action: &'static str, error: DbErr) -> Failure {
    match sqlstate(&error).as_deref() {
        None if is_refusal(&error) => Failure::Refused(failed(action, error)),
        None => Failure::Lost(unavailable(action, error)),
        Some(code) if sqlstate::CONTENDED.contains(&code) => {
            Failure::Contended(unavailable(action, error))
        }
        Some(sqlstate::UNIQUE) => Failure::Unique(failed(action, error)),
        Some(sqlstate::FOREIGN_KEY) => Failure::Reference(failed(action, error)),
        // Insufficient resources: the disk is full, or too many connections.
        Some("53100") => Failure::Lost(Error::DiskFull {
            source: Box::new(error),
        }),
        // Connection exceptions, an ended or read-only transaction, resources, operator
        // intervention, system errors: the session is of no more use.
        Some(code)
            if ["08", "25", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class)) =>
        {
            Failure::Lost(unavailable(action, error))
        }
        Some(_) => Failure::Refused(failed(action, error)),
    }
}

fn unavailable(action: &'static str, error: DbErr) -> Error {
    let source: Source = if matches!(error, DbErr::ConnectionAcquire(_)) {
        // In the driver's words a pool has timed out, which tells a user nothing.
        "the server took no connection within 5 s".into()
    } else {
        Box::new(error)
    };
    Error::Unavailable { action, source }
}

fn failed(action: &'static str, error: DbErr) -> Error {
    Error::Failed {
        action,
        source: Box::new(error),
    }
}

/// Whether an error is about the statement or the row, not about the connection.
fn is_refusal(error: &DbErr) -> bool {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the driver's enum; all but errors of the runtime are about the call"
    )]
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => false,
        DbErr::Exec(RuntimeErr::SqlxError(driver))
        | DbErr::Query(RuntimeErr::SqlxError(driver)) => {
            matches!(
                driver.as_ref(),
                sqlx::Error::ColumnDecode { .. }
                    | sqlx::Error::ColumnNotFound(_)
                    | sqlx::Error::Decode(_)
                    | sqlx::Error::Encode(_)
                    | sqlx::Error::RowNotFound
                    | sqlx::Error::TypeNotFound { .. }
            )
        }
        _ => true,
    }
}

/// The five characters of a PostgreSQL error, when the server gave one.
fn sqlstate(error: &DbErr) -> Option<String> {
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
    database.code().map(std::borrow::Cow::into_owned)
}
