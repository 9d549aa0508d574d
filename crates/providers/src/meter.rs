//! A layer that counts, and says who served a turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::Usage;
use rust_decimal::Decimal;
use tokio::time::Instant;

use crate::{
    Catalog, CostSource, DeltaSink, ModelInfo, ModelRequest, Notice, Observer, Price, Provider,
    QuotaInfo, QuotaLimit, QuotaUnit, Result, Turn, TurnRequest,
};

/// What went through a provider since the program started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Turns that were asked for.
    pub calls: u64,
    /// Calls that were made for them: repeats and probes count.
    pub attempts: u64,
    /// Calls that gave no turn.
    pub failures: u64,
    /// Calls that were refused for a limit: they count as failures too.
    pub limited: u64,
    /// Tokens and money of the turns that were given, and of lost calls where the provider tells.
    pub usage: Usage,
    /// Time of all calls together.
    pub time: Duration,
    /// The longest call.
    pub longest: Duration,
}

impl Figures {
    /// The time of one call on average.
    #[must_use]
    pub fn mean(&self) -> Duration {
        match u32::try_from(self.attempts) {
            Ok(attempts) if attempts > 0 => self.time / attempts,
            Ok(_) | Err(_) => Duration::ZERO,
        }
    }
}

/// Figures that are still counted. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Figures>>);

impl Tally {
    /// The figures as they are now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        *self.lock()
    }

    pub(crate) fn count_call(&self) {
        self.lock().calls += 1;
    }

    // Counting can't stop half way: a poisoned lock still holds figures.
    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts calls, tokens, money and time; writes the provider's name into each turn; computes the
/// cost from the price where the provider tells none; warns once when most of a told quota is
/// used.
#[derive(Debug)]
pub struct Meter<P> {
    inner: P,
    provider: String,
    warn_at: Decimal,
    observer: Arc<dyn Observer>,
    tally: Tally,
    prices: Mutex<BTreeMap<String, Price>>,
    warned: Mutex<BTreeMap<(QuotaUnit, Option<String>), bool>>,
}

impl<P: Provider> Meter<P> {
    /// Puts the layer around the provider of this name. `warn_at` is the used share of a quota,
    /// 0 to 1, that is worth a warning.
    pub fn new(
        inner: P,
        provider: impl Into<String>,
        warn_at: Decimal,
        observer: Arc<dyn Observer>,
        tally: Tally,
    ) -> Self {
        Self {
            inner,
            provider: provider.into(),
            warn_at,
            observer,
            tally,
            prices: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    fn count(&self, took: Duration, result: &Result<Turn>) {
        let mut figures = self.tally.lock();
        figures.attempts += 1;
        figures.time = figures.time.saturating_add(took);
        figures.longest = figures.longest.max(took);
        match result {
            Ok(turn) => figures.usage += turn.usage,
            Err(error) => {
                figures.failures += 1;
                figures.limited += u64::from(matches!(error, crate::Error::Limited { .. }));
            }
        }
    }

    /// The turn with its provider's name, and with a computed cost where it has none.
    fn completed(&self, mut turn: Turn, asked: &str) -> Turn {
        turn.served_by = Some(self.provider.clone());
        if turn.cost_source == CostSource::Unknown {
            let prices = self.prices.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(price) = prices.get(&turn.model).or_else(|| prices.get(asked)) {
                turn.usage.cost = price.of(&turn.usage);
                turn.cost_source = CostSource::Computed;
            }
        }
        turn
    }

    fn look_at(&self, quota: &QuotaInfo) {
        for limit in &quota.limits {
            let Some((all, left)) = known(limit) else {
                continue;
            };
            let is_low = all - left >= all * self.warn_at;
            let key = (limit.unit, limit.window.clone());
            let was_low = {
                let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
                warned.insert(key, is_low).unwrap_or_default()
            };
            if is_low && !was_low {
                self.observer.notice(Notice::QuotaWarning {
                    provider: self.provider.clone(),
                    unit: limit.unit,
                    window: limit.window.clone(),
                    limit: all,
                    remaining: left,
                });
            }
        }
    }
}

/// The size of a limit and what is left of it, where both are told.
fn known(limit: &QuotaLimit) -> Option<(Decimal, Decimal)> {
    let all = limit.limit.filter(|all| *all > Decimal::ZERO)?;
    let left = limit
        .remaining
        .or_else(|| limit.used.map(|used| all - used))?;
    Some((all, left))
}

#[async_trait]
impl<P: Provider> Provider for Meter<P> {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        let info = self.inner.spawn_agent(request).await?;
        if let Some(price) = info.price {
            self.prices
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(info.model.clone(), price);
        }
        Ok(info)
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let start = Instant::now();
        let result = self
            .inner
            .send_message(request, deltas)
            .await
            .map(|turn| self.completed(turn, request.model));
        self.count(start.elapsed(), &result);
        if let Some(quota) = self.inner.told_quota() {
            self.look_at(&quota);
        }
        result
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        let quota = self.inner.get_quota_info().await?;
        self.look_at(&quota);
        Ok(quota)
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.inner.list_models().await
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        let usage = self.inner.get_generation(id).await?;
        self.tally.lock().usage += usage.unwrap_or_default();
        Ok(usage)
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.inner.told_quota()
    }
}

#[cfg(test)]
mod tests;
