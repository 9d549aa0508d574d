//! Stored providers of a server.

use fusion_api_types::{Problem, ProblemKind, ProviderRemoved, ProviderView, api};
use fusion_cli::NewProvider;
use secrecy::{ExposeSecret, SecretString};

use super::Remote;
use crate::providers::stored_view;

impl Remote {
    /// Stores a provider, or puts it in the place of the one that has this id.
    pub(crate) async fn add_provider(
        &self,
        new: &NewProvider,
        key: Option<&SecretString>,
        replaced: Option<&str>,
    ) -> Result<ProviderView, Problem> {
        let body = api::NewProvider {
            name: new.name.clone(),
            provider_type: new.vendor.clone(),
            api_endpoint: new.base_url.clone(),
            credentials: key.map(|key| key.expose_secret().to_owned()),
            rate_limits: Some(api::RateLimits {
                requests_per_minute: new.requests_per_minute,
                tokens_per_minute: new.tokens_per_minute,
            }),
            max_concurrent: new.max_concurrent,
            allow_plain_http: new.allow_plain_http,
            allow_private_addresses: new.allow_private_addresses,
        };
        let added: api::Provider = match replaced {
            Some(id) => self.client.put(&format!("/providers/{id}"), &body).await?,
            None => self.client.post("/providers", &body).await?,
        };
        Ok(stored_view(added))
    }

    /// The stored providers, by name. What the server's environment sets up is not told.
    pub(crate) async fn list_providers(&self) -> Result<Vec<ProviderView>, Problem> {
        let rows: Vec<api::Provider> = self
            .rows("/providers", "providers", &[], usize::MAX)
            .await?;
        let mut views: Vec<ProviderView> = rows.into_iter().map(stored_view).collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(views)
    }

    pub(crate) async fn switch_provider(
        &self,
        name: &str,
        enabled: bool,
    ) -> Result<ProviderView, Problem> {
        let path = format!("/providers/{}", self.provider(name).await?);
        let body = api::ProviderChanges {
            enabled: Some(enabled),
            rate_limits: None,
        };
        let changed: api::Provider = self.client.patch(&path, &body).await?;
        Ok(stored_view(changed))
    }

    pub(crate) async fn remove_provider(
        &self,
        name: &str,
        force: bool,
    ) -> Result<ProviderRemoved, Problem> {
        let path = format!("/providers/{}", self.provider(name).await?);
        let query = force.then(|| ("force", force.to_string()));
        self.client.delete(&path, query.as_slice()).await?;
        Ok(ProviderRemoved {
            name: name.to_owned(),
        })
    }

    /// The id of a provider, if one of this name is stored.
    pub(crate) async fn provider_id(&self, name: &str) -> Result<Option<String>, Problem> {
        let named = [("name", name.to_owned())];
        let rows: Vec<api::Provider> = self.rows("/providers", "providers", &named, 1).await?;
        Ok(rows.into_iter().next().map(|row| row.id))
    }

    /// The id of a provider.
    pub(crate) async fn provider(&self, name: &str) -> Result<String, Problem> {
        self.provider_id(name).await?.ok_or_else(|| {
            let text = format!("no provider '{name}' is stored at {}", self.client.url());
            Problem::new(ProblemKind::NotFound, text)
                .with_help("see all with: fusion-kit provider list")
        })
    }
}
