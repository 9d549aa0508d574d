//! JSON in columns: as text, the same bytes on both databases. (PostgreSQL's own type for it
//! refuses a zero character inside a string, and reorders keys.)

use fusion_persistence::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// As it is stored.
pub(crate) fn to_text<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unreadable(what, error))
}

/// The same for a value that may be missing.
pub(crate) fn to_text_option<T: Serialize>(
    what: &'static str,
    value: Option<&T>,
) -> Result<Option<String>> {
    value.map(|value| to_text(what, value)).transpose()
}

/// As it was stored.
pub(crate) fn from_text<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(what, error))
}

/// The same for a value that may be missing.
pub(crate) fn from_text_option<T: DeserializeOwned>(
    what: &'static str,
    text: Option<&String>,
) -> Result<Option<T>> {
    text.map(|text| from_text(what, text)).transpose()
}

fn unreadable(what: &'static str, error: serde_json::Error) -> Error {
    Error::Corrupt {
        what: what.to_owned(),
        source: Some(Box::new(error)),
    }
}
