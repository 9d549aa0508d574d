//! What can be wrong with a URL, a name space, or a server that is asked at once.

use fusion_core::{Coded, ErrorCode};

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What was refused, or what a server that was probed did not do. No text of it holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A text that is no URL of a Redis server.
    #[error("this is no URL of a Redis server: {fault}")]
    Url {
        /// What is wrong with it.
        fault: String,
    },
    /// A text that can't be what the names of channels begin with.
    #[error(
        "the name space {text:?} can't be used: 1 to 64 letters, digits and the characters . : _ - / are allowed"
    )]
    Namespace {
        /// The refused text.
        text: String,
    },
    /// Nobody answers there, or it does not speak TLS as it should.
    #[error("Redis at {place} can't be reached: {fault}")]
    Unreachable {
        /// Where it was looked for.
        place: String,
        /// What happened.
        fault: String,
    },
    /// The user or the password is wrong, or one is missing.
    #[error("Redis at {place} does not let in: {fault}")]
    LetsNotIn {
        /// Where it is.
        place: String,
        /// What it answered.
        fault: String,
    },
    /// It answers and can't be used: it forbids publishing, or does not know the protocol.
    #[error("Redis at {place} refuses: {fault}")]
    Refuses {
        /// Where it is.
        place: String,
        /// What it answered.
        fault: String,
    },
    /// It took longer than it was given.
    #[error("Redis at {place} did not answer within {seconds} s")]
    TooSlow {
        /// Where it is.
        place: String,
        /// How long it was given.
        seconds: u64,
    },
}

impl Error {
    /// What the client library says of a server at this place.
    pub(crate) fn of(place: &str, error: &redis::RedisError) -> Self {
        let place = place.to_owned();
        // The library's text may repeat what it was given only in the detail of a failed parse,
        // which ends in `Address`.
        let fault = error.to_string();
        if error.kind() == redis::ErrorKind::AuthenticationFailed || is_about_access(error) {
            Self::LetsNotIn { place, fault }
        } else if error.is_unrecoverable_error() || error.is_io_error() {
            Self::Unreachable { place, fault }
        } else {
            Self::Refuses { place, fault }
        }
    }
}

fn is_about_access(error: &redis::RedisError) -> bool {
    matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Url { .. } | Self::Namespace { .. } => ErrorCode::InvalidInput,
            Self::Unreachable { .. }
            | Self::LetsNotIn { .. }
            | Self::Refuses { .. }
            | Self::TooSlow { .. } => ErrorCode::Unavailable,
        }
    }
}
