//! From an error answer to the error of the port.

mod details;

use std::time::Duration;

use reqwest::header::HeaderMap;

use fusion_providers::Error;

pub(crate) use details::{Budget, Details, moment};

use crate::origin::Origin;
use crate::wait;

/// "Overloaded", a status of OpenRouter and Anthropic.
const OVERLOADED: u16 = 529;

/// The first wait after it and while a model loads: shorter ones only add to the load.
const LONGER_WAIT: Duration = Duration::from_secs(2);

/// An error inside an answer with status 200 that names no status of its own.
pub(crate) const UNSAID: u16 = 502;

/// Headers in which servers tell their name of a call.
const CALL_IDS: [&str; 3] = ["x-generation-id", "request-id", "x-request-id"];

/// What a prompt that is too long is called, by those who have no word for it.
const TOO_LONG: [&str; 4] = [
    "maximum context length",
    "prompt is too long",
    "exceeds the available context size",
    "context window",
];

impl Details {
    /// Whether the server says that this model does not exist. There is no common code for it.
    fn is_about_unknown_model(&self, model: &str) -> bool {
        ["model_not_found", "model_deprecated", "free_variant_ended"]
            .iter()
            .any(|word| self.has_word(word))
            || (self.says(model)
                && ["not found", "not exist", "not a valid model", "model: "]
                    .iter()
                    .any(|words| self.says(words)))
    }

    /// Whether a 404 means that the API is somewhere else.
    fn is_about_wrong_path(&self) -> bool {
        self.message.as_deref().is_none_or(|message| {
            ["not found", "file not found"].contains(&message.to_lowercase().as_str())
        })
    }

    fn is_about_length(&self) -> bool {
        self.has_word("context_length_exceeded")
            || self.has_word("exceed_context_size")
            || TOO_LONG.iter().any(|words| self.says(words))
    }

    /// Whether a limit is meant that a person has set: of a key, a workspace, a month.
    fn is_about_a_budget(&self) -> bool {
        ["_budget", "key_limit", "enforced_spend_limit"]
            .iter()
            .any(|word| self.has_word(word))
            || self.says("specified API usage limits")
    }

    /// What an answer with this status means; `model` is the one that was asked, if one was.
    fn meaning(&self, status: u16, model: Option<&str>) -> Meaning {
        match status {
            400 | 413 | 422 | 500 if self.is_about_length() => Meaning::TooLong,
            400 | 404 if model.is_some_and(|model| self.is_about_unknown_model(model)) => {
                Meaning::UnknownModel
            }
            404 if self.is_about_wrong_path() => Meaning::WrongPath,
            402 | 403 | 429 | 400 if self.is_about_money() => self.money(),
            402 => Meaning::Unpaid,
            403 if self.is_about_the_request() => Meaning::Impossible,
            401 | 403 => Meaning::Refused,
            429 => Meaning::Limited,
            500 if self.says("does not match the expected") => Meaning::Garbled,
            408 => Meaning::Failing,
            _ if status >= 500 || self.retryable => Meaning::Failing,
            _ => Meaning::Impossible,
        }
    }

    /// Whether the server was started without what tools need (vLLM).
    pub(crate) fn is_about_missing_tools(&self) -> bool {
        self.says("--enable-auto-tool-choice")
    }

    fn is_about_money(&self) -> bool {
        self.has_word("in_flight")
            || self.has_word("weight_exceeds_budget")
            || self.has_word("insufficient_quota")
            || self.is_about_a_budget()
    }

    /// Whether the limit is over with the month (Anthropic).
    fn is_monthly(&self) -> bool {
        self.has_word("enforced_spend_limit")
    }

    fn money(&self) -> Meaning {
        if self.has_word("in_flight") {
            // A budget that running requests have taken and give back.
            Meaning::Limited
        } else if self.has_word("weight_exceeds_budget") {
            // It would cost more than there is, now and later.
            Meaning::Impossible
        } else if self.is_about_a_budget() && (self.resets_at.is_some() || self.is_monthly()) {
            Meaning::Limited
        } else {
            Meaning::Unpaid
        }
    }

    /// Whether a 403 is about what was asked and not about who asks.
    fn is_about_the_request(&self) -> bool {
        ["content_policy", "moderation", "guardrail", "_restricted"]
            .iter()
            .any(|word| self.has_word(word))
            || ["; reasons: ", "; patterns: "]
                .iter()
                .any(|words| self.says(words))
    }
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    TooLong,
    UnknownModel,
    WrongPath,
    Unpaid,
    Refused,
    Limited,
    Failing,
    Garbled,
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
        let message = self.told(headers, details);
        let retry_after = self.wait(status, headers, details);
        match details.meaning(status, model) {
            Meaning::TooLong => Error::ContextTooLong {
                provider,
                message,
                tokens: details.tokens,
                limit: details.token_limit,
            },
            Meaning::UnknownModel => Error::UnknownModel {
                provider,
                model: model.unwrap_or_default().to_owned(),
                nearest: details.fallback.clone(),
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
                generation_id: None,
            },
            Meaning::Garbled => Error::Malformed {
                provider,
                problem: "its own words do not parse there".to_owned(),
                sample: message,
                generation_id: None,
            },
            Meaning::Impossible => Error::BadRequest {
                provider,
                status,
                message,
            },
        }
    }

    /// The server's words, and its name for the call.
    fn told(&self, headers: &HeaderMap, details: &Details) -> String {
        let mut message = match &details.message {
            Some(message) => self.said(message),
            None if details.page.trim().is_empty() => "no reason given".to_owned(),
            None => self.said(&details.page),
        };
        let of_header = || {
            CALL_IDS
                .into_iter()
                .find_map(|name| headers.get(name)?.to_str().ok())
        };
        if let Some(id) = details.request_id.as_deref().or_else(of_header) {
            message.push_str(&format!(" (request {})", self.said(id)));
        }
        message
    }

    fn wait(&self, status: u16, headers: &HeaderMap, details: &Details) -> Option<Duration> {
        let is_loading = status == 503 && details.says("Loading model");
        wait::demanded(headers, &details.hints)
            .or_else(|| wait::until_reset(headers, details.resets_at?))
            .or_else(|| {
                details
                    .is_monthly()
                    .then(|| wait::until_next_month(headers))
            })
            .or_else(|| (status == OVERLOADED || is_loading).then_some(LONGER_WAIT))
    }
}
