//! The words in events' messages, and the search for them.

use std::collections::BTreeSet;

use sea_orm::{DbBackend, Statement, Value};

use crate::dialect::Dialect;
use crate::events::index::log;

/// Words of a search at most; further ones are not looked at.
const WORDS: usize = 16;

/// Characters of a word that count.
const WORD_CHARS: usize = 64;

/// Words of a message that can be found.
const MESSAGE_WORDS: usize = 4_000;

/// Adds the words of events to the index. Both databases are given the words as [`split`] parts them, so that the
/// index agrees with the search in what is not indexed yet, whatever the locale of the server.
pub(crate) fn add(backend: DbBackend, events: &[log::Model]) -> Statement {
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
