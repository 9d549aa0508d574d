//! What the API needs of providers and can't do itself: keys and connections are the binary's.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_api_types::api::NewProvider;
use fusion_api_types::{Problem, ProviderTest};
use fusion_core::ProviderConfig;
use fusion_providers::Registry;

/// Looks after the providers of this process.
#[async_trait]
pub trait ProviderDesk: std::fmt::Debug + Send + Sync {
    /// The providers that runs of this process ask.
    fn registry(&self) -> &Arc<Registry>;

    /// The row of a new provider, its key sealed; nothing is stored yet and nobody is asked.
    ///
    /// # Errors
    /// A setting is wrong, or a needed key is missing.
    fn row(&self, new: &NewProvider) -> Result<ProviderConfig, Problem>;

    /// The row that takes the place of another of the same name. Without a key in `new` that of the row
    /// before stays, where the base URL is the same; nothing is stored yet and nobody is asked.
    ///
    /// # Errors
    /// As [`row`](Self::row).
    fn replacement(
        &self,
        before: &ProviderConfig,
        new: &NewProvider,
    ) -> Result<ProviderConfig, Problem>;

    /// Runs ask the provider from now on as its row says.
    fn use_row(&self, row: &ProviderConfig);

    /// A provider was taken away: what is built in under its name is asked again, or nothing.
    fn forget(&self, name: &str);

    /// Makes a real call.
    ///
    /// # Errors
    /// Why the provider gave no answer.
    async fn test(&self, row: &ProviderConfig) -> Result<ProviderTest, Problem>;

    /// What is wrong with the bus, where something is: work goes on without it.
    async fn bus_fault(&self) -> Option<String>;
}
