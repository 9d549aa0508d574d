//! A layer that ends calls which take too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::Usage;

use crate::{
    Catalog, Delta, DeltaSink, Error, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn,
    TurnRequest,
};

/// Gives each call a total time. An adapter has finer limits (to connect, to the first word,
/// between two words); this one holds when an answer never stops coming.
#[derive(Debug)]
pub struct Deadline<P> {
    inner: P,
    provider: String,
    limit: Duration,
}

impl<P: Provider> Deadline<P> {
    /// Puts the layer around the provider of this name.
    pub fn new(inner: P, provider: impl Into<String>, limit: Duration) -> Self {
        Self {
            inner,
            provider: provider.into(),
            limit,
        }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        tokio::time::timeout(self.limit, call)
            .await
            .unwrap_or_else(|_| {
                Err(Error::Timeout {
                    provider: self.provider.clone(),
                    limit: self.limit,
                    generation_id: None,
                })
            })
    }
}

#[async_trait]
impl<P: Provider> Provider for Deadline<P> {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.within(self.inner.spawn_agent(request)).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let watched = Watched {
            deltas,
            shows: AtomicBool::new(false),
        };
        let turn = self
            .within(self.inner.send_message(request, &watched))
            .await;
        if turn.is_err() && watched.shows.load(Ordering::Relaxed) {
            deltas.take(Delta::Discarded);
        }
        turn
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.within(self.inner.get_quota_info()).await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.within(self.inner.list_models()).await
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.within(self.inner.get_generation(id)).await
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.inner.told_quota()
    }
}

/// Passes deltas on and knows whether any of them still stand.
struct Watched<'a> {
    deltas: &'a dyn DeltaSink,
    shows: AtomicBool,
}

impl DeltaSink for Watched<'_> {
    fn take(&self, delta: Delta<'_>) {
        self.shows
            .store(delta != Delta::Discarded, Ordering::Relaxed);
        self.deltas.take(delta);
    }

    fn began(&self, generation: &str) {
        self.deltas.began(generation);
    }

    fn lost(&self, cost: Option<Usage>) -> bool {
        self.deltas.lost(cost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use fusion_core::{Coded, ErrorCode};

    use super::Deadline;
    use crate::double::{Answer, Double, request};
    use crate::{Delta, DeltaSink, NoDeltas, Provider};

    const LIMIT: Duration = Duration::from_secs(900);

    #[derive(Debug, Default)]
    struct Seen(Mutex<Vec<String>>);

    impl DeltaSink for Seen {
        fn take(&self, delta: Delta<'_>) {
            self.0.lock().unwrap().push(format!("{delta:?}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_ends_is_a_timeout_and_what_was_shown_is_taken_back() {
        let double = Double::new([Answer::yes()
            .after(LIMIT + Duration::from_secs(1))
            .showing("on")]);
        let seen = Seen::default();
        let error = Deadline::new(double, "p", LIMIT)
            .send_message(&request("m", "a"), &seen)
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert_eq!(error.to_string(), "p gave no complete answer within 900 s");
        assert_eq!(*seen.0.lock().unwrap(), ["Text(\"on\")", "Discarded"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_passed_on() {
        let double = Double::new([Answer::yes().after(LIMIT - Duration::from_secs(1))]);
        let turn = Deadline::new(double, "p", LIMIT)
            .send_message(&request("m", "a"), &NoDeltas)
            .await;
        assert_eq!(turn.unwrap().text, "yes");
    }
}
