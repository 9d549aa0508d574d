//! The closed list of what an error can mean to a caller.

use std::error::Error;
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
    /// A budget is used up: only more of it helps.
    OverBudget,
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
pub trait Coded: Error {
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

/// An error with its causes, in one line. A cause that only says again what stands before it is
/// left out: drivers wrap their errors in themselves.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let told = source.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::error_chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn every_cause_is_told_once() {
        let inner = Layer("disk full", None);
        let same = Layer("query: disk full", Some(Box::new(inner)));
        let outer = Layer("can't store", Some(Box::new(same)));
        assert_eq!(error_chain(&outer), "can't store: query: disk full");
    }
}
