//! A layer that bounds what is under way at a provider, and shares it out fairly.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_core::RateLimits;

mod share;
mod window;

use crate::layer::Layer;
use crate::{DeltaSink, Error, Provider, Result, Turn, TurnRequest, estimate_input};

use share::{Bounced, Share};

/// How much may be under way at one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleOptions {
    /// Calls at the same time; at least 1. 1,000 by default: as many as agents work at once.
    pub max_concurrent: usize,
    /// Calls and tokens in any 60 seconds. No limit by default.
    pub rate: RateLimits,
}

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self {
            max_concurrent: 1_000,
            rate: RateLimits::default(),
        }
    }
}

/// Holds calls back until there is room for them. Those who wait are taken agent by agent in
/// turn, so that one with many calls does not keep out one with few.
///
/// Tokens are booked before a call as estimated (what is sent, and what may be answered at most
/// if that is said), and put right after it.
///
/// A call that is refused for a limit halves the number of calls at the same time, down to one;
/// it grows again by one with each round of calls that went well. Whoever waits here is refused
/// with it: the quota gate outside keeps them.
#[derive(Debug)]
pub struct Throttle<P> {
    inner: P,
    share: Arc<Share>,
}

impl<P: Provider> Throttle<P> {
    /// Puts the layer around a provider.
    pub fn new(inner: P, options: ThrottleOptions) -> Self {
        Self {
            inner,
            share: Arc::new(Share::new(options)),
        }
    }
}

#[async_trait]
impl<P: Provider> Layer for Throttle<P> {
    type Inner = P;

    fn inner(&self) -> &P {
        &self.inner
    }

    async fn turn(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        let tokens = estimate_input(request).saturating_add(request.max_tokens.unwrap_or(0).into());
        let permit = match self.share.enter(request.place.agent, tokens).await {
            Ok(permit) => permit,
            Err(Bounced {
                provider,
                message,
                retry_after,
            }) => {
                return Err(Error::Limited {
                    provider,
                    message,
                    retry_after,
                });
            }
        };
        let result = self.inner.send_message(request, deltas).await;
        match &result {
            Ok(turn) => permit.served(turn.usage.tokens()),
            Err(Error::Limited {
                provider,
                message,
                retry_after,
            }) => permit.refused(&Bounced {
                provider: provider.clone(),
                message: message.clone(),
                retry_after: *retry_after,
            }),
            Err(_) => drop(permit),
        }
        result
    }
}

#[cfg(test)]
mod tests;
