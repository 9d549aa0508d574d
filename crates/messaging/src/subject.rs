//! What a message is about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fusion_core::check_subject;

use crate::{Error, Result};

/// Names joined by dots, such as `agent.019ab3c4.inbox`: 1 to
/// [`MAX_SUBJECT_BYTES`](fusion_core::MAX_SUBJECT_BYTES) bytes, no empty
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
        check_subject(text)?;
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

#[cfg(test)]
mod tests {
    use super::Subject;
    use crate::{Error, Pattern};
    use fusion_core::{MAX_SUBJECT_BYTES, SubjectFault};
    use proptest::prelude::*;

    fn refused(text: &str) -> SubjectFault {
        match text.parse::<Subject>() {
            Err(Error::Subject(fault)) => fault,
            other => panic!("{other:?}"),
        }
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
                SubjectFault::EmptyPart {
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
                SubjectFault::ForbiddenCharacter { subject, character }
            );
        }
    }

    #[test]
    fn a_subject_holds_255_bytes_and_no_more() {
        assert!("x".repeat(MAX_SUBJECT_BYTES).parse::<Subject>().is_ok());
        assert_eq!(
            refused(&"x".repeat(MAX_SUBJECT_BYTES + 1)),
            SubjectFault::TooLong { bytes: 256 }
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
