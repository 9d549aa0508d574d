//! In whose name an error speaks, and the one place where a server's words are cleaned.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use fusion_providers::{Error, Result};

const MAX_CHARS: usize = 200;

/// A shorter key is a dummy for a local server ("ollama"): hiding it would garble plain words.
const MIN_SECRET_CHARS: usize = 8;

/// The provider that a call goes to.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) provider: String,
    pub(crate) key: Option<SecretString>,
    pub(crate) key_variable: Option<String>,
    /// The base URL as people may see it: without a query.
    pub(crate) endpoint: String,
}

impl Origin {
    /// The key to send, if any.
    pub(crate) fn key(&self) -> Result<Option<&SecretString>> {
        match (&self.key, &self.key_variable) {
            (None, Some(variable)) => Err(Error::MissingKey {
                provider: self.provider.clone(),
                variable: variable.clone(),
            }),
            (key, _) => Ok(key.as_ref()),
        }
    }

    /// The words of a server, fit for an error: one line, short, without the key and without tags.
    pub(crate) fn said(&self, text: &str) -> String {
        let text = match &self.key {
            Some(key) if key.expose_secret().len() >= MIN_SECRET_CHARS => {
                text.replace(key.expose_secret(), "[key]")
            }
            Some(_) | None => text.to_owned(),
        };
        let text = without_tags(&text);
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        words.join(" ").chars().take(MAX_CHARS).collect()
    }

    pub(crate) fn setup(&self, problem: String) -> Error {
        Error::Setup {
            provider: self.provider.clone(),
            problem,
            source: None,
        }
    }

    pub(crate) fn malformed(&self, problem: &str, body: &[u8]) -> Error {
        Error::Malformed {
            provider: self.provider.clone(),
            problem: self.said(problem),
            sample: self.said(&String::from_utf8_lossy(body)),
            generation_id: None,
        }
    }

    pub(crate) fn timeout(&self, limit: Duration) -> Error {
        Error::Timeout {
            provider: self.provider.clone(),
            limit,
            generation_id: None,
        }
    }

    pub(crate) fn truncated(&self, problem: impl Into<String>) -> Error {
        Error::Truncated {
            provider: self.provider.clone(),
            problem: problem.into(),
            generation_id: None,
        }
    }
}

/// The base URL as people may see it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// Drops what stands between `<` and `>` when the text is a web page.
fn without_tags(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    let mut inside = false;
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                plain.push(' ');
            }
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}
