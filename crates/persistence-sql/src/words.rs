//! The index of the words in events' messages.
//!
//! It is filled a thousand events at a time: inside the commit that reaches the thousand, so that
//! the others pay nothing for it. The newest events, not yet indexed, are few enough to be read.

use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, Statement, Value,
};

use crate::dialect::Dialect;
use crate::error::trying;
use crate::failure::Result;
use crate::readers::Readers;
use crate::session::Session;

/// What the index needs of an event: reading whole ones took longer than indexing them.
pub(crate) mod log {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        #[sea_orm(column_type = "Text")]
        pub message: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// So many new events are worth an update of the index.
pub(crate) const DUE_AFTER: usize = 1_000;

/// Words of a search at most; further ones are not looked at.
const WORDS: usize = 16;

/// Characters of a word that count.
const WORD_CHARS: usize = 64;

/// Words of a message that can be found.
const MESSAGE_WORDS: usize = 4_000;

/// Events that are indexed at once: far below SQLite's 32,766 bound values.
const AT_ONCE: u64 = 500;

/// How far the index reaches. On PostgreSQL nothing while another process brings it up to date.
const REACHED: &str = "SELECT last_seq FROM event_streams WHERE name = 'words'";

/// Up to here the log is complete for this transaction: later numbers may belong to events that are
/// not committed yet.
const COMPLETE: &str = "SELECT last_seq FROM event_streams WHERE name = 'main'";

const REACHES: &str = "UPDATE event_streams SET last_seq = $1 WHERE name = 'words'";

const ACTION: &str = "index events";

/// The next events that are to be indexed.
fn some(reached: i64, complete: i64) -> Select<log::Entity> {
    log::Entity::find()
        .filter(log::Column::Seq.gt(reached))
        .filter(log::Column::Seq.lte(complete))
        .order_by_asc(log::Column::Seq)
        .limit(AT_ONCE)
}

/// Adds events to the index. Both databases are given the words as [`split`] parts them, so that the
/// index agrees with the search in what is not indexed yet, whatever the locale of the server.
fn add(backend: DbBackend, events: &[log::Model]) -> Statement {
    let mut values: Vec<Value> = Vec::with_capacity(events.len() * 2);
    for event in events {
        let words: Vec<String> = split(&event.message).collect();
        values.push(event.seq.into());
        values.push(words.join(" ").into());
    }
    let pairs: Vec<String> = (1..=values.len())
        .step_by(2)
        .map(|first| format!("(${first}, ${})", first + 1))
        .collect();
    let pairs = pairs.join(", ");
    let sql = match Dialect::from(backend) {
        Dialect::Sqlite => format!("INSERT INTO event_words (rowid, message) VALUES {pairs}"),
        Dialect::Postgres => format!(
            "INSERT INTO event_words (seq, words)
             SELECT seq, array_to_tsvector(string_to_array(words, ' '))
             FROM (VALUES {pairs}) AS new (seq, words)"
        ),
    };
    Statement::from_sql_and_values(backend, sql, values)
}

/// Pieces of the log that one commit indexes at most: what an older program left is caught up with
/// by many.
const PIECES: usize = 4;

/// Brings the index up to date, or a good piece nearer; says whether there is more to do.
pub(crate) async fn index(session: &mut impl Session) -> Result<bool> {
    let backend = session.backend();
    let dialect = Dialect::from(backend);
    let reached = format!("{REACHED} {}", dialect.skip_locked());
    let reached = Statement::from_string(backend, reached);
    let Some(mut reached) = session.number(ACTION, reached).await? else {
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
        session.execute(ACTION, add(backend, &events)).await?;
    }
    let reaches = Statement::from_sql_and_values(backend, REACHES, [reached.into()]);
    session.execute(ACTION, reaches).await?;
    Ok(reached < complete)
}

/// How far the index reaches, for who reads it.
pub(crate) async fn reached(readers: &Readers) -> fusion_persistence::Result<i64> {
    const LOOK: &str = "read the index of events";
    let look = Statement::from_string(readers.get_database_backend(), REACHED);
    let row = readers.query_one_raw(look).await.map_err(trying(LOOK))?;
    let reached: Option<i64> = row
        .map(|row| row.try_get_by_index(0))
        .transpose()
        .map_err(trying(LOOK))?;
    Ok(reached.unwrap_or(0))
}

/// Empties the index: the whole log is to be indexed again.
pub(crate) async fn forget(conn: &impl ConnectionTrait) -> fusion_persistence::Result<()> {
    let empty = match Dialect::from(conn.get_database_backend()) {
        Dialect::Postgres => "TRUNCATE event_words",
        Dialect::Sqlite => "INSERT INTO event_words (event_words) VALUES ('delete-all')",
    };
    for sql in [
        empty,
        "UPDATE event_streams SET last_seq = 0 WHERE name = 'words'",
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
        let add = add(conn.get_database_backend(), &events);
        conn.execute_raw(add).await.map_err(trying(ACTION))?;
    }
    run(conn, &REACHES.replace("$1", &format!("({COMPLETE})"))).await
}

async fn run(conn: &impl ConnectionTrait, sql: &str) -> fusion_persistence::Result<()> {
    conn.execute_unprepared(sql)
        .await
        .map(|_| ())
        .map_err(trying(ACTION))
}

/// A word that is searched for, as [`split`] gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    /// This word.
    Whole(String),
    /// Every word that begins so.
    Beginning(String),
}

