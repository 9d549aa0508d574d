//! What is left of a provider's limits, from its answers and from its account of the key.

use std::sync::{Mutex, PoisonError};

use chrono::Duration;
use reqwest::header::HeaderMap;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use fusion_core::Timestamp;
use fusion_providers::{QuotaInfo, QuotaLimit, QuotaSource, QuotaUnit};

use crate::fault::{Budget, moment};
use crate::money;

/// The names of the headers of one limit.
struct Names {
    unit: QuotaUnit,
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const HEADERS: &[Names] = &[
    // OpenRouter, with 429 only.
    names(
        QuotaUnit::Requests,
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ),
    // OpenAI and many others.
    names(
        QuotaUnit::Requests,
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    names(
        QuotaUnit::Tokens,
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ),
    // Anthropic, with every answer.
    names(
        QuotaUnit::Requests,
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    names(
        QuotaUnit::Tokens,
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    names(
        QuotaUnit::InputTokens,
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    names(
        QuotaUnit::OutputTokens,
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

const fn names(
    unit: QuotaUnit,
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
) -> Names {
    Names {
        unit,
        limit,
        remaining,
        reset,
    }
}

/// The limits that were told last. A newer word on the same limit replaces the older one; answers that
/// overtake each other are put in order by what they say.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Vec<QuotaLimit>>);

impl Quota {
    pub(crate) fn told(&self, limits: impl IntoIterator<Item = QuotaLimit>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for limit in limits {
            let same = known.iter_mut().find(|old| {
                (old.unit, old.source, &old.window) == (limit.unit, limit.source, &limit.window)
            });
            match same {
                Some(old) if is_overtaken(&limit, old) => {}
                Some(old) => *old = limit,
                None => known.push(limit),
            }
        }
    }

    /// An account was asked: what it said before is past.
    pub(crate) fn replace(&self, source: QuotaSource, limits: Vec<QuotaLimit>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|old| old.source != source);
        known.extend(limits);
    }

    pub(crate) fn info(&self) -> QuotaInfo {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        QuotaInfo {
            limits: known.clone(),
        }
    }

    /// Whether an account has ever told something.
    pub(crate) fn has(&self, source: QuotaSource) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|limit| limit.source == source)
    }
}

/// Whether a word is older than the one that is known: it speaks of an earlier reset, or of more that
/// is left until the same one.
fn is_overtaken(new: &QuotaLimit, known: &QuotaLimit) -> bool {
    match (new.resets_at, known.resets_at) {
        (Some(new_reset), Some(reset)) if new_reset == reset => new.remaining > known.remaining,
        (Some(new_reset), Some(reset)) => new_reset < reset && reset > new.told_at,
        (None, _) | (_, None) => false,
    }
}

const fn limit(unit: QuotaUnit, source: QuotaSource, told_at: Timestamp) -> QuotaLimit {
    QuotaLimit {
        unit,
        window: None,
        limit: None,
        remaining: None,
        used: None,
        resets_at: None,
        source,
        told_at,
    }
}

/// The limits that the headers of an answer tell.
pub(crate) fn of_headers(headers: &HeaderMap, now: Timestamp) -> Vec<QuotaLimit> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let number = |name: &str| text(name)?.trim().parse::<Decimal>().ok();
    HEADERS
        .iter()
        .filter_map(|names| {
            let (most, remaining) = (number(names.limit), number(names.remaining));
            (most.is_some() || remaining.is_some()).then(|| QuotaLimit {
                limit: most,
                remaining,
                resets_at: text(names.reset).and_then(|text| reset(text.trim(), now)),
                ..limit(names.unit, QuotaSource::Headers, now)
            })
        })
        .collect()
}

/// The limits that the body of an error tells.
pub(crate) fn of_error(budget: &Budget, now: Timestamp) -> Vec<QuotaLimit> {
    let number = |text: &Option<String>| text.as_deref()?.parse::<Decimal>().ok();
    let mut limits = Vec::new();
    let [most, remaining, resets] = &budget.rate;
    if most.is_some() || remaining.is_some() {
        limits.push(QuotaLimit {
            window: budget.window.map(str::to_owned),
            limit: number(most),
            remaining: number(remaining),
            resets_at: resets.as_deref().and_then(|text| reset(text, now)),
            ..limit(QuotaUnit::Requests, QuotaSource::Error, now)
        });
    }
    if budget.limit_usd.is_some() || budget.spend_usd.is_some() {
        let (most, used) = (number(&budget.limit_usd), number(&budget.spend_usd));
        limits.push(QuotaLimit {
            limit: most,
            used,
            remaining: most.zip(used).map(|(most, used)| left(most, used)),
            resets_at: budget.resets_at,
            ..limit(QuotaUnit::Credit, QuotaSource::Error, now)
        });
    }
    limits
}

fn left(most: Decimal, used: Decimal) -> Decimal {
    (most - used).max(Decimal::ZERO)
}

/// A moment as RFC 3339, as Unix seconds or milliseconds, or as a time from now such as `6m0s`: their
/// sizes are too far apart to be mistaken.
fn reset(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(moment) = moment(text) {
        return Some(moment);
    }
    match text.parse::<i64>() {
        Ok(number) if number > 100_000_000_000 => Timestamp::from_timestamp_millis(number),
        Ok(number) if number > 1_000_000_000 => Timestamp::from_timestamp(number, 0),
        Ok(number) => now.checked_add_signed(Duration::try_seconds(number)?),
        Err(_) => now.checked_add_signed(span(text)?),
    }
}

/// Hours, minutes, seconds and milliseconds: `1h2m3.5s`, `20ms`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let each = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * each;
        rest = tail;
    }
    let span = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    Duration::from_std(span).ok()
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Key {
    limit: Option<Box<RawValue>>,
    limit_remaining: Option<Box<RawValue>>,
    limit_reset: Option<String>,
    usage: Option<Box<RawValue>>,
    free_model_daily_requests: Option<FreeRequests>,
}

#[derive(Deserialize)]
struct FreeRequests {
    used: Option<Box<RawValue>>,
    limit: Option<Box<RawValue>>,
    remaining: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Credits {
    total_credits: Option<Box<RawValue>>,
    total_usage: Option<Box<RawValue>>,
}

/// What OpenRouter's `GET /key` says.
pub(crate) fn of_key(body: &[u8], now: Timestamp) -> serde_json::Result<Vec<QuotaLimit>> {
    let key = serde_json::from_slice::<Data<Key>>(body)?.data;
    let number = |raw: &Option<Box<RawValue>>| raw.as_deref().and_then(money::decimal);
    let (most, remaining) = (number(&key.limit), number(&key.limit_remaining));
    let in_window = most
        .zip(remaining)
        .map(|(most, remaining)| most - remaining);
    let mut limits = vec![QuotaLimit {
        window: key.limit_reset,
        limit: most,
        remaining,
        used: in_window.or_else(|| number(&key.usage)),
        ..limit(QuotaUnit::Credit, QuotaSource::Key, now)
    }];
    if let Some(free) = key.free_model_daily_requests {
        limits.push(QuotaLimit {
            window: Some("day".to_owned()),
            limit: number(&free.limit),
            remaining: number(&free.remaining),
            used: number(&free.used),
            ..limit(QuotaUnit::Requests, QuotaSource::Key, now)
        });
    }
    Ok(limits)
}

/// What OpenRouter's `GET /credits` says.
pub(crate) fn of_credits(body: &[u8], now: Timestamp) -> serde_json::Result<Vec<QuotaLimit>> {
    let credits = serde_json::from_slice::<Data<Credits>>(body)?.data;
    let number = |raw: &Option<Box<RawValue>>| raw.as_deref().and_then(money::decimal);
    let (bought, used) = (number(&credits.total_credits), number(&credits.total_usage));
    Ok(vec![QuotaLimit {
        limit: bought,
        used,
        remaining: bought.zip(used).map(|(bought, used)| bought - used),
        ..limit(QuotaUnit::Credit, QuotaSource::Credits, now)
    }])
}
