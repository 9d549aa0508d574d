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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;
    use std::fmt;

    use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
    use sea_orm::{DbErr, RuntimeErr, sqlx};

    use super::{Failure, of_postgres};

    /// What a server said, as far as it counts here.
    #[derive(Debug)]
    struct Said(&'static str);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn meaning(code: &'static str) -> &'static str {
        let error = sqlx::Error::Database(Box::new(Said(code)));
        let failure = of_postgres("write", DbErr::Exec(RuntimeErr::SqlxError(error.into())));
        match failure {
            Failure::Refused(_) => "refused",
            Failure::Unique(_) => "unique",
            Failure::Reference(_) => "reference",
            Failure::Contended(_) => "contended",
            Failure::Lost(_) => "lost",
        }
    }

    #[test]
    fn a_code_of_the_server_says_what_became_of_the_transaction() {
        let expected = [
            ("08006", "lost"),      // connection failure
            ("22003", "refused"),   // a number out of range
            ("23503", "reference"), // foreign key
            ("23505", "unique"),    // unique value
            ("25006", "lost"),      // a read-only transaction: the server is a standby now
            ("25P03", "lost"),      // idle in transaction for too long: the session is ended
            ("40001", "contended"), // serialization
            ("40P01", "contended"), // deadlock
            ("53100", "lost"),      // disk full
            ("53300", "lost"),      // too many connections
            ("55P03", "contended"), // lock not available
            ("57014", "contended"), // query cancelled
            ("57P01", "lost"),      // the server shuts down
            ("58030", "lost"),      // input or output failed
        ];
        let told = expected.map(|(code, _)| (code, meaning(code)));
        assert_eq!(told, expected);
    }
}
