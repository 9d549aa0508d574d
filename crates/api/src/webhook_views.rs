//! Webhooks as the wire types show them: never a secret.

use fusion_api_types::api;
use fusion_coordination::Tried;
use fusion_core::{ProjectId, Webhook, WebhookAttempt, WebhookOutcome};

/// A webhook.
#[must_use]
pub fn webhook(row: Webhook) -> api::Webhook {
    let previous = row.secrets.previous;
    api::Webhook {
        id: row.id.to_string(),
        name: row.name,
        url: row.url,
        events: row.events,
        severities: row.severities.iter().map(ToString::to_string).collect(),
        project_id: row.project.as_ref().map(ProjectId::to_string),
        allow_private: row.allows_private,
        state: row.state.to_string(),
        reason: row.reason,
        cursor: row.cursor,
        failed_attempts: row.trouble.attempts,
        failing_since: row.trouble.since,
        next_attempt_at: row.trouble.next_at,
        old_secret_until: previous.map(|(_, until)| until),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// An attempt.
#[must_use]
pub fn webhook_delivery(row: WebhookAttempt) -> api::WebhookDelivery {
    api::WebhookDelivery {
        id: row.id.to_string(),
        seq: row.seq,
        event_type: row.event_type,
        attempt: row.attempt,
        status: row.status,
        error: row.error,
        duration_ms: row.duration_ms,
        at: row.at,
    }
}

/// What came of a test.
#[must_use]
pub fn webhook_test(tried: &Tried) -> api::WebhookTest {
    api::WebhookTest {
        taken: tried.outcome == WebhookOutcome::Taken,
        status: tried.status,
        error: tried.error().map(str::to_owned),
        duration_ms: tried.duration_ms,
    }
}
