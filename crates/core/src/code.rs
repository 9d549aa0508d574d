//! The closed list of what an error can mean to a caller.

use std::time::Duration;

/// What kind of failure an error is. Callers decide by this, never by an error's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The input is wrong; the same call will always fail.
    InvalidInput,
    /// The named thing does not exist.
    NotFound,
    /// Another writer was first, or the state does not allow the move.
    Conflict,
    /// The caller no longer holds the lease it wrote under: its result must be dropped.
    Fenced,
    /// The caller is not allowed, or a credential is missing or refused.
    Denied,
    /// A limit that passes by itself: rate limit, quota, full queue.
    Limited,
    /// A needed part can't be reached or has no room; trying later may work.
    Unavailable,
    /// It took longer than it was given.
    Timeout,
    /// A fault of ours, or data that can't be read.
    Internal,
}

/// Carried by every error type that crosses a crate's border.
pub trait Coded: std::error::Error {
    /// The kind of failure.
    fn code(&self) -> ErrorCode;

    /// Whether the same call may succeed when repeated unchanged.
    fn is_transient(&self) -> bool {
        matches!(
            self.code(),
            ErrorCode::Limited | ErrorCode::Unavailable | ErrorCode::Timeout
        )
    }

    /// The shortest wait the other side asked for, if it did.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
