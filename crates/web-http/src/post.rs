//! Sends messages to the places that people named.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use fusion_web::{Answered, NoAnswer, Parcel, Post, Where};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};

use crate::client::{Checked, base, build};

/// The longest that one message may take, from the connection to the end of the answer.
pub const POST_TIMEOUT: Duration = Duration::from_secs(20);

/// So much of an answer is read, to use the connection again; nothing of it is kept.
const ANSWER_LIMIT: usize = 16 * 1024;

/// A longer wait is not believed.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Sends messages; keeps connections for later ones.
#[derive(Debug)]
pub struct HttpPost {
    timeout: Duration,
    public: OnceLock<Client>,
    any: OnceLock<Client>,
    private: OnceLock<Client>,
}

impl Default for HttpPost {
    fn default() -> Self {
        Self::with_timeout(POST_TIMEOUT)
    }
}

impl HttpPost {
    /// One that gives a message so much time.
    #[must_use]
    pub const fn with_timeout(timeout: Duration) -> Self {
        Self {
            timeout,
            public: OnceLock::new(),
            any: OnceLock::new(),
            private: OnceLock::new(),
        }
    }

    fn client(&self, reach: Where) -> Result<&Client, NoAnswer> {
        let cell = match reach {
            Where::Public => &self.public,
            Where::Any => &self.any,
            Where::Private => &self.private,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let mut builder = base()
            .dns_resolver(Arc::new(Checked::new(move |address| reach.allows(address))))
            .timeout(self.timeout);
        if reach == Where::Private {
            // Nothing is encrypted there: a machine without certificates can send, too.
            builder = builder.tls_certs_only([]);
        }
        let client = build(builder).map_err(|why| NoAnswer(why.0))?;
        Ok(cell.get_or_init(|| client))
    }
}

#[async_trait]
impl Post for HttpPost {
    async fn post(&self, parcel: &Parcel) -> Result<Answered, NoAnswer> {
        let mut request = self
            .client(parcel.target.reach())?
            .post(parcel.target.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .body(parcel.body.clone());
        for (name, value) in &parcel.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.map_err(silent)?;
        let answered = Answered {
            status: response.status().as_u16(),
            retry_after: wait(response.headers()),
        };
        read_off(response).await;
        Ok(answered)
    }
}

/// The address is left out: it may hold a secret of its receiver.
fn silent(error: reqwest::Error) -> NoAnswer {
    if error.is_timeout() && !error.is_connect() {
        return NoAnswer("it did not answer in time".to_owned());
    }
    NoAnswer(fusion_core::error_chain(&error.without_url()))
}

/// Reads to the end of a short answer. What goes wrong with it changes nothing: the status has come.
async fn read_off(mut response: Response) {
    let mut left = ANSWER_LIMIT;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// `Retry-After`: seconds, or a date, which is measured from the server's own.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let after = text(RETRY_AFTER)?;
    let wait = match after.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = |text| DateTime::parse_from_rfc2822(text).ok();
            (date(after)? - date(text(DATE)?)?).to_std().ok()?
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

    use super::wait;

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let told = |text: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            wait(&headers).map(|wait| wait.as_secs())
        };
        let now = Some("Fri, 27 Nov 2026 12:00:00 GMT");
        assert_eq!(
            [
                told("120", None),
                told("Fri, 27 Nov 2026 12:00:30 GMT", now),
                told("Fri, 27 Nov 2026 12:00:30 GMT", None),
                told("Fri, 27 Nov 2026 11:00:00 GMT", now),
                told("999999999", None),
                told("soon", now),
                wait(&HeaderMap::new()).map(|wait: Duration| wait.as_secs()),
            ],
            [Some(120), Some(30), None, None, Some(86_400), None, None]
        );
    }
}
