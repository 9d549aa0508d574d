//! Reads by connections of this process: a change of thread and back for every row, as with the driver of
//! the other readers, costs several times as much as the row does (ADR 0033).

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusion_persistence::Error;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use sea_orm::Statement;
use tokio::task::spawn_blocking;

use super::BUSY_TIMEOUT;
use super::decoded::Places;
use super::session::{bound, keep_plans, numbered};
use crate::error::corrupt;
use crate::failure::{Failure, Result, of_sqlite};
use crate::session::{Both, Readable};

/// Longer answers are read aside.
const ROWS: usize = 64;

/// Prepared statements that are kept by each connection.
const STATEMENTS: usize = 128;

/// Who asks is held up no longer than this by somebody who writes at the moment.
const PATIENCE: Duration = Duration::from_millis(2);

/// Connections that read a file: one in the thread of its caller, the others on threads for work that blocks.
#[derive(Debug)]
pub(crate) struct Near {
    here: Mutex<Connection>,
    aside: [Mutex<Connection>; 2],
    turn: AtomicUsize,
}

impl Near {
    /// Opens the file, which must exist, for reading.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            here: open(path, PATIENCE)?,
            aside: [open(path, BUSY_TIMEOUT)?, open(path, BUSY_TIMEOUT)?],
            turn: AtomicUsize::new(0),
        })
    }

    /// The rows that a statement gives; `None` when they are many, or can't be read just now.
    pub(crate) fn few<E: Readable>(
        &self,
        action: &'static str,
        statement: &Statement,
    ) -> Result<Option<Vec<E::Model>>> {
        here(action, rows::<E>(&lock(&self.here), statement, ROWS))
    }

    /// The rows that two statements give at one moment. Nobody else waits for them, but other callers of this
    /// where they are many.
    pub(crate) async fn both<A: Readable, B: Readable>(
        self: &Arc<Self>,
        action: &'static str,
        one: Statement,
        other: Statement,
    ) -> Result<Both<A, B>> {
        if let Some(few) = here(
            action,
            both::<A, B>(&lock(&self.here), (&one, &other), ROWS),
        )? {
            return Ok(few);
        }
        self.aside(action, move |connection| {
            both::<A, B>(connection, (&one, &other), usize::MAX)
        })
        .await
    }

    /// All rows that a statement gives. Nobody else waits for them, but other callers of this.
    pub(crate) async fn all<E: Readable>(
        self: &Arc<Self>,
        action: &'static str,
        statement: Statement,
    ) -> Result<Vec<E::Model>> {
        self.aside(action, move |connection| {
            rows::<E>(connection, &statement, usize::MAX)
        })
        .await
    }

    /// The numbers in the one row that a statement gives; `None` when it can't be read just now.
    pub(crate) fn numbers<const N: usize>(
        &self,
        action: &'static str,
        statement: &Statement,
    ) -> Result<Option<[Option<i64>; N]>> {
        here(action, numbers(&lock(&self.here), statement))
    }

    /// What `PRAGMA data_version` tells (<https://sqlite.org/pragma.html#pragma_data_version>): it changes with
    /// each commit of another connection, of this process or of any. `None` when it can't be read just now.
    pub(crate) fn data_version(&self) -> Option<i64> {
        let connection = lock(&self.here);
        let mut prepared = connection.prepare_cached("PRAGMA data_version").ok()?;
        prepared.query_row([], |row| row.get(0)).ok()
    }

    /// The number that a statement gives which reads many rows for it.
    pub(crate) async fn count(
        self: &Arc<Self>,
        action: &'static str,
        statement: Statement,
    ) -> Result<Option<i64>> {
        let [number] = self
            .aside(action, move |connection| numbers(connection, &statement))
            .await?;
        Ok(number)
    }

    /// Reads on a thread for work that blocks.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        read: impl FnOnce(&Connection) -> std::result::Result<T, Unread> + Send + 'static,
    ) -> Result<T> {
        let own = Arc::clone(self);
        let ended = spawn_blocking(move || read(&own.next())).await;
        let read = ended.map_err(|error| {
            Failure::Lost(Error::Unavailable {
                action,
                source: Box::new(error),
            })
        })?;
        read.map_err(|unread| match unread {
            Unread::Many => corrupt(action).into(),
            Unread::Sqlite(error) => of_sqlite(action, &error),
            Unread::Refused(failure) => failure,
        })
    }

    /// One that nobody uses, else the next in turn.
    fn next(&self) -> MutexGuard<'_, Connection> {
        let [one, other] = &self.aside;
        let free = one.try_lock().or_else(|_| other.try_lock());
        free.unwrap_or_else(|_| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            lock(if turn.is_multiple_of(2) { one } else { other })
        })
    }
}

/// Why nothing was read.
enum Unread {
    /// There is more than was asked for.
    Many,
    Sqlite(rusqlite::Error),
    Refused(Failure),
}

impl From<rusqlite::Error> for Unread {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

fn open(path: &Path, patience: Duration) -> Result<Mutex<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let opening = |error| of_sqlite("open the database", &error);
    let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
    connection.busy_timeout(patience).map_err(opening)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    keep_plans(&connection).map_err(opening)?;
    Ok(Mutex::new(connection))
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    // Who panicked left a statement that is over.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rows<E: Readable>(
    connection: &Connection,
    statement: &Statement,
    most: usize,
) -> std::result::Result<Vec<E::Model>, Unread> {
    let values = bound(statement)?;
    let mut prepared = connection.prepare_cached(&numbered(&statement.sql))?;
    let places = Places::of::<E::Model>(&prepared)?;
    let mut rows = prepared.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() == most {
            return Err(Unread::Many);
        }
        found.push(places.model(row)?);
    }
    Ok(found)
}

/// The rows of two statements, each at most so many, that were read in one transaction.
fn both<A: Readable, B: Readable>(
    connection: &Connection,
    (one, other): (&Statement, &Statement),
    most: usize,
) -> std::result::Result<Both<A, B>, Unread> {
    let moment = connection.unchecked_transaction()?;
    let found = (
        rows::<A>(&moment, one, most)?,
        rows::<B>(&moment, other, most)?,
    );
    moment.finish()?;
    Ok(found)
}

fn numbers<const N: usize>(
    connection: &Connection,
    statement: &Statement,
) -> std::result::Result<[Option<i64>; N], Unread> {
    let values = bound(statement)?;
    let mut prepared = connection.prepare_cached(&numbered(&statement.sql))?;
    let numbers = prepared.query_row(params_from_iter(values), |row| {
        let mut numbers = [None; N];
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = row.get(place)?;
        }
        Ok(numbers)
    })?;
    Ok(numbers)
}

/// What was read here, if it could be.
fn here<T>(action: &'static str, read: std::result::Result<T, Unread>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Unread::Many) => Ok(None),
        Err(Unread::Sqlite(error)) if is_busy(&error) => Ok(None),
        Err(Unread::Sqlite(error)) => Err(of_sqlite(action, &error)),
        Err(Unread::Refused(failure)) => Err(failure),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
