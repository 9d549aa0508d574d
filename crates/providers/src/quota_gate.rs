//! A layer that keeps everyone waiting while a provider's quota is used up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::{Instant, sleep_until};

use crate::layer::Layer;
use crate::{DeltaSink, Error, Notice, Observer, Provider, Result, Turn, TurnRequest};

/// How long callers wait for a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaGateOptions {
    /// A caller that would wait longer than this is told so instead. 10 minutes by default.
    pub max_wait: Duration,
    /// How long the gate stays closed when the provider names no time; it doubles each time in a
    /// row. 1 second by default.
    pub first_pause: Duration,
    /// Where this stops to grow. 60 seconds by default.
    pub max_pause: Duration,
}

impl Default for QuotaGateOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(10 * 60),
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
        }
    }
}

/// A provider that asks for more than a day is asked again after a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// Waits for a limit instead of failing. The first call that is refused for a limit
/// ([`Error::Limited`]) closes the gate for everyone at this provider until the time that the
/// provider names. Then the caller who waits longest asks alone; when it is served, the others
/// follow in the order they came, else the gate stays closed for another window.
///
/// [`Error::Limited`] is given back to a caller that would have to wait longer than
/// [`QuotaGateOptions::max_wait`], or that [may not wait](TurnRequest::may_wait).
#[derive(Debug)]
pub struct QuotaGate<P> {
    inner: P,
    provider: String,
    options: QuotaGateOptions,
    observer: Arc<dyn Observer>,
    /// Who waits, in order: this lock is fair.
    line: Mutex<()>,
    closed: watch::Sender<Option<Closed>>,
}

#[derive(Debug, Clone)]
struct Closed {
    until: Instant,
    /// Windows in a row without a time that the provider named.
    untold: u32,
    /// The provider's words.
    message: String,
}

impl<P: Provider> QuotaGate<P> {
    /// Puts the layer around the provider of this name.
    pub fn new(
        inner: P,
        provider: impl Into<String>,
        options: QuotaGateOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            inner,
            provider: provider.into(),
            options,
            observer,
            line: Mutex::new(()),
            closed: watch::Sender::new(None),
        }
    }

    fn closed(&self) -> Option<Closed> {
        self.closed.borrow().clone()
    }

    /// What a caller is told who does not wait.
    fn refusal(&self, closed: &Closed) -> Error {
        Error::Limited {
            provider: self.provider.clone(),
            message: closed.message.clone(),
            retry_after: Some(closed.until.saturating_duration_since(Instant::now())),
        }
    }

    /// The first place in the line, once it is this caller's turn.
    async fn in_line(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>> {
        tokio::select! {
            biased;
            place = self.line.lock() => Ok(place),
            closed = self.too_late(deadline) => Err(self.refusal(&closed)),
        }
    }

    /// Ends when waiting is of no use: the gate is closed beyond the deadline, or this is over.
    async fn too_late(&self, deadline: Instant) -> Closed {
        let mut closed = self.closed.subscribe();
        let beyond = async {
            let is_beyond = |closed: &Option<Closed>| {
                closed
                    .as_ref()
                    .is_some_and(|closed| closed.until > deadline)
            };
            closed
                .wait_for(is_beyond)
                .await
                .ok()
                .and_then(|closed| closed.clone())
        };
        let found = tokio::select! {
            found = beyond => found,
            () = sleep_until(deadline) => self.closed(),
        };
        found.unwrap_or_else(|| Closed {
            until: Instant::now(),
            untold: 0,
            message: "too many calls wait for it".to_owned(),
        })
    }

    /// The provider refused a call for a limit; `is_probe` when the gate was closed before.
    fn close(&self, error: &Error, is_probe: bool) {
        let Error::Limited {
            message,
            retry_after,
            ..
        } = error
        else {
            return;
        };
        let now = Instant::now();
        let mut opened = None;
        self.closed.send_modify(|closed| {
            let untold = match (&closed, retry_after) {
                (_, Some(_)) | (None, None) => 0,
                (Some(closed), None) if is_probe => closed.untold.saturating_add(1),
                // One of those that were under way when the gate closed.
                (Some(_), None) => return,
            };
            let pause =
                retry_after.map_or_else(|| self.pause(untold), |told| told.min(LONGEST_PAUSE));
            let until = match &closed {
                Some(closed) if !is_probe => closed.until.max(now + pause),
                Some(_) | None => now + pause,
            };
            if closed.is_none() {
                opened = Some(pause);
            }
            *closed = Some(Closed {
                until,
                untold,
                message: message.clone(),
            });
        });
        if let Some(pause) = opened {
            tracing::warn!(
                provider = self.provider,
                pause_s = pause.as_secs(),
                "the provider limits the requests; its callers wait"
            );
            self.observer.notice(Notice::QuotaClosed {
                provider: self.provider.clone(),
                pause,
            });
        }
    }

    fn pause(&self, untold: u32) -> Duration {
        let factor = 2_u32.saturating_pow(untold);
        self.options
            .first_pause
            .saturating_mul(factor)
            .min(self.options.max_pause)
    }

    /// Asks without waiting for anybody.
    async fn at_once(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        let place = self.line.try_lock();
        let closed = self.closed();
        let is_probe = match (&closed, &place) {
            (Some(closed), Ok(_)) if closed.until <= Instant::now() => true,
            (Some(closed), _) => return Err(self.refusal(closed)),
            (None, _) => false,
        };
        let _held = place.ok().filter(|_| is_probe);
        let result = self.inner.send_message(request, deltas).await;
        self.judge(&result, is_probe);
        result
    }

    /// Closes or opens the gate by what a call brought; says whether it was refused for a limit.
    fn judge(&self, result: &Result<Turn>, is_probe: bool) -> bool {
        match result {
            Err(error @ Error::Limited { .. }) => {
                self.close(error, is_probe);
                true
            }
            Ok(_) | Err(_) => {
                if is_probe {
                    self.closed.send_replace(None);
                }
                false
            }
        }
    }
}

#[async_trait]
impl<P: Provider> Layer for QuotaGate<P> {
    type Inner = P;

    fn inner(&self) -> &P {
        &self.inner
    }

    async fn turn(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        if !request.may_wait {
            return self.at_once(request, deltas).await;
        }
        let deadline = Instant::now() + self.options.max_wait;
        let mut place = Some(self.in_line(deadline).await?);
        loop {
            let closed = self.closed();
            if let Some(closed) = &closed {
                if closed.until > deadline {
                    return Err(self.refusal(closed));
                }
                if closed.until > Instant::now() {
                    sleep_until(closed.until).await;
                    // Somebody who was still under way may have been told a later time.
                    continue;
                }
            } else {
                // The gate is open: the next one may go too.
                place = None;
            }
            let result = self.inner.send_message(request, deltas).await;
            if !self.judge(&result, closed.is_some()) {
                return result;
            }
            if place.is_none() {
                place = Some(self.in_line(deadline).await?);
            }
        }
    }
}

#[cfg(test)]
mod tests;
