//! What an error answer says, in whichever shape it came.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::wait::BodyHints;

/// Where the words of an error stand, below `error`.
const WORDS: &[&str] = &[
    "/code",
    "/type",
    "/status",
    "/error_type",
    "/details/error_code",
    "/metadata/error_type",
    "/metadata/reason",
    "/metadata/limit_source",
    "/availability/code",
];

/// What the words mean where no status says it.
const STATUSES: &[(&str, u16)] = &[
    ("authentication", 401),
    ("invalid_api_key", 401),
    ("permission", 403),
    ("payment_required", 402),
    ("billing_error", 402),
    ("insufficient_quota", 429),
    ("rate_limit", 429),
    ("resource_exhausted", 429),
    ("overloaded", 529),
    ("provider_unavailable", 502),
    ("unavailable", 503),
    ("timeout", 504),
    ("not_found", 404),
    ("too_large", 413),
    ("unprocessable", 422),
    ("api_error", 500),
    ("server", 500),
    ("context_length", 400),
    ("exceed_context", 400),
    ("content_policy", 400),
    ("refusal", 400),
    ("invalid", 400),
];

/// Further things that tell a person what to change, and how they are called.
const EXTRAS: &[(&str, &str)] = &[
    ("/metadata/reasons", "reasons"),
    ("/metadata/flagged_input", "in"),
    ("/metadata/patterns", "patterns"),
    ("/availability/excluded_by", "excluded by"),
    ("/availability/constraint", "constraint"),
    ("/availability/affected_providers", "providers"),
    ("/metadata/remedy_hint", "hint"),
];

/// How much of an extra is shown.
const EXTRA_CHARS: usize = 100;

/// What an error answer says.
#[derive(Debug, Default)]
pub(crate) struct Details {
    /// `None` when the body is not that of an API.
    pub(super) message: Option<String>,
    /// The body when it is not JSON: mostly a web page.
    pub(super) page: String,
    /// The machine's words, in lower case.
    pub(super) words: Vec<String>,
    /// A status inside the body.
    pub(super) status: Option<u16>,
    /// Whether a repeat can help, where the server says so.
    pub(super) retryable: bool,
    /// Other models that the server offers in place of this one.
    pub(super) fallback: Option<String>,
    /// When a budget is full again.
    pub(super) resets_at: Option<DateTime<Utc>>,
    /// What is left of limits, as the body tells.
    pub(crate) budget: Budget,
    pub(super) tokens: Option<u64>,
    pub(super) token_limit: Option<u64>,
    pub(super) hints: BodyHints,
    /// The server's name for this call.
    pub(super) request_id: Option<String>,
}

/// What a body says of a limit, as texts of numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) limit_usd: Option<String>,
    pub(crate) spend_usd: Option<String>,
    pub(crate) resets_at: Option<DateTime<Utc>>,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, repeated in the body.
    pub(crate) rate: [Option<String>; 3],
    /// The time over which requests count, where the message names it.
    pub(crate) window: Option<&'static str>,
}