impl Word {
    fn is(&self, word: &str) -> bool {
        match self {
            Self::Whole(whole) => word == whole,
            Self::Beginning(beginning) => word.starts_with(beginning),
        }
    }

    fn query(&self, dialect: Dialect) -> String {
        match (dialect, self) {
            (Dialect::Sqlite, Self::Whole(word)) => format!("\"{word}\""),
            (Dialect::Sqlite, Self::Beginning(word)) => format!("\"{word}\"*"),
            (Dialect::Postgres, Self::Whole(word)) => format!("'{word}'"),
            (Dialect::Postgres, Self::Beginning(word)) => format!("'{word}':*"),
        }
    }
}

/// What is searched for: words, all of which a message must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<Word>);

impl Wanted {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let pieces = text.split_inclusive(|c: char| !c.is_alphanumeric());
        let words: BTreeSet<Word> = pieces.filter_map(word).collect();
        if words.is_empty() {
            return None;
        }
        Some(Self(words.into_iter().take(WORDS).collect()))
    }

    /// Whether a message has all of them.
    pub(crate) fn is_in(&self, message: &str) -> bool {
        let words: Vec<String> = split(message).collect();
        self.0
            .iter()
            .all(|wanted| words.iter().any(|word| wanted.is(word)))
    }

    /// In the language of the database's own index.
    pub(crate) fn query(&self, dialect: Dialect) -> String {
        let each: Vec<String> = self.0.iter().map(|word| word.query(dialect)).collect();
        each.join(match dialect {
            Dialect::Postgres => " & ",
            Dialect::Sqlite => " ",
        })
    }
}

/// A piece of what is searched for: a word with the character that ended it.
fn word(piece: &str) -> Option<Word> {
    let word = split(piece).next()?;
    Some(if piece.ends_with('*') {
        Word::Beginning(word)
    } else {
        Word::Whole(word)
    })
}

/// Runs of letters and digits, without regard to case. PostgreSQL's index takes no word of 2 KB and
/// no message with 1 MB of them: what is longer is cut.
fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().flat_map(fold).take(WORD_CHARS).collect())
        .take(MESSAGE_WORDS)
}

/// The same for all forms of a letter: `ς` becomes `σ` as `Σ` does, `ß` becomes `ss`.
fn fold(letter: char) -> impl Iterator<Item = char> {
    letter.to_uppercase().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn every_wanted_word_must_be_in_the_message() {
        let wanted = Wanted::new("Review FAIL* 2").unwrap();
        assert!(wanted.is_in("review-2: it failed"));
        assert!(!wanted.is_in("reviewer-2: it failed"));
        assert!(!wanted.is_in("review-2"));
        assert_eq!(Wanted::new(" -- * "), None);
    }

    #[test]
    fn a_query_holds_only_letters_and_digits_in_quotes() {
        use crate::dialect::Dialect::{Postgres, Sqlite};
        let wanted = Wanted::new("b'; DROP* \"a\" * &").unwrap();
        assert_eq!(wanted.query(Sqlite), r#""a" "b" "drop"*"#);
        assert_eq!(wanted.query(Postgres), "'a' & 'b' & 'drop':*");
    }
}
