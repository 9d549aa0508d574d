//! Dense numbers, in the order of the commits: 1, 2, 3, without gaps.
//!
//! A number is taken under the lock of its stream's row, which is held until the commit. A plain
//! sequence would give numbers in another order than the commits, and a reader that goes on after
//! the last number it saw would miss a late commit. The writer takes them last of all, for all jobs of
//! a transaction at once: processes that write to one database meet at this row, and whoever waits
//! for it holds nothing else that is still to be waited for.

use sea_orm::{Statement, Value};

use crate::error::corrupt;
use crate::failure::Result;
use crate::session::Session;

/// A row of `event_streams`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The event log.
    Events,
    /// The message log.
    Messages,
    /// The outbox.
    Outbox,
    /// The starts of nodes.
    Nodes,
    /// The notings of files that deleted runs named.
    Notings,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Events => "main",
            Self::Messages => "messages",
            Self::Outbox => "outbox",
            Self::Nodes => "nodes",
            Self::Notings => "notings",
        }
    }
}

const TAKE: &str =
    "UPDATE event_streams SET last_seq = last_seq + $1 WHERE name = $2 RETURNING last_seq";

/// Takes `count` numbers, or none but the lock; gives the first of them.
pub(crate) async fn take(session: &mut impl Session, stream: Stream, count: usize) -> Result<i64> {
    let count = i64::try_from(count).map_err(|_| corrupt("number of entries"))?;
    let values: [Value; 2] = [count.into(), stream.name().into()];
    let statement = Statement::from_sql_and_values(session.backend(), TAKE, values);
    let last = session
        .number("number entries", statement)
        .await?
        .ok_or_else(|| corrupt("stream of numbers"))?;
    Ok(last - count + 1)
}
