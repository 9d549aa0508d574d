//! What is said of a storage that fails, without its answers: some of them repeat keys.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use object_store::Error;
use secrecy::{ExposeSecret as _, SecretString};

use crate::S3Place;

/// What stands for a key.
const MASK: &str = "(a key)";

/// The longest name of a fault that is told.
const LONGEST_CODE: usize = 60;

/// Says what failed.
#[derive(Debug)]
pub(crate) struct Words {
    bucket: String,
    /// In no text.
    keys: Vec<SecretString>,
}

impl Words {
    pub(crate) fn of(at: &S3Place) -> Self {
        let keys = [Some(&at.key_id), Some(&at.key), at.session.as_ref()];
        Self {
            bucket: at.bucket.clone(),
            keys: keys.into_iter().flatten().cloned().collect(),
        }
    }

    pub(crate) fn of_error(&self, error: &Error) -> io::Error {
        let whole = error.to_string();
        let code = code_in(&whole).map_or_else(String::new, |code| format!(" ({code})"));
        let status = status_in(&whole);
        if matches!(error, Error::NotFound { .. }) || status == Some("404") {
            let text = format!("it is not there, or the bucket is not{code}");
            return io::Error::new(ErrorKind::NotFound, text);
        }
        let is_refused = matches!(
            error,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
        );
        if is_refused || status == Some("401") || status == Some("403") {
            let text = format!("the storage refuses the key{code}");
            return io::Error::new(ErrorKind::PermissionDenied, text);
        }
        let kind = if is_about_the_way(error) {
            ErrorKind::NotConnected
        } else {
            ErrorKind::Other
        };
        io::Error::new(kind, self.clean(&told(error), &code))
    }

    /// The operation took longer than it may.
    pub(crate) fn late(most: Duration) -> io::Error {
        let seconds = most.as_secs_f32();
        let text = format!("the storage did not answer within {seconds} s");
        io::Error::new(ErrorKind::TimedOut, text)
    }

    /// Where nothing is found by who writes, the bucket is missing.
    pub(crate) fn of_missing_bucket(&self, error: io::Error) -> io::Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let text = format!("there is no bucket {}", self.bucket);
        io::Error::new(ErrorKind::NotFound, text)
    }

    /// Without what the storage wrote but for the name of the fault, and without keys.
    fn clean(&self, text: &str, code: &str) -> String {
        let own = text.split('<').next().unwrap_or_default();
        let mut own = own.trim_end_matches([' ', ':']).to_owned();
        own.push_str(code);
        for key in self.keys.iter().map(|key| key.expose_secret()) {
            if !key.is_empty() {
                own = own.replace(key, MASK);
            }
        }
        own
    }
}

/// The causes, without those that tell of the library and of how often it tried.
fn told(error: &Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if more.starts_with("Error performing") {
            cause = error.source();
            continue;
        }
        if text.is_empty() {
            text = more;
        } else if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

/// Whether no answer came at all.
fn is_about_the_way(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let found = error.downcast_ref::<reqwest::Error>();
        if found.is_some_and(|error| error.is_connect() || error.is_timeout()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What the storage calls the fault: letters only, so that nothing else comes along.
fn code_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_name = code.len() <= LONGEST_CODE && code.chars().all(|c| c.is_ascii_alphabetic());
    (is_name && !code.is_empty()).then_some(code)
}

/// The status of an answer that was none of success: what lists objects tells it in its text only.
fn status_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.split(' ').next()
}
