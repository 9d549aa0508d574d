//! A place that takes events by POST.

use std::time::Duration;

use chrono::{DateTime, Utc};
use fusion_api_types::{Problem, ProblemKind};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

use crate::{ANSWER, CONNECT, is_loopback};

/// The name of an event, for receivers that drop what they have seen.
const KEY: &str = "idempotency-key";

/// How much of a refusal is shown.
const SHOWN: usize = 200;

/// Takes events by POST. Redirects are not followed.
#[derive(Debug, Clone)]
pub struct Receiver {
    http: reqwest::Client,
    url: Url,
    token: Option<SecretString>,
}

/// What is sent in one request.
#[derive(Debug, Clone, Copy)]
pub enum Parcel<'a> {
    /// One JSON object, and what it is known by.
    One {
        /// The object.
        json: &'a str,
        /// Its name, the same each time it is sent.
        key: &'a str,
    },
    /// JSON objects, each on a line.
    Lines(&'a str),
}

/// Why a parcel was not taken.
#[derive(Debug)]
pub struct Refusal {
    /// Whether the same may be taken later.
    pub may_pass: bool,
    /// How long the receiver wants to be left alone.
    pub wait: Option<Duration>,
    /// What it means.
    pub problem: Problem,
}

impl Receiver {
    /// A receiver at a URL. No request is made.
    ///
    /// # Errors
    /// It is no such URL, or what is sent would travel unencrypted to another machine and
    /// `allows_plain_http` is not given, or it holds a name or a password.
    pub fn new(
        url: &str,
        token: Option<SecretString>,
        allows_plain_http: bool,
    ) -> Result<Self, Problem> {
        let url = checked(url, allows_plain_http)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(redirect::Policy::none());
        let http = if is_loopback(&url) {
            http.no_proxy()
        } else {
            http
        };
        let http = http.build().map_err(|error| {
            let text = format!("no client of {url} can be made: {error}");
            Problem::new(ProblemKind::Internal, text)
        })?;
        Ok(Self { http, url, token })
    }

    /// Sends a parcel once. `now` is what a date in the answer is measured from.
    ///
    /// # Errors
    /// It was not taken.
    pub async fn send(&self, parcel: Parcel<'_>, now: DateTime<Utc>) -> Result<(), Refusal> {
        let mut request = self.http.post(self.url.clone());
        request = match parcel {
            Parcel::One { json, key } => request
                .header(CONTENT_TYPE, "application/json")
                .header(KEY, key)
                .body(json.to_owned()),
            Parcel::Lines(lines) => request
                .header(CONTENT_TYPE, "application/x-ndjson")
                .body(lines.to_owned()),
        };
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = wait_of(response.headers(), now);
        Err(self.refused(status, wait, &beginning(response).await))
    }

    fn silent(&self, error: &reqwest::Error) -> Refusal {
        let kind = if error.is_timeout() && !error.is_connect() {
            ProblemKind::Timeout
        } else {
            ProblemKind::Unavailable
        };
        Refusal {
            // What can't be sent at all is no better the next time.
            may_pass: !error.is_builder(),
            wait: None,
            problem: Problem::new(
                kind,
                format!("{} does not answer{}", self.url, cause(error)),
            ),
        }
    }

    fn refused(&self, status: StatusCode, wait: Option<Duration>, said: &str) -> Refusal {
        let kind = match status.as_u16() {
            401 | 403 => ProblemKind::Denied,
            429 => ProblemKind::Limited,
            408 | 500..=599 => ProblemKind::Unavailable,
            _ => ProblemKind::Conflict,
        };
        let said = match said {
            "" => String::new(),
            said => format!(": {said}"),
        };
        Refusal {
            may_pass: matches!(kind, ProblemKind::Limited | ProblemKind::Unavailable),
            wait,
            problem: Problem::new(kind, format!("{} answered with {status}{said}", self.url)),
        }
    }
}

/// What is behind an error, without the URL, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    let mut told = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

/// The first words of an answer.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < SHOWN
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&bytes);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(SHOWN).collect()
}

/// `Retry-After`: seconds, or a date.
fn wait_of(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    let left = at.with_timezone(&Utc) - now;
    Some(left.to_std().unwrap_or_default())
}

fn checked(text: &str, allows_plain_http: bool) -> Result<Url, Problem> {
    let shown: String = text.chars().take(SHOWN).collect();
    let wrong = |why: &str| Problem::new(ProblemKind::InvalidInput, format!("--to {why}"));
    let url = Url::parse(text).map_err(|_| wrong(&format!("'{shown}' is no URL")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(&format!("'{shown}' is no URL of http or https")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a name or a password")
            .with_help("put the receiver's token into a variable and name that with --token-env"));
    }
    if url.scheme() == "http" && !is_loopback(&url) && !allows_plain_http {
        return Err(
            wrong(&format!("{url}: what is sent would travel unencrypted"))
                .with_help("use https://, or --allow-plain-http"),
        );
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use reqwest::header::{HeaderMap, RETRY_AFTER};

    use super::{checked, wait_of};

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let now: DateTime<Utc> = "2026-11-27T12:00:00Z".parse().unwrap();
        let told = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            wait_of(&headers, now)
        };
        assert_eq!(
            [
                told("120"),
                told("Fri, 27 Nov 2026 12:00:30 GMT"),
                told("Fri, 27 Nov 2026 11:00:00 GMT"),
                told("soon"),
                wait_of(&HeaderMap::new(), now),
            ],
            [
                Some(Duration::from_secs(120)),
                Some(Duration::from_secs(30)),
                Some(Duration::ZERO),
                None,
                None,
            ]
        );
    }

    #[test]
    fn what_is_sent_goes_unencrypted_to_this_machine_only_and_holds_no_password() {
        let is_taken = |url: &str, plain: bool| checked(url, plain).is_ok();
        for url in [
            "https://hooks.example/a?b=c",
            "http://127.0.0.1:9/x",
            "http://localhost/",
        ] {
            assert!(is_taken(url, false), "{url}");
        }
        assert!(is_taken("http://hooks.example/", true));
        for url in [
            "http://hooks.example/",
            "https://me:secret@hooks.example/",
            "ftp://hooks.example/",
            "hooks.example",
        ] {
            assert!(!is_taken(url, false), "{url}");
        }
    }
}
