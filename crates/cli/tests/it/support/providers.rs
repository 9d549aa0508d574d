//! What the fake backend says of providers.

use async_trait::async_trait;
use fusion_api_types::{
    DetectReport, ModelList, Problem, ProviderAdded, ProviderList, ProviderRemoved, ProviderTest,
    ProviderView, QuotaReport,
};
use fusion_cli::{AskKey, NewProvider, Providers};
use secrecy::ExposeSecret;

use super::Fake;

#[async_trait]
impl Providers for Fake {
    /// Asks for a key, and answers with what was typed in place of nothing.
    async fn add_provider(
        &self,
        new: &NewProvider,
        ask: &dyn AskKey,
    ) -> Result<ProviderAdded, Problem> {
        let key = ask.key("key: ");
        let key = key.as_ref().map(ExposeSecret::expose_secret);
        self.ask(format!("add {new:?} with {key:?}"))?;
        Ok(serde_json::from_value(self.added.clone()).unwrap())
    }

    async fn list_providers(&self) -> Result<Vec<ProviderView>, Problem> {
        let list: ProviderList = self.report("list".to_owned())?;
        Ok(list.providers)
    }

    async fn show_provider(&self, name: &str) -> Result<ProviderView, Problem> {
        self.report(format!("show {name}"))
    }

    async fn test_provider(
        &self,
        name: &str,
        model: Option<&str>,
    ) -> Result<ProviderTest, Problem> {
        self.report(format!("test {name} {model:?}"))
    }

    async fn list_models(&self, name: &str, refresh: bool) -> Result<ModelList, Problem> {
        self.report(format!("models {name} {refresh}"))
    }

    async fn quota(&self, name: &str) -> Result<QuotaReport, Problem> {
        self.report(format!("quota {name}"))
    }

    async fn switch_provider(&self, name: &str, enabled: bool) -> Result<ProviderView, Problem> {
        self.report(format!("switch {name} {enabled}"))
    }

    async fn remove_provider(&self, name: &str, force: bool) -> Result<ProviderRemoved, Problem> {
        self.report(format!("remove {name} {force}"))
    }

    async fn detect_servers(&self, ports: &[u16]) -> Result<DetectReport, Problem> {
        self.report(format!("detect {ports:?}"))
    }
}
