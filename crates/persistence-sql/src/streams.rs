//! Dense numbers, in the order of the commits: 1, 2, 3, without gaps.
//!
//! Numbers are taken under the lock of their stream's row, which is held until the commit. A plain
//! sequence would give numbers in another order than the commits, and a reader that goes on after
//! the last number it saw would miss a late commit. The row is read once in a transaction and written
//! once, however many jobs share it.

use sea_orm::{Statement, Value};

use crate::dialect::Dialect;
use crate::error::corrupt;
use crate::failure::Result;
use crate::session::Session;

/// A row of `event_streams`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The event log.
    Events,
    /// The outbox.
    Outbox,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Events => "main",
            Self::Outbox => "outbox",
        }
    }
}

/// The numbers of one stream that the open transaction knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counter {
    /// As it is in the row.
    stored: i64,
    /// The last one taken.
    last: i64,
}

/// What the open transaction has taken. A job that is rolled back gives its numbers back: the writer
/// keeps a copy from before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    events: Option<Counter>,
    outbox: Option<Counter>,
}

impl Numbers {
    const fn counter(&mut self, stream: Stream) -> &mut Option<Counter> {
        match stream {
            Stream::Events => &mut self.events,
            Stream::Outbox => &mut self.outbox,
        }
    }
}

const STORE: &str = "UPDATE event_streams SET last_seq = $1 WHERE name = $2";

/// Takes `count` numbers; gives the first of them.
pub(crate) async fn take(session: &mut impl Session, stream: Stream, count: usize) -> Result<i64> {
    let count = i64::try_from(count).map_err(|_| corrupt("number of entries"))?;
    let known = *session.numbers().counter(stream);
    let Counter { stored, last } = match known {
        Some(counter) => counter,
        None => read(session, stream).await?,
    };
    *session.numbers().counter(stream) = Some(Counter {
        stored,
        last: last + count,
    });
    Ok(last + 1)
}

async fn read(session: &mut impl Session, stream: Stream) -> Result<Counter> {
    let backend = session.backend();
    let sql = format!(
        "SELECT last_seq FROM event_streams WHERE name = $1 {}",
        Dialect::from(backend).lock()
    );
    let look = Statement::from_sql_and_values(backend, sql, [stream.name().into()]);
    let stored = session
        .number("number entries", look)
        .await?
        .ok_or_else(|| corrupt("stream of numbers"))?;
    Ok(Counter {
        stored,
        last: stored,
    })
}

/// Writes what was taken, before the commit.
pub(crate) async fn store(session: &mut impl Session) -> Result<()> {
    for stream in [Stream::Events, Stream::Outbox] {
        let taken = *session.numbers().counter(stream);
        let Some(Counter { last, .. }) = taken.filter(|counter| counter.last != counter.stored)
        else {
            continue;
        };
        let values: [Value; 2] = [last.into(), stream.name().into()];
        let statement = Statement::from_sql_and_values(session.backend(), STORE, values);
        session.execute("number entries", statement).await?;
    }
    Ok(())
}
