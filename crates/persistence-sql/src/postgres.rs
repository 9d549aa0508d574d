//! Opening a database of a PostgreSQL server.

mod life;
mod session;

use std::io::ErrorKind;
use std::time::Duration;

use fusion_persistence::{Error, Result};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    RuntimeErr, TransactionTrait,
};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::error::trying;
use crate::location::ServerUrl;
use crate::migrations::bring_up_to_date;
use crate::store::Opened;
use crate::writer::{self, Jobs, Writer};
pub use life::Life;
pub(crate) use life::Signs;
use session::PostgresSession;

/// Connections for reading.
const READERS: u32 = 8;

/// Prepared statements that a connection keeps: those for 1 to 64 jobs at once are many.
const STATEMENTS: usize = 512;

/// How long a connection that comes back to the readers may take for a sign of life.
const RETURN_WITHIN: Duration = Duration::from_secs(1);

/// How long opening a connection may take before callers are told that the server is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait between two tries to open a connection.
const BETWEEN: Duration = Duration::from_millis(200);

/// A server that says nothing for so long is taken for gone. Longer than it waits for a lock.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// How long a process waits for its turn to migrate, by the server's count and by ours.
const TURN_WITHIN: &str = "60s";
const TURN_HEARD_WITHIN: Duration = Duration::from_secs(70);

/// The oldest server whose SQL we have run.
const OLDEST_SERVER: i32 = 150_000;

/// The number under which processes that migrate take turns: "fusion" in ASCII.
const TAKE_TURNS: &str = "SELECT pg_advisory_xact_lock(112659870183278)";

/// Opens a database and starts its writer.
pub(crate) async fn open(url: &ServerUrl, tracker: &TaskTracker) -> Result<Opened> {
    let first = take(url).await?;
    migrate(&first).await?;
    let closed = first.close().await;
    closed.map_err(trying("connect to the database"))?;
    Ok(Opened {
        writer: Some(start(url, tracker).await?),
        readers: connect(url, Access::ReadOnly, READERS).await?.into(),
    })
}

/// Starts the writer on a thread with a runtime of its own. Each statement is a round trip: on a
/// shared runtime the thread that hears the answer would have to wake the one that waits for it.
async fn start(url: &ServerUrl, tracker: &TaskTracker) -> Result<Writer> {
    let (hand, jobs) = Writer::new();
    let (opened, is_open) = oneshot::channel();
    let (url, tracked) = (url.clone(), tracker.token());
    std::thread::Builder::new()
        .name("postgres-writer".to_owned())
        .spawn(move || {
            // Given back last, when the runtime and its connection are gone.
            let _tracked = tracked;
            match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(open_and_write(url, jobs, opened)),
                Err(error) => drop(opened.send(Err(no_thread(error)))),
            }
        })
        .map_err(no_thread)?;
    is_open.await.map_err(no_thread)??;
    Ok(hand)
}

fn no_thread(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        action: "start the writer's thread",
        source: Box::new(error),
    }
}

/// Says whether the writer could be opened, then writes until every hand on it is gone.
async fn open_and_write(url: ServerUrl, jobs: Jobs, opened: oneshot::Sender<Result<()>>) {
    let session = match connect_later(&url).await {
        Ok(pool) => PostgresSession::open(&url, pool).await.map_err(Error::from),
        Err(error) => Err(error),
    };
    let (session, answer) = match session {
        Ok(session) => (Some(session), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // Who no longer waits has dropped the hand on the writer too.
    drop(opened.send(answer));
    if let Some(session) = session {
        writer::work(session, jobs).await;
    }
}

/// Opens a database for writing. Its schema is left as it is.
pub(crate) async fn take(url: &ServerUrl) -> Result<DatabaseConnection> {
    let writing = connect(url, Access::Write, 1).await?;
    check_server(&writing).await?;
    Ok(writing)
}

/// Opens a database for reading only.
pub(crate) async fn look_at(url: &ServerUrl) -> Result<Option<DatabaseConnection>> {
    let readers = connect(url, Access::ReadOnly, READERS).await?;
    check_server(&readers).await?;
    Ok(Some(readers))
}

/// What connections may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    ReadOnly,
}

/// Tries again for as long as opening a connection may take while the network breaks connections off: it may
/// have come up just now, or something stands before a server that is not there yet. A server that refuses
/// connections is tried again by the pool itself.
async fn connect(url: &ServerUrl, access: Access, connections: u32) -> Result<DatabaseConnection> {
    let give_up = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match Database::connect(options(url, access, connections)).await {
            Err(error) if is_broken_off(&error) && Instant::now() + BETWEEN < give_up => {
                sleep(BETWEEN).await;
            }
            opened => return opened.map_err(trying("connect to the database")),
        }
    }
}

