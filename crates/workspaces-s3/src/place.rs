//! Where a depot is, and what opens it.

use std::io;
use std::net::IpAddr;

use object_store::path::Path;
use reqwest::Url;
use secrecy::SecretString;

/// A bucket, and what opens it.
#[derive(Debug)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// What the names of all objects begin with; may be empty, and have `/` in it.
    pub prefix: String,
    /// The address of the service, `https` or `http`; that of AWS without it.
    pub endpoint: Option<String>,
    /// Whether an address of another machine may be `http`: who is on the way sees the sealed pieces.
    pub allow_plain_http: bool,
    /// The region, `us-east-1` without it.
    pub region: Option<String>,
    /// The key's id, which is not shown either.
    pub key_id: SecretString,
    /// The key.
    pub key: SecretString,
    /// What a key for a time comes with.
    pub session: Option<SecretString>,
}

impl S3Place {
    /// The bucket and the prefix of `s3://BUCKET/PREFIX`; none where a text is no such address.
    #[must_use]
    pub fn named(address: &str) -> Option<(&str, &str)> {
        let rest = address.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_of_bucket = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_good = !bucket.is_empty()
            && bucket.chars().all(is_of_bucket)
            && !prefix.starts_with('/')
            && Path::parse(prefix).is_ok();
        is_good.then_some((bucket, prefix))
    }

    /// The address of the service, where one is named.
    pub(crate) fn endpoint(&self) -> io::Result<Option<Url>> {
        let Some(text) = self.endpoint.as_deref() else {
            return Ok(None);
        };
        // It may hold a password, so it is not shown.
        let no_address = || {
            wrong("the address of the storage is none; write one such as https://s3.example.com")
        };
        let url = Url::parse(text.trim()).map_err(|_| no_address())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "the address of the storage has a user or a password in it; the key is set on its own",
            ));
        }
        match url.scheme() {
            "https" => Ok(Some(url)),
            "http" if self.allow_plain_http || is_loopback(&url) => Ok(Some(url)),
            "http" => Err(wrong(
                "the address of the storage is that of another machine, and http:// is open to everyone on the way; use https://",
            )),
            _ => Err(no_address()),
        }
    }
}

/// Whether a URL names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
