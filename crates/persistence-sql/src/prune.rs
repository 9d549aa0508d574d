//! Deletes what is too old, a small batch at a time.

use fusion_core::Timestamp;
use fusion_persistence::Prune;
use sea_orm::{EntityTrait, QueryOrder, QuerySelect, QueryTrait, Statement, Value};

use crate::deletions;
use crate::dialect::Dialect;
use crate::events::index::{self, log};
use crate::events::keys;
use crate::failure::Result;
use crate::session::Session;
use crate::store::signed;

const ACTION: &str = "delete what is too old";

/// Events up to the last that is too old, and what the index has of them. The column of the words has the
/// name of its database.
const EVENTS: &str = "DELETE FROM events WHERE seq <= $1";

const PIECES: &str = "DELETE FROM event_pieces WHERE last_seq <= $1";

const WORDS_SQLITE: &str = "DELETE FROM event_words WHERE rowid <= $1";

const WORDS_POSTGRES: &str = "DELETE FROM event_words WHERE seq <= $1";

const METRICS: &str = "DELETE FROM resource_metrics WHERE id IN (
  SELECT id FROM resource_metrics WHERE timestamp < $1 ORDER BY timestamp LIMIT $2)";

/// A message that somebody has still to read is not too old. Its deliveries go with it.
const MESSAGES: &str = "DELETE FROM messages WHERE id IN (
  SELECT id FROM messages WHERE timestamp < $1 AND delivery_status <> 'pending' ORDER BY timestamp LIMIT $2)";

const KEYS: &str = "DELETE FROM idempotency_keys WHERE (scope, key) IN (
  SELECT scope, key FROM idempotency_keys WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";

const OLD_OUTBOX: &str = "DELETE FROM outbox WHERE seq IN (
  SELECT seq FROM (SELECT seq, created_at FROM outbox ORDER BY seq LIMIT $2) AS front WHERE created_at < $1)";

const OUTBOX: &str = "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE seq <= $1 ORDER BY seq LIMIT $2)";

/// Deletes one batch; says how many rows.
pub(crate) async fn prune(session: &mut impl Session, old: Prune) -> Result<u64> {
    let mut deleted = 0;
    if let Some(before) = old.events_before {
        deleted += events(session, before, old.limit).await?;
    }
    let by_age = [
        (MESSAGES, old.messages_before),
        (METRICS, old.metrics_before),
        (KEYS, old.keys_before),
        (OLD_OUTBOX, old.outbox_before),
    ];
    for (sql, before) in by_age {
        if let Some(before) = before {
            deleted += delete(session, sql, before, old.limit).await?;
        }
    }
    if old.deleted_runs {
        deleted += deletions::take_out(session, old.limit).await?;
    }
    if let Some(up_to) = old.outbox_up_to {
        deleted += delete(session, OUTBOX, signed(up_to), old.limit).await?;
    }
    Ok(deleted)
}

/// Deletes from the front of the log only, so that what is left has no gaps. Leaves it to another process
/// that changes the index just now.
async fn events(session: &mut impl Session, before: Timestamp, limit: u32) -> Result<u64> {
    if index::hold(session).await?.is_none() {
        return Ok(0);
    }
    let backend = session.backend();
    let front = log::Entity::find()
        .order_by_asc(log::Column::Seq)
        .limit(u64::from(limit))
        .build(backend);
    let front = session.rows::<log::Entity>(ACTION, front).await?;
    let is_old = |event: &log::Model| event.timestamp < before;
    let old: Vec<log::Model> = front.into_iter().take_while(is_old).collect();
    let Some(last) = old.last() else {
        return Ok(0);
    };
    let words = match Dialect::from(backend) {
        Dialect::Sqlite => WORDS_SQLITE,
        Dialect::Postgres => WORDS_POSTGRES,
    };
    let forget = keys::remove(backend, &old, last.seq)?;
    session.execute(ACTION, forget).await?;
    let mut deleted = 0;
    for sql in [words, PIECES, EVENTS] {
        let statement = Statement::from_sql_and_values(backend, sql, [last.seq.into()]);
        deleted = session.execute(ACTION, statement).await?;
    }
    Ok(deleted)
}

async fn delete(
    session: &mut impl Session,
    sql: &'static str,
    bound: impl Into<Value>,
    limit: u32,
) -> Result<u64> {
    let values = [bound.into(), i64::from(limit).into()];
    let statement = Statement::from_sql_and_values(session.backend(), sql, values);
    session.execute(ACTION, statement).await
}
