//! From an error answer to the error of the port.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use fusion_providers::Error;

use crate::origin::Origin;
use crate::wait::{self, BodyHints};

/// "Overloaded", a status of OpenRouter and Anthropic.
const OVERLOADED: u16 = 529;

/// The first wait after it: shorter ones only add to the load.
const OVERLOADED_WAIT: Duration = Duration::from_secs(2);

/// What an error answer says, in whichever shape it came.
#[derive(Debug, Default)]
pub(crate) struct Details {
    /// `None` when the body is not that of an API.
    message: Option<String>,
    /// The body when it is not JSON: mostly a web page.
    page: String,
    /// The machine's words: `code`, `type`, `error_type`, `reason`, `limit_source`.
    words: Vec<String>,
    /// A status inside the body.
    pub(crate) status: Option<u16>,
    /// Whether a repeat can help, where the server says so.
    retryable: bool,
    hints: BodyHints,
}

impl Details {
    /// From the body of an answer: `{"error":{"message":..}}`, `{"error":".."}`,
    /// `{"message":".."}`, `{"detail":".."}`, or no JSON at all.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => match value.get("error") {
                Some(error) if !error.is_null() => Self::of_error(error),
                Some(_) | None => Self::of_error(&value),
            },
            Err(_) => Self {
                page: String::from_utf8_lossy(body).into_owned(),
                ..Self::default()
            },
        }
    }

    /// From what stands at `error`.
    pub(crate) fn of_error(error: &Value) -> Self {
        let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str);
        let number = |pointer: &str| error.pointer(pointer).and_then(as_number);
        let message = error
            .as_str()
            .or_else(|| text("/message"))
            .or_else(|| text("/detail"));
        let message = match (message, text("/metadata/raw")) {
            (Some(message), Some(raw)) if !message.contains(raw) => {
                Some(format!("{message}: {raw}"))
            }
            (message, _) => message.map(str::to_owned),
        };
        let words = [
            "/code",
            "/type",
            "/error_type",
            "/metadata/error_type",
            "/metadata/reason",
            "/metadata/limit_source",
            "/availability/code",
        ];
        Self {
            message,
            page: String::new(),
            words: words
                .into_iter()
                .filter_map(text)
                .map(str::to_owned)
                .collect(),
            status: ["/code", "/http_status"]
                .into_iter()
                .find_map(|pointer| error.pointer(pointer).and_then(as_status)),
            retryable: error.pointer("/availability/retryable") == Some(&Value::Bool(true)),
            hints: BodyHints {
                retry_after: number("/availability/retry_after")
                    .or_else(|| number("/metadata/retry_after")),
                reset: number("/metadata/headers/X-RateLimit-Reset"),
            },
        }
    }

    fn has_word(&self, word: &str) -> bool {
        self.words.iter().any(|known| known.contains(word))
    }

    /// Whether the server says that this model does not exist. There is no common code for it.
    fn is_about_unknown_model(&self, model: &str) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        self.has_word("model_not_found")
            || (message.contains(model)
                && ["not found", "not exist", "not a valid model"]
                    .iter()
                    .any(|words| message.contains(words)))
    }

    /// Whether a 404 means that the API is somewhere else.
    fn is_about_wrong_path(&self) -> bool {
        self.message.as_deref().is_none_or(|message| {
            ["not found", "file not found"].contains(&message.to_lowercase().as_str())
        })
    }

    /// What an answer with this status means; `model` is the one that was asked, if one was.
    fn meaning(&self, status: u16, model: Option<&str>) -> Meaning {
        match status {
            400 | 404 if model.is_some_and(|model| self.is_about_unknown_model(model)) => {
                Meaning::UnknownModel
            }
            404 if self.is_about_wrong_path() => Meaning::WrongPath,
            // A budget that running requests have taken and give back.
            402 if self.has_word("in_flight") => Meaning::Limited,
            402 => Meaning::Unpaid,
            403 if self.has_word("_budget") || self.has_word("key_limit") => Meaning::Unpaid,
            401 | 403 => Meaning::Refused,
            429 if self.has_word("insufficient_quota") => Meaning::Unpaid,
            429 => Meaning::Limited,
            408 | 500.. => Meaning::Failing,
            _ if self.retryable => Meaning::Failing,
            _ => Meaning::Impossible,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    UnknownModel,
    WrongPath,
    Unpaid,
    Refused,
    Limited,
    Failing,
    Impossible,
}

impl Origin {
    /// The error for an answer with this status; `model` is the one that was asked, if one was.
    pub(crate) fn fault(
        &self,
        status: u16,
        headers: &HeaderMap,
        details: &Details,
        model: Option<&str>,
    ) -> Error {
        let provider = self.provider.clone();
        let message = match &details.message {
            Some(message) => self.said(message),
            None if details.page.trim().is_empty() => "no reason given".to_owned(),
            None => self.said(&details.page),
        };
        let retry_after = wait::demanded(headers, &details.hints)
            .or_else(|| (status == OVERLOADED).then_some(OVERLOADED_WAIT));
        match details.meaning(status, model) {
            Meaning::UnknownModel => Error::UnknownModel {
                provider,
                model: model.unwrap_or_default().to_owned(),
                nearest: None,
            },
            Meaning::WrongPath => self.setup(format!(
                "there is no such API at {} (404); the base URL mostly ends in /v1",
                self.endpoint
            )),
            Meaning::Unpaid => Error::PaymentRequired { provider, message },
            Meaning::Refused => Error::Refused {
                provider,
                status,
                message,
                variable: self.key_variable.clone(),
            },
            Meaning::Limited => Error::Limited {
                provider,
                message,
                retry_after,
            },
            Meaning::Failing => Error::Server {
                provider,
                status,
                message,
                retry_after,
            },
            Meaning::Impossible => Error::BadRequest {
                provider,
                status,
                message,
            },
        }
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn as_status(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (400..600).contains(status))
}
