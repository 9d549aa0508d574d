//! How much each token may ask.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::StatusCode;
use fusion_core::ApiTokenId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::problem::{Refusal, Result};

/// Counts by the number that is in force.
type Counts = (NonZeroU32, Arc<DefaultKeyedRateLimiter<ApiTokenId>>);

/// Requests of each token in a minute, with bursts of as many.
#[derive(Debug, Default)]
pub(crate) struct Limits(RwLock<Option<Counts>>);

impl Limits {
    /// Counts a request of a token, of which so many are answered in a minute: all without a number.
    ///
    /// # Errors
    /// It is one too many: when to come again is told.
    pub(crate) fn count(&self, token: ApiTokenId, most: Option<NonZeroU32>) -> Result<()> {
        let Some(most) = most else {
            return Ok(());
        };
        let limiter = self.limiter(most);
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

    /// The counts of this number; new ones where another was in force.
    fn limiter(&self, most: NonZeroU32) -> Arc<DefaultKeyedRateLimiter<ApiTokenId>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, limiter)) = &*known
            && *number == most
        {
            return Arc::clone(limiter);
        }
        drop(known);
        let limiter = Arc::new(RateLimiter::keyed(Quota::per_minute(most)));
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some((most, Arc::clone(&limiter)));
        limiter
    }
}
