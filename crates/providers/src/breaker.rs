//! A layer that leaves a failing model alone for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::layer::Layer;
use crate::{DeltaSink, Error, Health, Notice, Observer, Provider, Result, Turn, TurnRequest};

/// When a circuit opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Failures in a row that open it. 5 by default.
    pub failures: u32,
    /// How long nobody asks. 60 seconds by default.
    pub pause: Duration,
    /// The pause doubles with each probe that fails, up to this. 5 minutes by default.
    pub max_pause: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failures: 5,
            pause: Duration::from_secs(60),
            max_pause: Duration::from_secs(5 * 60),
        }
    }
}

/// While a probe is under way nobody knows when it will be over: come back in a second.
const PROBING: Duration = Duration::from_secs(1);

/// Counts the failures of each model in a row that speak against its server
/// ([`Error::health`]: no connection, 5xx, a cut or garbled answer, a timeout). After too many,
/// calls fail at once with [`Error::Paused`]; when the pause is over, one call is let through as a
/// probe, and its outcome opens the circuit again for twice as long or closes it.
#[derive(Debug)]
pub struct Breaker<P> {
    inner: P,
    provider: String,
    options: BreakerOptions,
    observer: Arc<dyn Observer>,
    circuits: Mutex<BTreeMap<String, Circuit>>,
}

#[derive(Debug, Clone)]
enum Circuit {
    Closed { failures: u32 },
    Open(Pause),
    Probing(Pause),
}

#[derive(Debug, Clone)]
struct Pause {
    until: Instant,
    length: Duration,
    failures: u32,
    last: String,
}

impl<P: Provider> Breaker<P> {
    /// Puts the layer around the provider of this name.
    pub fn new(
        inner: P,
        provider: impl Into<String>,
        options: BreakerOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            inner,
            provider: provider.into(),
            options,
            observer,
            circuits: Mutex::default(),
        }
    }

    // A poisoned lock still holds whole circuits: each is replaced in one step.
    fn circuits(&self) -> MutexGuard<'_, BTreeMap<String, Circuit>> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, or says how long to stay away.
    fn admit<'a>(&'a self, model: &'a str) -> Result<Pass<'a, P>> {
        let now = Instant::now();
        let mut circuits = self.circuits();
        let (is_probe, refused) = match circuits.get(model) {
            None | Some(Circuit::Closed { .. }) => (false, None),
            Some(Circuit::Open(pause)) if pause.until > now => {
                (false, Some((pause, pause.until - now)))
            }
            Some(Circuit::Open(_)) => (true, None),
            Some(Circuit::Probing(pause)) => (false, Some((pause, PROBING))),
        };
        if let Some((pause, retry_after)) = refused {
            return Err(Error::Paused {
                provider: self.provider.clone(),
                failures: pause.failures,
                last: pause.last.clone(),
                retry_after,
            });
        }
        if let (true, Some(circuit)) = (is_probe, circuits.get_mut(model))
            && let Circuit::Open(pause) = circuit
        {
            *circuit = Circuit::Probing(pause.clone());
        }
        Ok(Pass {
            breaker: self,
            model,
            is_probe,
        })
    }

    /// The model answered, if only with a refusal.
    fn answered(&self, model: &str, is_probe: bool) {
        let mut circuits = self.circuits();
        let was_probed = match circuits.get(model) {
            Some(Circuit::Probing(_)) if is_probe => true,
            Some(Circuit::Closed { .. }) => false,
            // An answer to a call from before the pause says nothing about now.
            Some(Circuit::Open(_) | Circuit::Probing(_)) | None => return,
        };
        circuits.remove(model);
        drop(circuits);
        if was_probed {
            tracing::info!(provider = self.provider, model, "the model answers again");
            self.observer.notice(Notice::CircuitClosed {
                provider: self.provider.clone(),
                model: model.to_owned(),
            });
        }
    }

    fn failed(&self, model: &str, is_probe: bool, error: &Error) {
        let mut circuits = self.circuits();
        let circuit = circuits
            .entry(model.to_owned())
            .or_insert(Circuit::Closed { failures: 0 });
        let (failures, length) = match circuit {
            Circuit::Closed { failures } => {
                *failures = failures.saturating_add(1);
                if *failures < self.options.failures {
                    return;
                }
                (*failures, self.options.pause)
            }
            Circuit::Probing(pause) if is_probe => (
                pause.failures.saturating_add(1),
                pause.length.saturating_mul(2).min(self.options.max_pause),
            ),
            Circuit::Open(_) | Circuit::Probing(_) => return,
        };
        *circuit = Circuit::Open(Pause {
            until: Instant::now() + length,
            length,
            failures,
            last: error.to_string(),
        });
        drop(circuits);
        tracing::warn!(
            provider = self.provider,
            model,
            failures,
            pause_s = length.as_secs(),
            %error,
            "the model failed too often and is left alone"
        );
        self.observer.notice(Notice::CircuitOpened {
            provider: self.provider.clone(),
            model: model.to_owned(),
            failures,
            pause: length,
            failure: error.kind(),
        });
    }

    /// A probe that says nothing: the next call is one.
    fn undecided(&self, model: &str) {
        if let Some(circuit) = self.circuits().get_mut(model)
            && let Circuit::Probing(pause) = circuit
        {
            *circuit = Circuit::Open(pause.clone());
        }
    }
}

/// The right to make one call.
struct Pass<'a, P: Provider> {
    breaker: &'a Breaker<P>,
    model: &'a str,
    is_probe: bool,
}

impl<P: Provider> Pass<'_, P> {
    fn settle(mut self, result: &Result<Turn>) {
        match result.as_ref().map_or_else(Error::health, |_| Health::Good) {
            Health::Good => self.breaker.answered(self.model, self.is_probe),
            Health::Bad => {
                if let Err(error) = result {
                    self.breaker.failed(self.model, self.is_probe, error);
                }
            }
            Health::Untold => return,
        }
        self.is_probe = false;
    }
}

/// A probe that was cut off decides nothing.
impl<P: Provider> Drop for Pass<'_, P> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.undecided(self.model);
        }
    }
}

#[async_trait]
impl<P: Provider> Layer for Breaker<P> {
    type Inner = P;

    fn inner(&self) -> &P {
        &self.inner
    }

    async fn turn(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn> {
        let pass = self.admit(request.model)?;
        let result = self.inner.send_message(request, deltas).await;
        pass.settle(&result);
        result
    }
}

#[cfg(test)]
mod tests;