/// Whether it was the network that failed, in a way that may pass.
fn is_broken_off(error: &DbErr) -> bool {
    use ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable, UnexpectedEof,
    };
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else {
        return false;
    };
    // A connection that ends in the middle of the first answer breaks the protocol.
    if matches!(error.as_ref(), sqlx::Error::Protocol(_)) {
        return true;
    }
    let sqlx::Error::Io(error) = error.as_ref() else {
        return false;
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable | UnexpectedEof
    )
}

/// One connection for writing, opened when it is first used.
async fn connect_later(url: &ServerUrl) -> Result<DatabaseConnection> {
    let mut options = options(url, Access::Write, 1);
    options.connect_lazy(true);
    Database::connect(options)
        .await
        .map_err(trying("connect to the database"))
}

fn options(url: &ServerUrl, access: Access, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url.as_str());
    options
        .sqlx_logging(false)
        .test_before_acquire(access == Access::ReadOnly)
        .max_connections(connections)
        .min_connections(0)
        // As on SQLite: else a task of the pool may spin for ever.
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_timeout(CONNECT_TIMEOUT)
        .acquire_timeout(CONNECT_TIMEOUT)
        .map_sqlx_postgres_opts(move |options| {
            // The writer gives a mute server up after 8 s: what it asked must have ended by then.
            let (read_only, statement_timeout) = match access {
                Access::Write => ("off", "7s"),
                Access::ReadOnly => ("on", "30s"),
            };
            let options = options.statement_cache_capacity(STATEMENTS);
            // A transaction of ours is short: whatever holds one longer is in trouble.
            options.application_name("fusion-kit").options([
                ("default_transaction_read_only", read_only),
                ("synchronous_commit", "on"),
                ("lock_timeout", "5s"),
                ("statement_timeout", statement_timeout),
                ("idle_in_transaction_session_timeout", "10s"),
                ("tcp_keepalives_idle", "5"),
                ("tcp_keepalives_interval", "5"),
                ("tcp_keepalives_count", "3"),
                ("tcp_user_timeout", "10s"),
            ])
        });
    if access == Access::ReadOnly {
        options.map_sqlx_postgres_pool_opts(|pool| {
            // The driver's own look at a connection that comes back has no end on a mute one, which
            // would keep its place in the pool for ever.
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    let alive = timeout(RETURN_WITHIN, connection.ping()).await;
                    alive
                        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
                        .map(|()| true)
                })
            })
        });
    }
    options
}

async fn check_server(connection: &DatabaseConnection) -> Result<()> {
    let ask = sea_orm::Statement::from_string(
        sea_orm::DbBackend::Postgres,
        "SELECT current_setting('server_version_num')::int4, current_setting('server_encoding')",
    );
    const ACTION: &str = "ask the server for its version";
    let row = answered(ANSWER_WITHIN, ACTION, connection.query_one_raw(ask)).await?;
    let Some(row) = row else { return Ok(()) };
    let (version, encoding): (i32, String) = row.try_get_many_by_index().map_err(trying(ACTION))?;
    if version < OLDEST_SERVER {
        return Err(Error::Unusable {
            reason: format!(
                "the server is PostgreSQL {}: fusion-kit needs 15 or newer",
                version / 10_000
            ),
        });
    }
    if encoding != "UTF8" {
        return Err(Error::Unusable {
            reason: format!("the database has the encoding {encoding}: create it with UTF8"),
        });
    }
    Ok(())
}

/// Applies the missing steps in one transaction.
async fn migrate(connection: &DatabaseConnection) -> Result<()> {
    let transaction = begin_alone(connection).await?;
    bring_up_to_date(&transaction, None).await?;
    transaction
        .commit()
        .await
        .map_err(trying("bring the schema up to date"))
}

/// Begins a transaction that may take long, while other processes that start wait their turn.
pub(crate) async fn begin_alone(connection: &DatabaseConnection) -> Result<DatabaseTransaction> {
    const ACTION: &str = "bring the schema up to date";
    let transaction = answered(ANSWER_WITHIN, ACTION, connection.begin()).await?;
    let settings = format!(
        "SET LOCAL lock_timeout = '{TURN_WITHIN}'; SET LOCAL statement_timeout = 0;
         SET LOCAL idle_in_transaction_session_timeout = 0"
    );
    for statement in [&settings, TAKE_TURNS] {
        let done = transaction.execute_unprepared(statement);
        answered(TURN_HEARD_WITHIN, ACTION, done).await?;
    }
    Ok(transaction)
}

/// What the server answers, unless it says nothing: a connection to a server that is mute does not
/// break.
async fn answered<T>(
    within: Duration,
    action: &'static str,
    answer: impl Future<Output = std::result::Result<T, DbErr>>,
) -> Result<T> {
    match timeout(within, answer).await {
        Ok(answer) => answer.map_err(trying(action)),
        Err(silence) => Err(Error::Unavailable {
            action,
            source: Box::new(silence),
        }),
    }
}

#[cfg(test)]
mod tests;
