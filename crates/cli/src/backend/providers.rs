//! The port behind `provider`.

use async_trait::async_trait;
use fusion_api_types::{
    DetectReport, ModelList, Problem, ProviderAdded, ProviderRemoved, ProviderTest, ProviderView,
    QuotaReport,
};
use secrecy::SecretString;

/// A provider to be stored, as it was typed. Its key is not in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProvider {
    /// Its name.
    pub name: String,
    /// The vendor or kind of server.
    pub vendor: Option<String>,
    /// Where it answers.
    pub base_url: Option<String>,
    /// The environment variable that holds its key.
    pub key_env: Option<String>,
    /// Plain HTTP to another machine is allowed.
    pub allow_plain_http: bool,
    /// A name that leads to a private address is allowed.
    pub allow_private_addresses: bool,
    /// Calls a minute at most.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute at most.
    pub tokens_per_minute: Option<u64>,
    /// Calls at once at most.
    pub max_concurrent: Option<u32>,
    /// One of the same name may be there.
    pub replace: bool,
}

/// Asks a person for a key.
pub trait AskKey: Send + Sync {
    /// The key that was typed, unseen; `None` where there is nobody to ask, or nothing was typed.
    fn key(&self, question: &str) -> Option<SecretString>;
}

/// Looks after model providers. No answer and no problem holds a key.
///
/// A name that does not exist is answered with the nearest one. What writes is refused while
/// another fusion-kit works in the data directory.
#[async_trait]
pub trait Providers {
    /// Stores a provider. The key comes from the variable that is named, else from the vendor's
    /// variable, else from `ask`. No request is made.
    ///
    /// # Errors
    /// The name is taken or can't be used, a setting is wrong, or a needed key is missing.
    async fn add_provider(
        &self,
        new: &NewProvider,
        ask: &dyn AskKey,
    ) -> Result<ProviderAdded, Problem>;

    /// Every provider that a workflow file can name, by name.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_providers(&self) -> Result<Vec<ProviderView>, Problem>;

    /// One provider.
    ///
    /// # Errors
    /// There is none of this name.
    async fn show_provider(&self, name: &str) -> Result<ProviderView, Problem>;

    /// Makes a real call: to this model, else to one of the provider's list.
    ///
    /// # Errors
    /// Why the provider gave no answer.
    async fn test_provider(&self, name: &str, model: Option<&str>)
    -> Result<ProviderTest, Problem>;

    /// The models on offer: the kept list where there is one and `refresh` does not ask for a new one.
    ///
    /// # Errors
    /// The provider has no such list or can't be asked.
    async fn list_models(&self, name: &str, refresh: bool) -> Result<ModelList, Problem>;

    /// What is left of its limits.
    ///
    /// # Errors
    /// The provider can't be asked.
    async fn quota(&self, name: &str) -> Result<QuotaReport, Problem>;

    /// Lets runs use a provider, or not.
    ///
    /// # Errors
    /// There is none of this name, or it is not stored.
    async fn switch_provider(&self, name: &str, enabled: bool) -> Result<ProviderView, Problem>;

    /// Takes a provider out of the store; with `force` also one that an interrupted run needs.
    ///
    /// # Errors
    /// There is none of this name, it is not stored, or a run needs it.
    async fn remove_provider(&self, name: &str, force: bool) -> Result<ProviderRemoved, Problem>;

    /// Looks for model servers on these ports of this machine, the usual ones when none is given; adds
    /// none.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn detect_servers(&self, ports: &[u16]) -> Result<DetectReport, Problem>;
}
