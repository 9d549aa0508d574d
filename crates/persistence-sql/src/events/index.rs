//! The index of the event log: the words and the keys of its events, and the times of its pieces.
//!
//! It is filled about a thousand events at a time, inside the commit that reaches the thousand, so that
//! the others write nothing but the events. The newest, not yet indexed, are few enough to be read.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, Statement, Value,
};

use super::keys;
use crate::dialect::Dialect;
use crate::error::trying;
use crate::failure::Result;
use crate::readers::Readers;
use crate::session::Session;
use crate::words;

/// What the index needs of an event: reading whole ones took longer than indexing them.
pub(crate) mod log {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        pub timestamp: DateTimeUtc,
        pub event_type: String,
        pub severity: String,
        pub source_agent_id: Option<Uuid>,
        pub run_id: Option<Uuid>,
        #[sea_orm(column_type = "Text")]
        pub message: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// So many new events are worth an update of the index.
pub(crate) const DUE_AFTER: usize = 1_000;

/// Events that are indexed at once: far below SQLite's 32,766 bound values.
const AT_ONCE: u64 = 500;

/// Pieces of the log that one commit indexes at most: what an older program left is caught up with
/// by many.
const PIECES: usize = 4;

/// How far the index reaches. On PostgreSQL nothing while another process changes it.
const REACHED: &str = "SELECT last_seq FROM event_streams WHERE name = 'index'";

/// Up to here the log is complete for this transaction: later numbers may belong to events that are
/// not committed yet.
const COMPLETE: &str = "SELECT last_seq FROM event_streams WHERE name = 'main'";

const REACHES: &str = "UPDATE event_streams SET last_seq = $1 WHERE name = 'index'";

/// A piece of the log, and the times of its first and its last event by the clock.
const ADD_PIECE: &str =
    "INSERT INTO event_pieces (last_seq, first_seq, oldest, newest) VALUES ($1, $2, $3, $4)";

const ACTION: &str = "index events";

/// The next events that are to be indexed.
fn some(reached: i64, complete: i64) -> Select<log::Entity> {
    log::Entity::find()
        .filter(log::Column::Seq.gt(reached))
        .filter(log::Column::Seq.lte(complete))
        .order_by_asc(log::Column::Seq)
        .limit(AT_ONCE)
}

/// Adds a piece of the log, which has an event.
fn add(
    backend: DbBackend,
    events: &[log::Model],
) -> fusion_persistence::Result<impl Iterator<Item = Statement>> {
    let places = events.iter().map(|event| event.seq);
    let times = events.iter().map(|event| event.timestamp);
    let piece: [Value; 4] = [
        places.clone().max().into(),
        places.min().into(),
        times.clone().min().into(),
        times.max().into(),
    ];
    let piece = Statement::from_sql_and_values(backend, ADD_PIECE, piece);
    let keys = keys::add(backend, events)?;
    Ok([piece, keys, words::add(backend, events)].into_iter())
}

/// Brings the index up to date, or a good piece nearer; says whether there is more to do.
pub(crate) async fn fill(session: &mut impl Session) -> Result<bool> {
    let backend = session.backend();
    let Some(mut reached) = hold(session).await? else {
        return Ok(false);
    };
    let complete = Statement::from_string(backend, COMPLETE);
    let complete = session.number(ACTION, complete).await?.unwrap_or(reached);
    for _ in 0..PIECES {
        let next = some(reached, complete).build(backend);
        let events = session.rows::<log::Entity>(ACTION, next).await?;
        let Some(last) = events.last() else {
            reached = complete;
            break;
        };
        reached = last.seq;
        for statement in add(backend, &events)? {
            session.execute(ACTION, statement).await?;
        }
    }
    let reaches = Statement::from_sql_and_values(backend, REACHES, [reached.into()]);
    session.execute(ACTION, reaches).await?;
    Ok(reached < complete)
}

/// Keeps other processes from changing the index until the commit; says how far it reaches. `None`
/// while another process changes it.
pub(crate) async fn hold(session: &mut impl Session) -> Result<Option<i64>> {
    let backend = session.backend();
    let reached = format!("{REACHED} {}", Dialect::from(backend).skip_locked());
    let reached = Statement::from_string(backend, reached);
    session.number(ACTION, reached).await
}

/// How far the index reaches, for who reads it.
pub(super) async fn reached(readers: &Readers) -> fusion_persistence::Result<i64> {
    let look = Statement::from_string(readers.get_database_backend(), REACHED);
    let [reached] = readers.numbers("read the index of events", look).await?;
    Ok(reached.unwrap_or(0))
}

/// Empties the index: the whole log is to be indexed again.
pub(crate) async fn forget(conn: &impl ConnectionTrait) -> fusion_persistence::Result<()> {
    let no_words = match Dialect::from(conn.get_database_backend()) {
        Dialect::Postgres => "TRUNCATE event_words",
        Dialect::Sqlite => "INSERT INTO event_words (event_words) VALUES ('delete-all')",
    };
    for sql in [
        no_words,
        "DELETE FROM event_keys",
        "DELETE FROM event_pieces",
        "UPDATE event_streams SET last_seq = 0 WHERE name = 'index'",
    ] {
        run(conn, sql).await?;
    }
    Ok(())
}

/// Makes the index anew, from the whole log.
pub(crate) async fn rebuild(conn: &impl ConnectionTrait) -> fusion_persistence::Result<()> {
    forget(conn).await?;
    let mut reached = 0;
    loop {
        let next = some(reached, i64::MAX).all(conn).await;
        let events = next.map_err(trying(ACTION))?;
        let Some(last) = events.last() else { break };
        reached = last.seq;
        for statement in add(conn.get_database_backend(), &events)? {
            conn.execute_raw(statement).await.map_err(trying(ACTION))?;
        }
    }
    run(conn, &REACHES.replace("$1", &format!("({COMPLETE})"))).await
}

async fn run(conn: &impl ConnectionTrait, sql: &str) -> fusion_persistence::Result<()> {
    conn.execute_unprepared(sql)
        .await
        .map(|_| ())
        .map_err(trying(ACTION))
}
