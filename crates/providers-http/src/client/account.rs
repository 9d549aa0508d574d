//! The provider's own account of a key.

use fusion_providers::{QuotaSource, Result};

use super::HttpProvider;
use crate::quota;

impl HttpProvider {
    /// Asks OpenRouter for its account of the key. What it says of the credit is for some keys only.
    pub(super) async fn ask_account(&self) -> Result<()> {
        let now = self.clock.now();
        let body = self.account(&["key"]).await?;
        let limits = quota::of_key(&body, now)
            .map_err(|error| self.connection.origin.malformed(&error.to_string(), &body))?;
        self.quota.replace(QuotaSource::Key, limits);
        match self.account(&["credits"]).await {
            Ok(body) => {
                let limits = quota::of_credits(&body, now).unwrap_or_default();
                self.quota.replace(QuotaSource::Credits, limits);
            }
            Err(error) => tracing::debug!(%error, "the credit is not shown to this key"),
        }
        Ok(())
    }

    async fn account(&self, path: &[&str]) -> Result<Vec<u8>> {
        let response = self.connection.get(self.connection.url(path)).await?;
        if !response.status().is_success() {
            return Err(self.fault(response, None).await);
        }
        self.connection.body(response).await
    }
}
