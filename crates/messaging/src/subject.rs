//! What a message is about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, Result};

/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 255;

/// The characters that mean something in a [`Pattern`](crate::Pattern). A subject without them is,
/// read as a pattern, a pattern for itself alone.
const GLOB_CHARACTERS: [char; 5] = ['*', '?', '[', ']', '\\'];

/// Names joined by dots, such as `agent.019ab3c4.inbox`: 1 to [`MAX_SUBJECT_BYTES`] bytes, no empty
/// name, no blank or control character, none of `*`, `?`, `[`, `]`, `\`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The text that [`FromStr`] accepted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_SUBJECT_BYTES {
            return Err(Error::TooLong {
                kind: "subject",
                bytes: text.len(),
                limit: MAX_SUBJECT_BYTES,
            });
        }
        if let Some(character) = text.chars().find(|&character| is_forbidden(character)) {
            return Err(Error::ForbiddenCharacter {
                subject: text.to_owned(),
                character,
            });
        }
        if text.split('.').any(str::is_empty) {
            return Err(Error::EmptyPart {
                subject: text.to_owned(),
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({:?})", self.0)
    }
}

fn is_forbidden(character: char) -> bool {
    character.is_whitespace() || character.is_control() || GLOB_CHARACTERS.contains(&character)
}

#[cfg(test)]
mod tests {
    use super::{MAX_SUBJECT_BYTES, Subject};
    use crate::{Error, Pattern};
    use proptest::prelude::*;

    fn refused(text: &str) -> Error {
        text.parse::<Subject>().unwrap_err()
    }

    #[test]
    fn names_joined_by_dots_are_a_subject() {
        for text in [
            "system",
            "task.completed.42",
            "broadcast.größe",
            "a-b_c.^d:e",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_subject_without_a_name_between_dots_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(
                refused(text),
                Error::EmptyPart {
                    subject: text.to_owned()
                }
            );
        }
    }

    #[test]
    fn blanks_controls_and_glob_characters_are_refused() {
        for character in [
            ' ', '\t', '\n', '\0', '\u{7f}', '\u{85}', '\u{a0}', '*', '?', '[', ']', '\\',
        ] {
            let subject = format!("task.{character}x");
            assert_eq!(
                refused(&subject),
                Error::ForbiddenCharacter { subject, character }
            );
        }
    }

    #[test]
    fn a_subject_holds_255_bytes_and_no_more() {
        assert!("x".repeat(MAX_SUBJECT_BYTES).parse::<Subject>().is_ok());
        assert_eq!(
            refused(&"x".repeat(MAX_SUBJECT_BYTES + 1)),
            Error::TooLong {
                kind: "subject",
                bytes: 256,
                limit: 255
            }
        );
    }

    proptest! {
        #[test]
        fn a_subject_read_as_a_pattern_matches_itself(text in "\\PC{1,40}") {
            if let Ok(subject) = text.parse::<Subject>() {
                prop_assert!(text.parse::<Pattern>().unwrap().matches(&subject));
            }
        }
    }
}
