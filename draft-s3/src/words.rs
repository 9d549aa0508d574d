//! What is said of a storage that fails, without its answers: some of them repeat keys.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use object_store::Error;
use secrecy::{ExposeSecret as _, SecretString};

use crate::S3Place;

/// What stands for a key.
const MASK: &str = "(a key)";

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
        if matches!(error, Error::NotFound { .. }) {
            let text = "it is not there, or the bucket is not";
            return io::Error::new(io::ErrorKind::NotFound, text);
        }
        if matches!(
            error,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
        ) {
            let text = "the storage refuses it: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are wrong, or may not do this in the bucket";
            return io::Error::new(io::ErrorKind::PermissionDenied, text);
        }
        let mut text = error.to_string();
        let mut cause = error.source().and_then(|error| error.source());
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        io::Error::other(self.clean(&text))
    }

    /// The operation took longer than it may.
    pub(crate) fn late(&self, most: Duration) -> io::Error {
        let seconds = most.as_secs_f32();
        let text = format!(
            "the storage of the bucket {} did not answer within {seconds} s",
            self.bucket
        );
        io::Error::new(io::ErrorKind::TimedOut, text)
    }

    /// Where nothing is found by who writes, the bucket is missing.
    pub(crate) fn of_missing_bucket(&self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::NotFound {
            return error;
        }
        let text = format!("there is no bucket {}", self.bucket);
        io::Error::new(io::ErrorKind::NotFound, text)
    }

    /// Without what the storage wrote, and without keys.
    fn clean(&self, text: &str) -> String {
        let own = text.split('<').next().unwrap_or_default();
        let mut own = own.trim_end().to_owned();
        for key in self.keys.iter().map(|key| key.expose_secret()) {
            if !key.is_empty() {
                own = own.replace(key, MASK);
            }
        }
        own
    }
}