impl Details {
    /// From the body of an answer: `{"error":{"message":..}}`, `{"error":".."}`,
    /// `{"message":".."}`, `{"detail":".."}`, a list of one of these, or no JSON at all.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self {
                page: String::from_utf8_lossy(body).into_owned(),
                ..Self::default()
            };
        };
        let value = value.get(0).unwrap_or(&value);
        let mut details = match value.get("error") {
            Some(error) if !error.is_null() => Self::of_error(error),
            Some(_) | None => Self::of_error(value),
        };
        details.request_id = value.get("request_id").and_then(text_of);
        details
    }

    /// From what stands at `error`.
    pub(crate) fn of_error(error: &Value) -> Self {
        let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str);
        let number = |pointer: &str| error.pointer(pointer).and_then(as_number);
        let shown = |pointer: &str| error.pointer(pointer).and_then(text_of);
        let message = message(error);
        let said = message.as_deref().unwrap_or_default();
        let words: Vec<String> = WORDS
            .iter()
            .filter_map(|pointer| text(pointer))
            .map(str::to_lowercase)
            .collect();
        let count = |pointer: &str| error.pointer(pointer).and_then(Value::as_u64);
        let resets_at = text("/metadata/resets_at").and_then(moment);
        Self {
            status: ["/code", "/http_status"]
                .into_iter()
                .find_map(|pointer| error.pointer(pointer).and_then(as_status)),
            retryable: error.pointer("/availability/retryable") == Some(&Value::Bool(true)),
            fallback: text("/availability/fallback_models/0").map(str::to_owned),
            resets_at,
            budget: Budget {
                limit_usd: shown("/metadata/limit_usd"),
                spend_usd: shown("/metadata/spend_usd"),
                resets_at,
                rate: ["Limit", "Remaining", "Reset"]
                    .map(|part| shown(&format!("/metadata/headers/X-RateLimit-{part}"))),
                window: window(said),
            },
            tokens: count("/n_prompt_tokens")
                .or_else(|| number_after(said, &["requested ", "resulted in ", "too long: "])),
            token_limit: count("/n_ctx")
                .or_else(|| number_after(said, &["context length is ", "tokens > "])),
            hints: BodyHints {
                retry_after: number("/availability/retry_after")
                    .or_else(|| number("/metadata/retry_after"))
                    .or_else(|| retry_delay(error)),
                reset: number("/metadata/headers/X-RateLimit-Reset"),
            },
            request_id: None,
            page: String::new(),
            message,
            words,
        }
    }

    pub(super) fn has_word(&self, word: &str) -> bool {
        self.words.iter().any(|known| known.contains(word))
    }

    pub(super) fn says(&self, words: &str) -> bool {
        self.message
            .as_deref()
            .is_some_and(|message| message.contains(words))
    }

    /// The status of an error that came in a good answer: what it says, or what its words mean.
    pub(crate) fn own_status(&self) -> Option<u16> {
        self.status.or_else(|| {
            STATUSES
                .iter()
                .find(|(word, _)| self.has_word(word))
                .map(|(_, status)| *status)
        })
    }
}

fn message(error: &Value) -> Option<String> {
    let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str);
    let message = error
        .as_str()
        .or_else(|| text("/message"))
        .or_else(|| text("/detail"))
        .or_else(|| text("/error"))?;
    let mut message = match text("/metadata/raw") {
        Some(raw) if !message.contains(raw) => format!("{message}: {raw}"),
        Some(_) | None => message.to_owned(),
    };
    for (pointer, name) in EXTRAS {
        if let Some(extra) = error.pointer(pointer).and_then(text_of) {
            let extra: String = extra.chars().take(EXTRA_CHARS).collect();
            message.push_str(&format!("; {name}: {extra}"));
        }
    }
    // vLLM and Google name what ran out only among the details.
    if is_daily(error) {
        message.push_str("; the quota of the day is used up");
    }
    Some(message)
}

/// A text, a number, or what a list or a map holds.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) if !items.is_empty() => Some(
            items
                .iter()
                .filter_map(text_of)
                .collect::<Vec<_>>()
                .join(", "),
        ),
        Value::Object(_) => Some(value.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// What Google tells among the details of an error: `"retryDelay": "37s"`. A quota of the day is not
/// back before an hour, whatever the delay says.
fn retry_delay(error: &Value) -> Option<f64> {
    const HOUR: f64 = 3_600.0;
    let delay = details(error)
        .filter_map(|detail| detail.get("retryDelay")?.as_str())
        .find_map(|delay| delay.trim_end_matches('s').parse::<f64>().ok());
    if is_daily(error) {
        return Some(delay.unwrap_or(HOUR).max(HOUR));
    }
    delay
}

fn is_daily(error: &Value) -> bool {
    details(error)
        .filter_map(|detail| detail.get("violations")?.as_array())
        .flatten()
        .filter_map(|violation| violation.get("quotaId")?.as_str())
        .any(|id| id.contains("PerDay"))
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    let details = error.get("details").and_then(Value::as_array);
    details.into_iter().flatten()
}

fn window(message: &str) -> Option<&'static str> {
    [("per-min", "minute"), ("per-day", "day")]
        .into_iter()
        .find(|(word, _)| message.contains(word))
        .map(|(_, window)| window)
}

/// The whole number that stands right after one of these words.
fn number_after(text: &str, words: &[&str]) -> Option<u64> {
    words.iter().find_map(|word| {
        let (_, rest) = text.split_once(word)?;
        let digits: String = rest
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == ',')
            .filter(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    })
}

pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|moment| moment.to_utc())
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
