//! Webhooks.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// UUID.
    pub id: String,
    /// Unique.
    pub name: String,
    /// Where events are sent.
    pub url: String,
    /// Only events of types that one of these patterns matches (`task.*`); none of them is all events.
    pub events: Vec<String>,
    /// Only events of these severities; none of them is all.
    pub severities: Vec<String>,
    /// UUID of the project: only events of its runs and agents.
    pub project_id: Option<String>,
    /// The receiver may be in a private network, or on the machine of the server.
    pub allow_private: bool,
    /// `enabled`, `disabled` by a person, or `stopped`: nothing was taken for a day, or the receiver is gone.
    pub state: String,
    /// Why it stopped.
    pub reason: Option<String>,
    /// Place in the log up to which everything was sent.
    pub cursor: u64,
    /// How often the event after that was tried in vain.
    pub failed_attempts: u32,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Until when the secret of before signs, too.
    pub old_secret_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When a person last changed it, or it stopped.
    pub updated_at: DateTime<Utc>,
}

/// A page of webhooks, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookPage {
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A webhook to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewWebhook {
    /// Unique; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// `https://`; with `allow_private` also `http://` to a private network.
    pub url: String,
    /// Only events of types that one of these patterns matches (`task.*`); without them all events.
    #[serde(default)]
    pub events: Vec<String>,
    /// Only events of these severities (`error`), `warning+` for that one and all above it.
    #[serde(default)]
    pub severities: Vec<String>,
    /// UUID of a project: only events of its runs and agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The receiver may be in a private network, or on the machine of the server.
    #[serde(default)]
    pub allow_private: bool,
}

/// What is to change of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookChanges {
    /// Whether events are sent. What came meanwhile is sent then.
    pub enabled: bool,
}

/// A webhook with its new secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookMade {
    /// About it.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What signs: shown this once.
    pub secret: String,
}

impl std::fmt::Debug for WebhookMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookMade")
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTest {
    /// Whether the message was taken.
    pub taken: bool,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// One attempt to send an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// UUID.
    pub id: String,
    /// Place of the event in the log.
    pub seq: u64,
    /// Its type, or `gap` where events were deleted by their age before they could be sent.
    pub event_type: String,
    /// Which attempt of this event it was, from 1.
    pub attempt: u32,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it was not taken; `null` where it was.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// When it began.
    pub at: DateTime<Utc>,
}

/// A page of attempts, the newest first; the last hundred of a webhook are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookDeliveryPage {
    /// The attempts.
    pub deliveries: Vec<WebhookDelivery>,
    /// How many there are.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}
