//! What the launcher and its helper say to each other. Both are always of the same build.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

/// No request is longer, in bytes; the kernel's own limit on arguments is below it.
const REQUEST_LIMIT: u32 = 16 * 1024 * 1024;

/// What the helper shall start. The working directory is inherited.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// The whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The user and group to become; `None` means to stay the same user, who is not root.
    pub(crate) uid: Option<u32>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It never ran.
    NotStarted {
        /// What the system said, as a number.
        errno: Option<i32>,
        /// What the system said.
        message: String,
    },
    /// It was killed because the life line ended.
    Stopped,
}

/// A request behind its length (four bytes, lowest first).
pub(crate) fn encode(request: &Request) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(request)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length <= REQUEST_LIMIT)
        .ok_or(io::ErrorKind::ArgumentListTooLong)?;
    let mut message = length.to_le_bytes().to_vec();
    message.extend(body);
    Ok(message)
}

/// Reads exactly one request.
pub(crate) fn decode(from: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > REQUEST_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    from.take(length.into()).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
