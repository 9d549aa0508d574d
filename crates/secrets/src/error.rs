//! What can go wrong with keys and sealed values. No text here holds a secret or a part of one.

use std::io;
use std::path::{Path, PathBuf};

use fusion_core::{Coded, ErrorCode};

use crate::KeyId;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure around a key or a sealed value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text given as the master key is none.
    #[error(
        "FUSION_MASTER_KEY is not a key: it needs 32 bytes as 64 hex digits or in base64, such as `openssl rand -hex 32` prints"
    )]
    Malformed,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a key or a nonce")]
    NoRandomness {
        /// What the system said.
        #[source]
        source: getrandom::Error,
    },
    /// The value is longer than a credential may be.
    #[error("the value for {place} has {bytes} bytes: a credential has at most {limit}")]
    TooLong {
        /// Field, table and row.
        place: String,
        /// Its length.
        bytes: usize,
        /// The longest there may be.
        limit: usize,
    },
    /// None of the keys at hand has sealed the value.
    #[error(
        "a stored credential was sealed with the key {sealed_with}, and the key in use is {have}: set FUSION_MASTER_KEY to the key it was sealed with, or restore the key file"
    )]
    WrongKey {
        /// The key that opens it.
        sealed_with: KeyId,
        /// The current key.
        have: KeyId,
    },
    /// The value is not what was sealed for this place.
    #[error(
        "{place} can't be opened: its bytes were changed, or they were moved there from another place; set the credential again"
    )]
    Damaged {
        /// Field, table and row.
        place: String,
    },
    /// The value has a format that this version does not know.
    #[error(
        "{place} is sealed in format {format}, which this version does not know: a newer fusion-kit may have written it"
    )]
    UnknownFormat {
        /// Field, table and row.
        place: String,
        /// The format it says it has.
        format: u8,
    },
    /// The key file does not exist.
    #[error(
        "there is no key file {path}: restore it from a copy, or set FUSION_MASTER_KEY to the key"
    )]
    NoKeyFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key file is a link, a folder or something else that is not read.
    #[error("the key file {path} is not a plain file: links and other kinds are not followed")]
    NotAFile {
        /// Where it is.
        path: PathBuf,
    },
    /// Others can get at the key file.
    #[error(
        "the key file {path} is open to other users (mode {mode:04o}): close it with `chmod 600 {path}`"
    )]
    WideMode {
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file holds something else than keys.
    #[error(
        "the key file {path} can't be used: {fault}; restore it from a copy, or remove it if no credential was stored yet"
    )]
    Content {
        /// Where it is.
        path: PathBuf,
        /// What is wrong, without what it holds.
        fault: String,
    },
    /// The key file was changed by someone else during a rekey.
    #[error(
        "the key file {path} holds other keys than at the beginning of the rekey: repeat the rekey"
    )]
    Changed {
        /// Where it is.
        path: PathBuf,
    },
    /// A step on the key file or its folder failed.
    #[error("can't {action} {path}")]
    Io {
        /// What was tried, as a verb with what it is about.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Names the step and the place of a failure; for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            action,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed | Self::TooLong { .. } | Self::NotAFile { .. } => {
                ErrorCode::InvalidInput
            }
            Self::NoRandomness { .. } => ErrorCode::Unavailable,
            Self::WrongKey { .. } | Self::WideMode { .. } => ErrorCode::Denied,
            Self::Damaged { .. } | Self::UnknownFormat { .. } | Self::Content { .. } => {
                ErrorCode::Internal
            }
            Self::NoKeyFile { .. } => ErrorCode::NotFound,
            Self::Changed { .. } => ErrorCode::Conflict,
            Self::Io { source, .. } => code_of(source),
        }
    }
}

fn code_of(error: &io::Error) -> ErrorCode {
    if error.kind() == io::ErrorKind::NotFound {
        ErrorCode::NotFound
    } else if error.kind() == io::ErrorKind::PermissionDenied
        || error.kind() == io::ErrorKind::ReadOnlyFilesystem
    {
        ErrorCode::Denied
    } else if error.kind() == io::ErrorKind::StorageFull
        || error.kind() == io::ErrorKind::QuotaExceeded
    {
        ErrorCode::Unavailable
    } else {
        ErrorCode::Internal
    }
}
