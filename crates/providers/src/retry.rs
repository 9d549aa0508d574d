//! A layer that repeats calls which may succeed a moment later.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;

use fusion_core::{Coded, Usage};

use crate::{
    Catalog, DeltaSink, Error, ModelInfo, ModelRequest, NoObserver, Notice, Observer, Provider,
    QuotaInfo, Result, Turn, TurnRequest,
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
    /// Whether a turn that was refused for a limit is repeated. Not inside a
    /// [`QuotaGate`](crate::QuotaGate), which keeps all callers until the limit is over.
    pub repeats_limited_turns: bool,
    /// How long a server that loads its model is asked again, every second. 120 seconds by default.
    pub loading: Duration,
}

/// Between two questions to a server that loads its model.
const LOADING_WAIT: Duration = Duration::from_secs(1);

/// How long the cost of a lost call is asked for: a repeat waits no longer for it.
const ASKING: Duration = Duration::from_secs(10);

/// The shortest wait for a server that says it has too much to do (529).
const OVERLOADED_WAIT: Duration = Duration::from_secs(2);

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_wait: Duration::from_millis(500),
            max_wait: Duration::from_secs(30),
            max_demanded_wait: Duration::from_secs(60),
            repeats_limited_turns: true,
            loading: Duration::from_secs(120),
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
/// [are transient](Coded::is_transient) are repeated, an answer that can't be read only once; a
/// wait demanded by the provider is the shortest wait. A server that still loads its model is
/// asked again for [`RetryOptions::loading`]. Each repeat is told to the observer and logged as a
/// warning. The last error is given back as it is.
///
/// A repeat asks the same question anew: nobody has acted on an answer that did not come whole,
/// and what was shown of it is taken back ([`crate::Delta::Discarded`]).
///
/// After an attempt that [may be billed](Error::may_be_billed) the provider is asked what it cost,
/// for 10 seconds at most, and the caller is told ([`DeltaSink::lost`]), whether the call is repeated or
/// not. It is not where the caller has no room for another one.
#[derive(Debug)]
pub struct Retrying<P> {
    inner: P,
    options: RetryOptions,
    provider: String,
    observer: Arc<dyn Observer>,
}

/// What is repeated.
#[derive(Clone, Copy)]
enum Call<'a> {
    Turn(&'a TurnRequest<'a>, &'a dyn DeltaSink),
    LookUp(&'static str),
}

impl Call<'_> {
    const fn name(self) -> &'static str {
        match self {
            Self::Turn(..) => "a model turn",
            Self::LookUp(what) => what,
        }
    }
}

/// What became of the calls so far.
struct Course<W> {
    waits: W,
    start: Instant,
    calls: u32,
    garbled: bool,
}

impl<P: Provider> Retrying<P> {
    /// Puts the layer around a provider. Nobody hears of repeats.
    pub fn new(inner: P, options: RetryOptions) -> Self {
        Self::observed(inner, String::new(), options, Arc::new(NoObserver))
    }

    /// Puts the layer around the provider of this name and tells of each repeat.
    pub fn observed(
        inner: P,
        provider: impl Into<String>,
        options: RetryOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            inner,
            options,
            provider: provider.into(),
            observer,
        }
    }

    async fn repeat<T, F>(&self, what: Call<'_>, call: impl Fn() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let mut course = Course {
            waits: self.options.waits(),
            start: Instant::now(),
            calls: 0,
            garbled: false,
        };
        loop {
            let error = match call().await {
                Ok(given) => return Ok(given),
                Err(error) => error,
            };
            course.calls += 1;
            let has_room = self.settle(what, &error).await;
            let wait = self.wait_after(what, &error, &mut course);
            let Some(wait) = wait.filter(|_| has_room) else {
                return Err(error);
            };
            self.tell(what, &error, course.calls, wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells the caller what a lost call cost; whether another one may be made.
    async fn settle(&self, what: Call<'_>, error: &Error) -> bool {
        match what {
            Call::Turn(_, deltas) if error.may_be_billed() => {
                deltas.lost(self.cost_of(error).await)
            }
            Call::Turn(..) | Call::LookUp(_) => true,
        }
    }

    /// What the call that failed so cost; `None` where nobody can say.
    async fn cost_of(&self, error: &Error) -> Option<Usage> {
        let id = error.generation_id()?;
        let asked = tokio::time::timeout(ASKING, self.inner.get_generation(id)).await;
        match asked {
            Ok(Ok(usage)) => usage,
            Ok(Err(problem)) => {
                tracing::debug!(id, %problem, "the cost of a lost call can't be had");
                None
            }
            Err(_) => None,
        }
    }

    /// How long to wait before the next call; `None` for no further call.
    fn wait_after(
        &self,
        what: Call<'_>,
        error: &Error,
        course: &mut Course<impl Iterator<Item = Duration>>,
    ) -> Option<Duration> {
        if error.is_loading() {
            return (course.start.elapsed() < self.options.loading).then_some(LOADING_WAIT);
        }
        let is_left_to_the_gate = matches!(
            (what, error),
            (Call::Turn(..), Error::Limited { .. }) if !self.options.repeats_limited_turns
        );
        if is_left_to_the_gate || !self.options.is_worth_a_repeat(error) {
            return None;
        }
        if matches!(error, Error::Malformed { .. }) && std::mem::replace(&mut course.garbled, true)
        {
            return None;
        }
        let own = course.waits.next()?;
        let least = match error.status() {
            Some(529) => OVERLOADED_WAIT,
            Some(_) | None => Duration::ZERO,
        };
        Some(own.max(least).max(error.retry_after().unwrap_or_default()))
    }

    fn tell(&self, what: Call<'_>, error: &Error, attempt: u32, wait: Duration) {
        tracing::warn!(
            attempt,
            max_attempts = self.options.max_attempts,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            error = %error,
            "{} failed and is tried again",
            what.name()
        );
        let (model, agent) = match what {
            Call::Turn(request, _) => (
                Some(request.model.to_owned()),
                Some(request.place.agent.to_owned()),
            ),
            Call::LookUp(_) => (None, None),
        };
        self.observer.notice(Notice::Retry {
            provider: self.provider.clone(),
            model,
            agent,
            attempt,
            wait,
            failure: error.kind(),
            status: error.status(),
        });
    }
}

#[async_trait]
impl<P: Provider> Provider for Retrying<P> {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.repeat(Call::LookUp("looking up a model"), || {
            self.inner.spawn_agent(request)
        })
        .await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        self.repeat(Call::Turn(request, deltas), || {
            self.inner.send_message(request, deltas)
        })
        .await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.repeat(Call::LookUp("asking for the quota"), || {
            self.inner.get_quota_info()
        })
        .await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.repeat(Call::LookUp("listing the models"), || {
            self.inner.list_models()
        })
        .await
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.inner.get_generation(id).await
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.inner.told_quota()
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

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.as_ref().get_generation(id).await
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.as_ref().told_quota()
    }
}

#[cfg(test)]
mod lost_calls_tests;
#[cfg(test)]
mod tests;
