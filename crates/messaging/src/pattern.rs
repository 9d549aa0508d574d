//! What a reader wants to hear.

mod glob;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use glob::Glob;

use crate::{Error, Result, Subject};

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 255;

/// A glob over subjects with the exact meaning it has for Redis 7's `PSUBSCRIBE`. Cheap to clone.
///
/// - `*` is any run of bytes, also none; it crosses dots, so `task.*` hears `task.completed.42`.
/// - `?` is any one byte (a letter outside ASCII is two bytes or more).
/// - `[ab]` is one byte of the list, `[a-c]` of the range, whichever end is written first;
///   `[^ab]` is one byte not in the list.
/// - `\` takes the meaning from the character after it, in a class too. At the end of the pattern
///   it stands for itself.
/// - A class ends at the first `]` that is neither escaped nor the end of a range, so `[]` is an
///   empty class that nothing fits and `[^]` one that everything fits. Without an end, the rest of
///   the pattern is the class.
///
/// Matching takes at most `pattern * subject` steps, whatever the pattern.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    glob: Arc<Glob>,
}

impl Pattern {
    /// A pattern that somebody wrote for topics. Unlike one that only has to mean the same to Redis,
    /// it has no blank and no control character: no topic does.
    ///
    /// # Errors
    /// It is no pattern, or has such a character.
    pub fn of_topics(text: &str) -> Result<Self> {
        let is_forbidden = |one: &char| one.is_whitespace() || one.is_control();
        match text.chars().find(is_forbidden) {
            Some(character) => Err(Error::ForbiddenInPattern {
                pattern: text.to_owned(),
                character,
            }),
            None => text.parse(),
        }
    }

    /// Whether a message under `subject` is one that this pattern names.
    #[must_use]
    pub fn matches(&self, subject: &Subject) -> bool {
        self.glob.matches(subject.as_str().as_bytes())
    }

    /// The text that [`FromStr`] accepted, as a Redis server takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one text that this pattern matches, if it holds nothing but literal characters.
    pub(crate) fn literal(&self) -> Option<Box<[u8]>> {
        self.glob.literal()
    }

    /// The text that every subject it matches begins with; may be empty.
    pub(crate) fn start(&self) -> Box<[u8]> {
        self.glob.start()
    }

    /// The text that every subject it matches ends with; may be empty.
    pub(crate) fn end(&self) -> Box<[u8]> {
        self.glob.end()
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::EmptyPattern);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(Error::TooLong {
                bytes: text.len(),
                limit: MAX_PATTERN_BYTES,
            });
        }
        let glob = Glob::compile(text.as_bytes()).map_err(|_| Error::RangeOutsideAscii {
            pattern: text.to_owned(),
        })?;
        Ok(Self {
            text: text.into(),
            glob: Arc::new(glob),
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests;
