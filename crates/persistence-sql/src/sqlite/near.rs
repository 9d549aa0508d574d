//! Reads of a few rows, carried out by who asks: a change of thread and back costs several times as
//! much as they do (ADR 0033).

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use sea_orm::Statement;

use super::session::{bound, keep_plans, model, numbered};
use crate::failure::{Result, of_sqlite};
use crate::session::Readable;

/// Longer answers are for the connections that have threads of their own.
const ROWS: usize = 64;

/// Prepared statements that are kept.
const STATEMENTS: usize = 128;

/// Who asks is held up no longer than this by somebody who writes at the moment.
const PATIENCE: Duration = Duration::from_millis(2);

/// A connection that reads in the thread of its caller.
#[derive(Debug)]
pub(crate) struct Near {
    connection: Mutex<Connection>,
}

impl Near {
    /// Opens the file, which must exist, for reading.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let opening = |error| of_sqlite("open the database", &error);
        let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
        connection.busy_timeout(PATIENCE).map_err(opening)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        keep_plans(&connection).map_err(opening)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// The rows that a statement gives; `None` when they are many, or can't be read just now.
    pub(crate) fn rows<E: Readable>(
        &self,
        action: &'static str,
        statement: &Statement,
    ) -> Result<Option<Vec<E::Model>>> {
        let read = |connection: &Connection| {
            let values = bound(statement)?;
            let failed = |error| of_sqlite(action, &error);
            let mut prepared = connection
                .prepare_cached(&numbered(&statement.sql))
                .map_err(failed)?;
            let mut rows = match prepared.query(params_from_iter(values)) {
                Err(error) if is_busy(&error) => return Ok(None),
                other => other.map_err(failed)?,
            };
            let mut found = Vec::new();
            loop {
                match rows.next() {
                    Err(error) if is_busy(&error) => return Ok(None),
                    Err(error) => return Err(failed(error)),
                    Ok(None) => return Ok(Some(found)),
                    Ok(Some(_)) if found.len() == ROWS => return Ok(None),
                    Ok(Some(row)) => found.push(model::<E>(row)?),
                }
            }
        };
        read(&self.connection())
    }

    /// The numbers in the one row that a statement gives; `None` when it can't be read just now.
    pub(crate) fn numbers<const N: usize>(
        &self,
        action: &'static str,
        statement: &Statement,
    ) -> Result<Option<[Option<i64>; N]>> {
        let values = bound(statement)?;
        let failed = |error| of_sqlite(action, &error);
        let connection = self.connection();
        let mut prepared = connection
            .prepare_cached(&numbered(&statement.sql))
            .map_err(failed)?;
        let row = prepared.query_row(params_from_iter(values), |row| {
            let mut numbers = [None; N];
            for (place, number) in numbers.iter_mut().enumerate() {
                *number = row.get(place)?;
            }
            Ok(numbers)
        });
        match row {
            Err(error) if is_busy(&error) => Ok(None),
            other => other.map(Some).map_err(failed),
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // Who panicked left a statement that is over.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
