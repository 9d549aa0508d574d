//! The sign of life of a node: a lock that the server frees within moments of the end of its process.
//!
//! The lock is on a connection of its own, so that nothing else holds it up. A process that is merely
//! stopped keeps it: that it is there proves nothing.

use std::time::Duration;

use fusion_persistence::Result;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{ANSWER_WITHIN, Access, answered, connect};
use crate::error::trying;
use crate::location::{Location, ServerUrl};
use crate::nodes::LIFE;

/// How often it is looked whether the connection is still there.
const PERIOD: Duration = Duration::from_secs(1);

/// The wait before a lost connection is made again: others give it a moment too.
const BETWEEN: Duration = Duration::from_millis(50);

/// The longest of these waits.
const LONGEST: Duration = Duration::from_secs(1);

const ACTION: &str = "show that this process lives";

/// Shows life until it is dropped.
#[derive(Debug)]
pub struct Life {
    _stop: DropGuard,
}

impl Life {
    /// Begins to show that the node of this epoch lives, once the lock is held or the server was
    /// unreachable. `None` for a database that one process owns.
    pub async fn show(location: &Location, epoch: u64, tracker: &TaskTracker) -> Option<Self> {
        let Location::Server(url) = location else {
            return None;
        };
        let stop = CancellationToken::new();
        let (url, ended) = (url.clone(), stop.clone());
        let first = lock(&url, epoch).await;
        tracker.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = keep(&url, epoch, first) => {}
            }
        });
        Some(Self {
            _stop: stop.drop_guard(),
        })
    }
}

/// Holds the lock, and takes it again whenever its connection was lost.
async fn keep(url: &ServerUrl, epoch: u64, first: Result<Option<DatabaseConnection>>) {
    let (mut held, mut wait) = (first, BETWEEN);
    loop {
        match held {
            Ok(Some(connection)) => {
                wait = BETWEEN;
                while is_held(&connection, epoch).await {
                    sleep(PERIOD).await;
                }
            }
            // An earlier connection of this node has not ended yet at the server.
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the sign of life could not be given"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
        held = lock(url, epoch).await;
    }
}

/// A connection with the lock; `None` when another one has it.
async fn lock(url: &ServerUrl, epoch: u64) -> Result<Option<DatabaseConnection>> {
    let connection = connect(url, Access::ReadOnly, 1).await?;
    let sql = "SELECT pg_try_advisory_lock($1, $2)";
    let number = i32::try_from(epoch).unwrap_or(i32::MAX);
    let take =
        Statement::from_sql_and_values(DbBackend::Postgres, sql, [LIFE.into(), number.into()]);
    let row = answered(ANSWER_WITHIN, ACTION, connection.query_one_raw(take)).await?;
    let taken = row.map(|row| row.try_get_by_index(0)).transpose();
    let taken: Option<bool> = taken.map_err(trying(ACTION))?;
    Ok((taken == Some(true)).then_some(connection))
}

/// Whether the lock is still this connection's: its pool may have made a new one.
async fn is_held(connection: &DatabaseConnection, epoch: u64) -> bool {
    let sql = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
                 AND classid::bigint = $1 AND objid::bigint = $2";
    let values = [
        i64::from(LIFE).into(),
        i64::try_from(epoch).unwrap_or(i64::MAX).into(),
    ];
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let row = timeout(ANSWER_WITHIN, connection.query_one_raw(ask)).await;
    matches!(row, Ok(Ok(Some(_))))
}
