//! Deletes what is too old, a small batch at a time.

use fusion_persistence::Prune;
use sea_orm::{Statement, Value};

use crate::dialect::Dialect;
use crate::failure::Result;
use crate::session::Session;
use crate::store::signed;

const ACTION: &str = "delete what is too old";

/// Deletes from the front of the log only, so that what is left has no gaps.
const EVENTS: &str = "DELETE FROM events WHERE seq IN (
  SELECT seq FROM events WHERE timestamp < $1 AND seq < coalesce(
    (SELECT min(seq) FROM (SELECT seq, timestamp FROM events ORDER BY seq LIMIT $2) AS front WHERE timestamp >= $1),
    (SELECT max(seq) FROM (SELECT seq FROM events ORDER BY seq LIMIT $2) AS front) + 1)
  ORDER BY seq LIMIT $2)";

/// The words of events that are gone. The column has the name of its database.
const WORDS_SQLITE: &str = "DELETE FROM event_words WHERE rowid < coalesce(
  (SELECT min(seq) FROM events), (SELECT last_seq + 1 FROM event_streams WHERE name = 'main'))";

const WORDS_POSTGRES: &str = "DELETE FROM event_words WHERE seq < coalesce(
  (SELECT min(seq) FROM events), (SELECT last_seq + 1 FROM event_streams WHERE name = 'main'))";

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
        deleted += delete(session, EVENTS, before, old.limit).await?;
        if deleted > 0 {
            delete_words(session).await?;
        }
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
    if let Some(up_to) = old.outbox_up_to {
        deleted += delete(session, OUTBOX, signed(up_to), old.limit).await?;
    }
    Ok(deleted)
}

async fn delete_words(session: &mut impl Session) -> Result<()> {
    let backend = session.backend();
    let sql = match Dialect::from(backend) {
        Dialect::Sqlite => WORDS_SQLITE,
        Dialect::Postgres => WORDS_POSTGRES,
    };
    let statement = Statement::from_string(backend, sql);
    session.execute(ACTION, statement).await.map(|_| ())
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
