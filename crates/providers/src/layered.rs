//! All layers around one provider, in their order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rust_decimal::Decimal;

use crate::layer::Layer;
use crate::{
    Breaker, BreakerOptions, Deadline, DeltaSink, Figures, Meter, Observer, Provider, QuotaGate,
    QuotaGateOptions, Result, RetryOptions, Retrying, Tally, Throttle, ThrottleOptions, Turn,
    TurnRequest,
};

/// The settings of all layers around one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerOptions {
    /// How long callers wait for a quota: 10 minutes at most.
    pub quota: QuotaGateOptions,
    /// When a failing model is left alone: after 5 failures in a row, for 60 seconds.
    pub breaker: BreakerOptions,
    /// How much may be under way: 32 calls, without a limit per minute.
    pub throttle: ThrottleOptions,
    /// How often a call is repeated: 3 calls in all. Refused ones are left to the quota gate,
    /// whatever stands here.
    pub retry: RetryOptions,
    /// How long one call may take in all: 15 minutes. An adapter has finer limits.
    pub deadline: Duration,
    /// The used share of a quota that is worth a warning, in percent: 80.
    pub warn_at_percent: u8,
}

impl Default for LayerOptions {
    fn default() -> Self {
        Self {
            quota: QuotaGateOptions::default(),
            breaker: BreakerOptions::default(),
            throttle: ThrottleOptions::default(),
            retry: RetryOptions::default(),
            deadline: Duration::from_secs(15 * 60),
            warn_at_percent: 80,
        }
    }
}

type Stack<P> = QuotaGate<Breaker<Throttle<Retrying<Deadline<Meter<P>>>>>>;

/// A provider with its layers, from the outside: quota gate, breaker, throttle, retries,
/// deadline, meter. The layers of one provider account are shared by all who use it, so one of
/// these is made for each account. The budget, the outermost layer, belongs to a run:
/// [`crate::Budgeted`].
#[derive(Debug)]
pub struct Layered<P> {
    stack: Stack<P>,
    tally: Tally,
}

impl<P: Provider> Layered<P> {
    /// Puts the layers around the provider that is registered under this name.
    pub fn new(
        provider: P,
        name: &str,
        options: LayerOptions,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let tally = Tally::default();
        let observer = || Arc::clone(observer);
        let warn_at = Decimal::new(options.warn_at_percent.into(), 2);
        let retry = RetryOptions {
            repeats_limited_turns: false,
            ..options.retry
        };
        let stack = Meter::new(provider, name, warn_at, observer(), tally.clone());
        let stack = Deadline::new(stack, name, options.deadline);
        let stack = Retrying::observed(stack, name, retry, observer());
        let stack = Throttle::new(stack, options.throttle);
        let stack = Breaker::new(stack, name, options.breaker, observer());
        let stack = QuotaGate::new(stack, name, options.quota, observer());
        Self { stack, tally }
    }

    /// What went through since this was made.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.tally.figures()
    }

    /// The figures, to look at later.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }
}

#[async_trait]
impl<P: Provider> Layer for Layered<P> {
    type Inner = Stack<P>;

    fn inner(&self) -> &Stack<P> {
        &self.stack
    }

    async fn turn(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        self.tally.count_call();
        self.stack.send_message(request, deltas).await
    }
}

#[cfg(test)]
mod tests;
