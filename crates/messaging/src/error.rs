//! What can be wrong with a subject or a pattern.

use fusion_core::{Coded, ErrorCode, SubjectFault};

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A text that is no subject or no pattern. Publishing and subscribing themselves can't fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no subject.
    #[error(transparent)]
    Subject(#[from] SubjectFault),
    /// Longer than a pattern may be.
    #[error("a pattern of {bytes} bytes is too long: {limit} bytes are allowed")]
    TooLong {
        /// The length of the refused text.
        bytes: usize,
        /// The longest length that is allowed.
        limit: usize,
    },
    /// A pattern for topics with a blank or a control character: no topic has one.
    #[error("pattern {pattern:?} has {character:?}: no topic has blanks or control characters")]
    ForbiddenInPattern {
        /// The refused text.
        pattern: String,
        /// The first character that is not allowed.
        character: char,
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
            Self::Subject(_)
            | Self::TooLong { .. }
            | Self::ForbiddenInPattern { .. }
            | Self::EmptyPattern
            | Self::RangeOutsideAscii { .. } => ErrorCode::InvalidInput,
        }
    }
}
