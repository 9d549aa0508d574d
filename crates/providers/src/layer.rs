//! What most layers share: they act on turns and let the look-ups through.

use std::fmt;

use async_trait::async_trait;
use fusion_core::Usage;

use crate::{
    Catalog, DeltaSink, ModelInfo, ModelRequest, Provider, QuotaInfo, Result, Turn, TurnRequest,
};

/// A layer that acts on turns only. Looking up a model, the list of models and the quota are no
/// turns: they go to the provider inside.
#[async_trait]
pub(crate) trait Layer: Send + Sync + fmt::Debug {
    /// What it is around.
    type Inner: Provider;

    /// What it is around.
    fn inner(&self) -> &Self::Inner;

    /// [`Provider::send_message`].
    async fn turn(&self, request: &TurnRequest<'_>, deltas: &dyn DeltaSink) -> Result<Turn>;
}

#[async_trait]
impl<L: Layer> Provider for L {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        self.inner().spawn_agent(request).await
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        self.turn(request, deltas).await
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        self.inner().get_quota_info().await
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        self.inner().list_models().await
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.inner().get_generation(id).await
    }

    fn told_quota(&self) -> Option<QuotaInfo> {
        self.inner().told_quota()
    }
}
