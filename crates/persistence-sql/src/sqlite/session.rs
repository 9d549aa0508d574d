//! The writing connection to SQLite.
//!
//! It runs on a thread of its own, so that a statement costs a function call and not two changes
//! of thread as with the driver of the readers (ADR 0012).

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use chrono::SecondsFormat;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, params_from_iter};
use sea_orm::{DbBackend, Statement, Value};

use super::BUSY_TIMEOUT;
use super::decoded::Places;
use crate::error::corrupt;
use crate::failure::{Result, of_sqlite};
use crate::fault;
use crate::location::Durability;
use crate::session::{Outcome, Readable, Session};

/// Prepared statements that are kept: those for 1 to 64 jobs at once are many.
const STATEMENTS: usize = 512;

/// The one connection that writes.
#[derive(Debug)]
pub(crate) struct SqliteSession {
    connection: Connection,
    /// Given up after the connection is closed: fields are dropped in their order.
    _owned: Option<File>,
}

impl SqliteSession {
    /// Opens the file, which must exist, for writing.
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let opening = |error| of_sqlite("open the database", &error);
        let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(opening)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        keep_plans(&connection).map_err(opening)?;
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        // Pages that are written again and again go from the log into the file once in that many: as many
        // as one table of the log's index has room for (4,062, https://www.sqlite.org/walformat.html).
        // What would undo a single statement stays in memory: SQLite makes a file for more than 64 KiB of
        // it, once for many a transaction.
        connection
            .execute_batch(&format!(
                "PRAGMA foreign_keys = ON; PRAGMA synchronous = {synchronous};
                 PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;
                 PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000;"
            ))
            .map_err(opening)?;
        Ok(Self {
            connection,
            _owned: None,
        })
    }

    /// Keeps the right to be the only one that writes for as long as the connection lives.
    pub(crate) fn owning(mut self, owned: File) -> Self {
        self._owned = Some(owned);
        self
    }

    fn prepared(&self, action: &'static str, sql: &str) -> Result<CachedStatement<'_>> {
        fault::inject(action)?;
        let prepared = self.connection.prepare_cached(&numbered(sql));
        prepared.map_err(|error| of_sqlite(action, &error))
    }
}

impl Session for SqliteSession {
    fn backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    async fn begin(&mut self) -> Result<()> {
        self.control("BEGIN IMMEDIATE").await
    }

    async fn commit(&mut self) -> Result<Outcome> {
        self.control("COMMIT").await.map(|()| Outcome::Done)
    }

    async fn roll_back(&mut self) {
        // SQLite has rolled back by itself on a full disk, for example.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction could not be rolled back");
        }
    }

    async fn was_committed(&mut self) -> Result<bool> {
        // A COMMIT in this very process always tells.
        Ok(false)
    }

    async fn control(&mut self, statement: &'static str) -> Result<()> {
        self.prepared(statement, statement)?
            .execute([])
            .map(|_| ())
            .map_err(|error| of_sqlite(statement, &error))
    }

    async fn execute(&mut self, action: &'static str, statement: Statement) -> Result<u64> {
        let values = bound(&statement)?;
        let touched = self
            .prepared(action, &statement.sql)?
            .execute(params_from_iter(values))
            .map_err(|error| of_sqlite(action, &error))?;
        u64::try_from(touched).map_err(|_| corrupt("row count").into())
    }

    async fn rows<E: Readable>(
        &mut self,
        action: &'static str,
        statement: Statement,
    ) -> Result<Vec<E::Model>> {
        let values = bound(&statement)?;
        let mut prepared = self.prepared(action, &statement.sql)?;
        let places = Places::of::<E::Model>(&prepared)?;
        let failed = |error| of_sqlite(action, &error);
        let mut rows = prepared.query(params_from_iter(values)).map_err(failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(places.model(row)?);
        }
        Ok(found)
    }

    async fn number(&mut self, action: &'static str, statement: Statement) -> Result<Option<i64>> {
        let values = bound(&statement)?;
        let mut prepared = self.prepared(action, &statement.sql)?;
        let failed = |error| of_sqlite(action, &error);
        let mut rows = prepared.query(params_from_iter(values)).map_err(failed)?;
        match rows.next().map_err(failed)? {
            Some(row) => row.get(0).map_err(failed),
            None => Ok(None),
        }
    }
}

/// Keeps a prepared statement as it is whatever values it is given: SQLite prepares one anew, at several
/// times the cost of carrying it out, when a value might decide whether a partial index can be used
/// (<https://www.sqlite.org/queryplanner-ng.html>, query planner stability guarantee). Statements that
/// are for such an index name its values in their text.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(|_| ())
}

/// A statement as SQLite numbers values: to it `$2` is a name, numbered by where it stands; `?2` is the
/// second value.
pub(super) fn numbered(sql: &str) -> Cow<'_, str> {
    if sql.contains('$') {
        Cow::Owned(sql.replace('$', "?"))
    } else {
        Cow::Borrowed(sql)
    }
}

/// The values of a statement, as the readers' driver would store them: texts and bytes are lent.
pub(super) fn bound(statement: &Statement) -> Result<Vec<ToSqlOutput<'_>>> {
    let Some(values) = &statement.values else {
        return Ok(Vec::new());
    };
    values.0.iter().map(raw).collect()
}

fn raw(value: &Value) -> Result<ToSqlOutput<'_>> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the builder's enum; our columns have no other types"
    )]
    let raw = match value {
        Value::Bool(value) => value.map(ToSqlOutput::from),
        Value::Int(value) => value.map(ToSqlOutput::from),
        Value::Unsigned(value) => value.map(ToSqlOutput::from),
        Value::BigInt(value) => value.map(ToSqlOutput::from),
        Value::BigUnsigned(value) => value
            .map(|value| i64::try_from(value).map(ToSqlOutput::from))
            .transpose()
            .map_err(|_| corrupt("a number"))?,
        Value::Double(value) => value.map(ToSqlOutput::from),
        Value::String(value) => value.as_deref().map(ToSqlOutput::from),
        Value::Bytes(value) => value.as_deref().map(ToSqlOutput::from),
        Value::Uuid(value) => value
            .as_ref()
            .map(|value| ToSqlOutput::from(value.as_bytes().as_slice())),
        Value::ChronoDateTimeUtc(value) => value.map(|value| {
            let text = value.to_rfc3339_opts(SecondsFormat::AutoSi, false);
            ToSqlOutput::from(text)
        }),
        _ => return Err(corrupt("a value of an unknown type").into()),
    };
    Ok(raw.unwrap_or(ToSqlOutput::Borrowed(ValueRef::Null)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_statement_could_undo_is_kept_in_memory_and_not_in_files() {
        const IN_MEMORY: i64 = 2;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.db");
        File::create(&path).unwrap();
        let mut session = SqliteSession::open(&path, Durability::Full).unwrap();
        let look = Statement::from_string(DbBackend::Sqlite, "PRAGMA temp_store");
        let kept = session.number("look", look).await.unwrap();
        assert_eq!(kept, Some(IN_MEMORY));
    }
}
