//! How much each token may ask.

use std::num::NonZeroU32;

use axum::http::StatusCode;
use fusion_core::ApiTokenId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::problem::{Refusal, Result};

/// Requests of each token in a minute, with bursts of as many.
#[derive(Debug)]
pub(crate) struct Limits(Option<DefaultKeyedRateLimiter<ApiTokenId>>);

impl Limits {
    /// Without a number nothing is limited.
    pub(crate) fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self(per_minute.map(|number| RateLimiter::keyed(Quota::per_minute(number))))
    }

    /// Counts a request of a token.
    ///
    /// # Errors
    /// It is one too many: when to come again is told.
    pub(crate) fn count(&self, token: ApiTokenId) -> Result<()> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        limiter.check_key(&token).map_err(|not_yet| {
            let wait = not_yet.wait_time_from(DefaultClock::default().now());
            Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "limited",
                "the token has asked as much as it may in a minute",
            )
            .retry_after(wait)
        })
    }
}
