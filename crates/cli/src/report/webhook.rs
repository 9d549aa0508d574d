//! Webhooks as text for a person.

use chrono::{DateTime, Utc};
use fusion_api_types::api;

use super::local;
use super::record::fields;
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::clean_line;

/// A table of webhooks.
pub(crate) fn list(webhooks: &[api::Webhook], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("WEBHOOK", Align::Left),
        ("STATE", Align::Left),
        ("EVENTS", Align::Left),
        ("URL", Align::Left),
        ("NEXT", Align::Left),
    ])
    .wide(session.is_wide());
    for webhook in webhooks {
        let next = match &webhook.reason {
            Some(why) => clean_line(why),
            None => trouble(webhook, session).unwrap_or_else(|| "-".to_owned()),
        };
        table.row([
            clean_line(&webhook.name),
            clean_line(&webhook.state),
            clean_line(&wanted(webhook)),
            clean_line(&webhook.url),
            next,
        ]);
    }
    table.render()
}

/// One webhook.
pub(crate) fn one(webhook: &api::Webhook, session: &Session<'_>) -> String {
    let time = |at: Option<DateTime<Utc>>| at.map(|at| local(at, session));
    let private = "allowed".to_owned();
    fields(&[
        ("webhook", Some(&webhook.name)),
        ("url", Some(&webhook.url)),
        ("state", Some(&webhook.state)),
        ("reason", webhook.reason.as_ref()),
        ("events", Some(&wanted(webhook))),
        ("project", webhook.project_id.as_ref()),
        ("private", Some(&private).filter(|_| webhook.allow_private)),
        ("sent to", Some(&webhook.cursor.to_string())),
        ("failing", time(webhook.failing_since).as_ref()),
        ("next", trouble(webhook, session).as_ref()),
        ("old key", time(webhook.old_secret_until).as_ref()),
    ])
}

/// A webhook with its new secret: that on a line of its own.
pub(crate) fn made(made: &api::WebhookMade, session: &Session<'_>) -> String {
    let name = clean_line(&made.webhook.name);
    session.tell(&format!(
        "the secret of webhook {name} is shown this once: give it to the receiver\n"
    ));
    format!("{}\n", clean_line(&made.secret))
}

/// What came of a test.
pub(crate) fn test(test: &api::WebhookTest, _: &Session<'_>) -> String {
    let time = test.duration_ms;
    match (&test.error, test.status) {
        (Some(why), _) => format!("it was not taken: {} ({time} ms)\n", clean_line(why)),
        (None, Some(status)) => format!("it was taken: {status} ({time} ms)\n"),
        (None, None) => format!("it was taken ({time} ms)\n"),
    }
}

/// A table of attempts.
pub(crate) fn deliveries(deliveries: &[api::WebhookDelivery], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("WHEN", Align::Left),
        ("EVENT", Align::Right),
        ("TYPE", Align::Left),
        ("TRY", Align::Right),
        ("STATUS", Align::Right),
        ("MS", Align::Right),
        ("WHAT", Align::Left),
    ])
    .wide(session.is_wide());
    for one in deliveries {
        let status = one.status.map(|status| status.to_string());
        table.row([
            local(one.at, session),
            one.seq.to_string(),
            clean_line(&one.event_type),
            one.attempt.to_string(),
            status.unwrap_or_else(|| "-".to_owned()),
            one.duration_ms.to_string(),
            clean_line(one.error.as_deref().unwrap_or("taken")),
        ]);
    }
    table.render()
}

/// Which events it wants.
fn wanted(webhook: &api::Webhook) -> String {
    let types = if webhook.events.is_empty() {
        "all".to_owned()
    } else {
        webhook.events.join(", ")
    };
    if webhook.severities.is_empty() {
        return types;
    }
    format!("{types} ({})", webhook.severities.join(", "))
}

/// When it is tried again.
fn trouble(webhook: &api::Webhook, session: &Session<'_>) -> Option<String> {
    let next = local(webhook.next_attempt_at?, session);
    Some(format!("{next}, after {} in vain", webhook.failed_attempts))
}
