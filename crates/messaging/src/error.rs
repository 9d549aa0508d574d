//! What can be wrong with a subject or a pattern.

use fusion_core::{Coded, ErrorCode};

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A text that is no subject or no pattern. Publishing and subscribing themselves can't fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The subject has no bytes, or a part between two dots has none.
    #[error(
        "subject {subject:?} has an empty part: write names joined by single dots, such as task.completed.42"
    )]
    EmptyPart {
        /// The refused text.
        subject: String,
    },
    /// A character that a subject may not hold: a blank, a control character, or one that means
    /// something in a pattern.
    #[error(
        "subject {subject:?} has {character:?}: blanks, control characters and * ? [ ] \\ are not allowed in a subject"
    )]
    ForbiddenCharacter {
        /// The refused text.
        subject: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Longer than a subject or a pattern may be.
    #[error("a {kind} of {bytes} bytes is too long: {limit} bytes are allowed")]
    TooLong {
        /// `subject` or `pattern`.
        kind: &'static str,
        /// The length of the refused text.
        bytes: usize,
        /// The longest length that is allowed.
        limit: usize,
    },
    /// A pattern without a byte, which no subject could match.
    #[error("a pattern is empty and would match nothing: write * to hear everything")]
    EmptyPattern,
    /// A range such as `[a-é]`. Redis compares bytes there as its processor's C `char`, signed on
    /// one and unsigned on the next, so that such a pattern has no one meaning.
    #[error(
        "pattern {pattern:?} has a range that ends outside ASCII: list the characters one by one"
    )]
    RangeOutsideAscii {
        /// The refused text.
        pattern: String,
    },
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyPart { .. }
            | Self::ForbiddenCharacter { .. }
            | Self::TooLong { .. }
            | Self::EmptyPattern
            | Self::RangeOutsideAscii { .. } => ErrorCode::InvalidInput,
        }
    }
}
