//! The port behind `webhook`.

use async_trait::async_trait;
use fusion_api_types::{Problem, api};

/// A webhook to be made, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where events are sent.
    pub url: String,
    /// Its unique name; the host of the URL without it.
    pub name: Option<String>,
    /// Patterns of types.
    pub events: Vec<String>,
    /// Severities, also as `warning+`.
    pub severities: Vec<String>,
    /// Name or id of a project.
    pub project: Option<String>,
    /// Its receiver may be in a private network.
    pub allow_private: bool,
}

/// Looks after webhooks. One is named by its name or its id.
#[async_trait]
pub trait Webhooks {
    /// Makes a webhook.
    ///
    /// # Errors
    /// The name is taken, the URL or the filter is wrong, or there is no such project.
    async fn add_webhook(&self, new: &NewWebhook) -> Result<api::WebhookMade, Problem>;

    /// Webhooks, the newest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_webhooks(&self, limit: u32) -> Result<Vec<api::Webhook>, Problem>;

    /// One webhook.
    ///
    /// # Errors
    /// There is none of this name.
    async fn show_webhook(&self, name: &str) -> Result<api::Webhook, Problem>;

    /// Sends a message to a webhook, and says what came of it.
    ///
    /// # Errors
    /// There is none of this name. That the message is not taken is an answer.
    async fn test_webhook(&self, name: &str) -> Result<api::WebhookTest, Problem>;

    /// Sends the event of a delivery to a webhook once more, and says what came of it. The delivery is named by
    /// the place of its event, by its id or by the unique beginning of that.
    ///
    /// # Errors
    /// There is no such webhook, no such delivery, or its event is there no longer. That the message is not
    /// taken is an answer.
    async fn resend_delivery(
        &self,
        name: &str,
        delivery: &str,
    ) -> Result<api::WebhookTest, Problem>;

    /// The last attempts at a webhook, the newest first.
    ///
    /// # Errors
    /// There is none of this name.
    async fn webhook_deliveries(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<api::WebhookDelivery>, Problem>;

    /// Has events sent, or not.
    ///
    /// # Errors
    /// There is none of this name.
    async fn switch_webhook(&self, name: &str, on: bool) -> Result<api::Webhook, Problem>;

    /// Makes another secret.
    ///
    /// # Errors
    /// There is none of this name.
    async fn rotate_webhook(&self, name: &str) -> Result<api::WebhookMade, Problem>;

    /// Takes a webhook away.
    ///
    /// # Errors
    /// There is none of this name.
    async fn remove_webhook(&self, name: &str) -> Result<api::Webhook, Problem>;
}
