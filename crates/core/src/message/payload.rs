//! The content of a message, from a text that nobody has looked at yet.

use std::str::Utf8Error;

use serde_json::Value;

use crate::{Coded, ErrorCode};

/// The longest payload, as JSON text, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// How deep lists and objects may lie in one another in a payload. Readers of JSON stop at 127
/// levels, and a payload is itself put into other JSON: a journal entry, an answer.
pub const MAX_PAYLOAD_DEPTH: usize = 64;

/// Why a content can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum PayloadFault {
    /// Longer than [`MAX_PAYLOAD_BYTES`].
    #[error(
        "the content has more than {MAX_PAYLOAD_BYTES} bytes (1 MiB) as JSON, which is the limit"
    )]
    TooLong,
    /// Deeper than [`MAX_PAYLOAD_DEPTH`].
    #[error("the content is nested deeper than {MAX_PAYLOAD_DEPTH} levels, which is the limit")]
    TooDeep,
    /// Not text.
    #[error("the content is not UTF-8: byte {} is wrong", .0.valid_up_to())]
    NotText(#[source] Utf8Error),
    /// Not JSON.
    #[error("the content is not JSON")]
    NotJson(#[source] serde_json::Error),
}

impl Coded for PayloadFault {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidInput
    }
}

/// Reads a payload from JSON text, and checks it before anything is built from it.
///
/// # Errors
/// It is no JSON text, or beyond a limit.
pub fn payload_from_json(text: &[u8]) -> Result<Value, PayloadFault> {
    if text.len() > MAX_PAYLOAD_BYTES {
        return Err(PayloadFault::TooLong);
    }
    let text = std::str::from_utf8(text).map_err(PayloadFault::NotText)?;
    if depth_of_text(text) > MAX_PAYLOAD_DEPTH {
        return Err(PayloadFault::TooDeep);
    }
    let payload = serde_json::from_str(text).map_err(PayloadFault::NotJson)?;
    check(&payload)?;
    Ok(payload)
}

/// Checks a payload that was made in the program.
pub(super) fn check(payload: &Value) -> Result<(), PayloadFault> {
    if is_deeper(payload, MAX_PAYLOAD_DEPTH) {
        return Err(PayloadFault::TooDeep);
    }
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, payload).map_err(PayloadFault::NotJson)?;
    if counted.0 > MAX_PAYLOAD_BYTES {
        return Err(PayloadFault::TooLong);
    }
    Ok(())
}

/// Whether lists and objects lie deeper in one another than `levels`. Looks no deeper than that.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let inner: Vec<&Value> = match value {
        Value::Array(values) => values.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return false,
    };
    match levels.checked_sub(1) {
        None => true,
        Some(left) => inner.into_iter().any(|value| is_deeper(value, left)),
    }
}

/// How deep the brackets of a text lie in one another, outside of its strings.
fn depth_of_text(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Counts the bytes that are written to it.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
