//! A layer that repeats calls which may succeed a moment later.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder, Retryable};

use fusion_core::Coded;

use crate::{
    Catalog, DeltaSink, Error, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn,
    TurnRequest,
};

/// How often and after which waits a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Calls in all, the first one counted; 0 and 1 both mean no repeat.
    pub max_attempts: usize,
    /// Upper bound of the first wait; it doubles with each repeat.
    pub first_wait: Duration,
    /// Where the bound stops to grow.
    pub max_wait: Duration,
    /// The longest wait demanded by a provider that is slept through. A longer one is given
    /// back as the error, so that the caller can free its place and come back by a timer.
    pub max_demanded_wait: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_wait: Duration::from_millis(500),
            max_wait: Duration::from_secs(30),
            max_demanded_wait: Duration::from_secs(60),
        }
    }
}

impl RetryOptions {
    /// The waits between the calls: exponential with full jitter, which is a random share
    /// (0 to 1) of each step, so that callers who failed together do not come back together.
    fn waits(self) -> impl Iterator<Item = Duration> + Send + Sync + Unpin {
        let steps = ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(self.first_wait)
            .with_max_delay(self.max_wait)
            .with_max_times(self.max_attempts.saturating_sub(1));
        // backon draws from one to two steps.
        let drawn = steps.with_jitter().build();
        steps
            .build()
            .zip(drawn)
            .map(|(step, drawn)| drawn.saturating_sub(step))
    }

    fn is_worth_a_repeat(self, error: &Error) -> bool {
        error.is_transient()
            && error
                .retry_after()
                .is_none_or(|demanded| demanded <= self.max_demanded_wait)
    }
}

/// Repeats the calls of the provider inside. Only errors that
/// [are transient](Coded::is_transient) are repeated; a wait demanded by the provider is the
/// shortest wait. Each repeat is logged as a warning. The last error is given back as it is.
#[derive(Debug)]
pub struct Retrying<P> {
    inner: P,
    options: RetryOptions,
}

impl<P: Provider> Retrying<P> {
    /// Puts the layer around a provider.
    pub const fn new(inner: P, options: RetryOptions) -> Self {
        Self { inner, options }
    }

    async fn repeat<T, F>(&self, what: &str, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let mut attempt = 0_usize;
        call.retry(self.options.waits())
            .when(|error| self.options.is_worth_a_repeat(error))
            .adjust(|error: &Error, wait: Option<Duration>| {
                wait.map(|wait| wait.max(error.retry_after().unwrap_or_default()))
            })
            .notify(|error: &Error, wait: Duration| {
                attempt += 1;
                tracing::warn!(
                    attempt,
                    max_attempts = self.options.max_attempts,
                    wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    error = %error,
                    "{what} failed and is tried again"
                );
            })
            .await
    }
}

#[async_trait]
impl<P: Provider> Provider for Retrying<P> {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.repeat("looking up a model", || self.inner.spawn_agent(request))
            .await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        self.repeat("a model turn", || self.inner.send_message(request, deltas))
            .await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.repeat("asking for the quota", || self.inner.get_quota_info())
            .await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.repeat("listing the models", || self.inner.list_models())
            .await
    }
}

#[async_trait]
impl<P: Provider + ?Sized> Provider for Arc<P> {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.as_ref().spawn_agent(request).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        self.as_ref().send_message(request, deltas).await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.as_ref().get_quota_info().await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.as_ref().list_models().await
    }
}

#[cfg(test)]
mod tests;
