//! The sign of life of a node: a lock that the server frees within moments of the end of its process.
//!
//! The lock is on a connection of its own, so that nothing else holds it up. A process that is merely
//! stopped keeps it: that it is there proves nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusion_persistence::{NodeSeen, Result};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{ANSWER_WITHIN, Access, answered, connect};
use crate::error::trying;
use crate::location::{Location, ServerUrl};
use crate::nodes::LIFE;
use crate::store::SqlStore;

/// How often it is looked whether the connection is still there.
const PERIOD: Duration = Duration::from_secs(1);

/// A look at the nodes tells for so long whether the sign is there. Nothing is asked for meanwhile.
const TOLD_FOR: Duration = Duration::from_secs(2);

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
    /// What `store` sees when it looks at the nodes spares it looks of its own.
    pub async fn show(
        store: &SqlStore,
        location: &Location,
        epoch: u64,
        tracker: &TaskTracker,
    ) -> Option<Self> {
        let Location::Server(url) = location else {
            return None;
        };
        let stop = CancellationToken::new();
        let (url, ended, signs) = (url.clone(), stop.clone(), Arc::clone(store.signs()));
        let first = lock(&url, epoch).await;
        tracker.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = keep(&url, (epoch, &signs), first) => {}
            }
        });
        Some(Self {
            _stop: stop.drop_guard(),
        })
    }
}

/// Which nodes showed life at the last look of this process.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    last: Mutex<Option<Look>>,
    noted: Notify,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    alive: BTreeSet<u64>,
}

impl Signs {
    /// Somebody looked.
    pub(crate) fn note(&self, nodes: &[NodeSeen]) {
        let alive = nodes.iter().filter(|seen| seen.shows_life == Some(true));
        let look = Look {
            at: Instant::now(),
            alive: alive.map(|seen| seen.node.epoch).collect(),
        };
        *self.locked() = Some(look);
        self.noted.notify_one();
    }

    /// Whether the node showed life at a look that is not old.
    fn tell_of(&self, epoch: u64) -> bool {
        let is_told = |look: &Look| look.at.elapsed() < TOLD_FOR && look.alive.contains(&epoch);
        self.locked().as_ref().is_some_and(is_told)
    }

    /// Waits for the next look, or for the time after which one is to be taken here.
    async fn next(&self) {
        let nobody_looked = timeout(PERIOD, self.noted.notified()).await;
        drop(nobody_looked);
    }

    /// A poisoned lock still holds a whole look.
    fn locked(&self) -> MutexGuard<'_, Option<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds the lock, and takes it again whenever its connection was lost.
async fn keep(
    url: &ServerUrl,
    (epoch, signs): (u64, &Signs),
    first: Result<Option<DatabaseConnection>>,
) {
    let (mut held, mut wait) = (first, BETWEEN);
    loop {
        match held {
            Ok(Some(connection)) => {
                wait = BETWEEN;
                while signs.tell_of(epoch) || is_held(&connection, epoch).await {
                    signs.next().await;
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
