//! The providers of a server: what the API changes, runs use from then on.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_api::ProviderDesk;
use fusion_api_types::{Problem, ProviderTest, api};
use fusion_cli::NewProvider;
use fusion_core::ProviderConfig;
use fusion_messaging_redis::RedisBus;
use fusion_providers::Registry;
use secrecy::SecretString;

use super::add::{Draft, NewKey, NobodyToAsk};
use super::named::Named;
use super::{ask, moment};
use crate::backend::LocalBackend;
use crate::system::SystemIds;
use crate::wiring;

/// Looks after the providers of a server.
#[derive(Debug)]
pub(crate) struct Desk {
    backend: LocalBackend,
    registry: Arc<Registry>,
    /// The bus that may fail, where there is one.
    redis: Option<Arc<RedisBus>>,
}

impl Desk {
    pub(crate) const fn new(
        backend: LocalBackend,
        registry: Arc<Registry>,
        redis: Option<Arc<RedisBus>>,
    ) -> Self {
        Self {
            backend,
            registry,
            redis,
        }
    }

    /// Runs ask a stored provider from now on as its row says.
    pub(crate) fn show(&self, row: &ProviderConfig) {
        let told = self.backend.told();
        wiring::register_stored(&self.registry, self.backend.config(), row, &told);
    }

    /// The row of a new provider, in the place of another where there was one.
    fn drafted(
        &self,
        before: Option<&ProviderConfig>,
        new: &api::NewProvider,
    ) -> Result<ProviderConfig, Problem> {
        let limits = new.rate_limits.unwrap_or_default();
        let typed = NewProvider {
            name: new.name.clone(),
            vendor: new.provider_type.clone(),
            base_url: new.api_endpoint.clone(),
            key_env: None,
            allow_plain_http: new.allow_plain_http,
            allow_private_addresses: new.allow_private_addresses,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            max_concurrent: new.max_concurrent,
            replace: before.is_some(),
        };
        let draft = Draft::of(&typed)?;
        let config = self.backend.config();
        let key = match &new.credentials {
            Some(key) => NewKey::of(&SecretString::from(key.as_str()))?,
            None => draft.key(before, config, &NobodyToAsk)?,
        };
        draft.row(before.cloned(), &key, config, moment(&SystemIds::new()))
    }
}

#[async_trait]
impl ProviderDesk for Desk {
    fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    fn row(&self, new: &api::NewProvider) -> Result<ProviderConfig, Problem> {
        self.drafted(None, new)
    }

    fn replacement(
        &self,
        before: &ProviderConfig,
        new: &api::NewProvider,
    ) -> Result<ProviderConfig, Problem> {
        self.drafted(Some(before), new)
    }

    fn use_row(&self, row: &ProviderConfig) {
        self.show(row);
    }

    fn forget(&self, name: &str) {
        wiring::unregister(
            &self.registry,
            self.backend.config(),
            name,
            &self.backend.told(),
        );
    }

    async fn test(&self, row: &ProviderConfig) -> Result<ProviderTest, Problem> {
        let named = Named::Stored(Box::new(row.clone()));
        ask::test(&self.backend, &named, None).await
    }

    async fn bus_fault(&self) -> Option<String> {
        let fault = self.redis.as_ref()?.fault().await?;
        Some(fault.to_string())
    }
}
