//! The wait that a server asks for.

use std::time::Duration;

use chrono::{DateTime, Datelike, Months, NaiveTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// A longer one is not believed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What the body of an error says about waiting.
#[derive(Debug, Default)]
pub(crate) struct BodyHints {
    /// Seconds.
    pub(crate) retry_after: Option<f64>,
    /// As the header `X-RateLimit-Reset`.
    pub(crate) reset: Option<f64>,
}

/// The shortest wait that the server asks for; `None` for no, a senseless or a zero one.
///
/// Moments are measured against the server's own `Date`, never against our clock.
pub(crate) fn demanded(headers: &HeaderMap, hints: &BodyHints) -> Option<Duration> {
    let milliseconds = number(headers, "retry-after-ms").map(|milliseconds| milliseconds / 1_000.0);
    milliseconds
        .or_else(|| number(headers, RETRY_AFTER.as_str()))
        .or_else(|| {
            until(
                headers,
                date(headers, RETRY_AFTER.as_str())?.timestamp_millis(),
            )
        })
        .or(hints.retry_after)
        .or_else(|| {
            reset(
                headers,
                number(headers, "x-ratelimit-reset").or(hints.reset)?,
            )
        })
        .filter(|seconds| *seconds > 0.0)
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST))
        })
}

/// The time until a budget is full again, measured like the others.
pub(crate) fn until_reset(headers: &HeaderMap, moment: DateTime<Utc>) -> Option<Duration> {
    let seconds = until(headers, moment.timestamp_millis())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|wait| wait.min(LONGEST))
}

/// The time until the first of the next month, 00:00 UTC, or until somebody asks again before that.
pub(crate) fn until_next_month(headers: &HeaderMap) -> Duration {
    let next_month = || {
        let today = date(headers, DATE.as_str())?.date_naive();
        let first = today.with_day(1)?.checked_add_months(Months::new(1))?;
        until_reset(headers, first.and_time(NaiveTime::MIN).and_utc())
    };
    next_month().unwrap_or(LONGEST)
}

/// Seconds until a reset given in Unix milliseconds, Unix seconds or seconds from now: their
/// sizes are too far apart to be mistaken.
fn reset(headers: &HeaderMap, reset: f64) -> Option<f64> {
    let now = date(headers, DATE.as_str())?.timestamp() as f64;
    Some(match reset {
        reset if reset > 1e11 => reset / 1_000.0 - now,
        reset if reset > 1e9 => reset - now,
        reset => reset,
    })
}

fn until(headers: &HeaderMap, moment_ms: i64) -> Option<f64> {
    let now = date(headers, DATE.as_str())?.timestamp_millis();
    Some(moment_ms.saturating_sub(now) as f64 / 1_000.0)
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.parse().ok()
}

fn date(headers: &HeaderMap, name: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text(headers, name)?)
        .ok()
        .map(|date| date.to_utc())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{BodyHints, demanded};

    type Headers<'a> = &'a [(&'static str, &'static str)];

    fn seconds(headers: Headers<'_>, hints: &BodyHints) -> Option<f64> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        demanded(&headers, hints).map(|wait: Duration| wait.as_secs_f64())
    }

    const NOW: (&str, &str) = ("date", "Mon, 23 Nov 2026 15:00:00 GMT");

    #[test]
    fn every_form_of_a_demanded_wait_is_read() {
        let none = BodyHints::default();
        let cases: &[(Headers<'_>, Option<f64>)] = &[
            (&[], None),
            (&[("retry-after", "7")], Some(7.0)),
            (&[("retry-after", "1.5")], Some(1.5)),
            (
                &[("retry-after", "7"), ("retry-after-ms", "250")],
                Some(0.25),
            ),
            (
                &[("retry-after", "Mon, 23 Nov 2026 15:00:40 GMT"), NOW],
                Some(40.0),
            ),
            (&[("retry-after", "Mon, 23 Nov 2026 15:00:40 GMT")], None),
            (
                &[("retry-after", "Mon, 23 Nov 2026 14:00:00 GMT"), NOW],
                None,
            ),
            (&[("retry-after", "0")], None),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "abc")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "1e300")], Some(86_400.0)),
            (&[("retry-after", "1000000000")], Some(86_400.0)),
            (&[("x-ratelimit-reset", "1795446030000"), NOW], Some(30.0)),
            (&[("x-ratelimit-reset", "1795446030"), NOW], Some(30.0)),
            (&[("x-ratelimit-reset", "30"), NOW], Some(30.0)),
        ];
        for (headers, expected) in cases {
            assert_eq!(seconds(headers, &none), *expected, "{headers:?}");
        }
    }

    #[test]
    fn the_body_is_read_where_the_headers_are_silent() {
        let hints = BodyHints {
            retry_after: Some(40.0),
            reset: Some(1_795_446_030_000.0),
        };
        assert_eq!(seconds(&[], &hints), Some(40.0));
        assert_eq!(seconds(&[("retry-after", "7")], &hints), Some(7.0));
        let only_reset = BodyHints {
            retry_after: None,
            ..hints
        };
        assert_eq!(seconds(&[NOW], &only_reset), Some(30.0));
    }
}
