//! Seals, opens, signs and sends.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use fusion_core::{
    Change, Decision, Event, EventId, EventType, Moment, NewEvent, Sealed, Severity, Timestamp,
    Webhook, WebhookId, WebhookOutcome, WebhookSecrets,
};
use fusion_secrets::{KeyId, Place, Vault, WebhookSecret};
use fusion_web::{Answered, Parcel, Post, Target};
use secrecy::SecretString;
use serde_json::{Value, json};

/// Gives the keys that secrets are sealed with.
pub trait Keys: fmt::Debug + Send + Sync {
    /// What opens stored secrets.
    ///
    /// # Errors
    /// There is no key.
    fn to_open(&self) -> Result<Vault, NoKey>;

    /// What seals new ones; makes a key where there was none.
    ///
    /// # Errors
    /// There is no key, and none can be made.
    fn to_seal(&self) -> Result<Vault, NoKey>;
}

/// Why there is no key, or it does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoKey(pub String);

/// Sends signed messages to webhooks.
#[derive(Clone)]
pub struct Postman {
    post: Arc<dyn Post>,
    keys: Arc<dyn Keys>,
    write: fn(Event) -> Value,
}

impl fmt::Debug for Postman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postman").finish_non_exhaustive()
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// What it means.
    pub outcome: WebhookOutcome,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl Tried {
    /// Why the message was not taken.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match &self.outcome {
            WebhookOutcome::Taken => None,
            WebhookOutcome::Refused { why, .. } | WebhookOutcome::Gone { why } => Some(why),
        }
    }
}

impl Postman {
    /// One that sends by `post`, what `write` makes of events.
    #[must_use]
    pub fn new(post: Arc<dyn Post>, keys: Arc<dyn Keys>, write: fn(Event) -> Value) -> Self {
        Self { post, keys, write }
    }

    /// A new secret for a webhook with this URL: as its receiver is given it, and as it is stored.
    ///
    /// # Errors
    /// There is no key to seal it with, or no random bytes.
    pub fn new_secret(&self, id: WebhookId, url: &str) -> Result<(SecretString, Sealed), NoKey> {
        let vault = self.keys.to_seal()?;
        let secret = WebhookSecret::generate().map_err(told)?;
        let sealed = seal(&vault, (id, url), &secret).map_err(told)?;
        Ok((secret, sealed))
    }

    /// Sends an event of the log. Each attempt of the same event has the same id.
    pub(crate) async fn send(&self, webhook: &Webhook, event: Event, now: Timestamp) -> Tried {
        let id = format!(
            "msg_{}_{}",
            event.event.id.uuid().simple(),
            webhook.id.uuid().simple()
        );
        self.deliver(webhook, &id, event, now).await
    }

    /// Sends an event that is in no log, to see whether it is taken.
    pub async fn test(&self, webhook: &Webhook, moment: Moment<'_>) -> Tried {
        let id = EventId::from_uuid(moment.ids.uuid());
        let event = NewEvent {
            id,
            timestamp: moment.now,
            event_type: EventType::WebhookTest,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "webhooks".to_owned(),
            run_id: None,
            data: json!({ "webhook_id": webhook.id, "name": webhook.name }),
            message: format!("a test of webhook {}", webhook.name),
            message_queue_topic: None,
        };
        let message = format!("msg_{}", id.uuid().simple());
        let event = Event { seq: 0, event };
        self.deliver(webhook, &message, event, moment.now).await
    }

    async fn deliver(&self, webhook: &Webhook, id: &str, event: Event, now: Timestamp) -> Tried {
        let began = Instant::now();
        let posted = match self.parcel(webhook, id, event, now) {
            Ok(parcel) => self.post.post(&parcel).await.map_err(|error| error.0),
            Err(why) => Err(why),
        };
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (status, outcome) = match posted {
            Ok(answered) => (Some(answered.status), outcome(answered)),
            Err(why) => (None, WebhookOutcome::Refused { why, wait: None }),
        };
        Tried {
            status,
            outcome,
            duration_ms,
        }
    }

    /// The message as it is sent, or why there is none.
    fn parcel(
        &self,
        webhook: &Webhook,
        id: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Parcel, String> {
        let target = Target::new(&webhook.url, webhook.allows_private);
        let target = target.map_err(|why| format!("the URL {why}"))?;
        let body = (self.write)(event).to_string();
        let timestamp = now.timestamp();
        let signatures: Vec<String> = self
            .secrets(webhook, now)?
            .iter()
            .map(|secret| secret.sign(id, timestamp, &body))
            .collect();
        let headers = vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        Ok(Parcel {
            target,
            headers,
            body,
        })
    }

    /// Those that sign now, the newest first.
    fn secrets(&self, webhook: &Webhook, now: Timestamp) -> Result<Vec<WebhookSecret>, String> {
        let vault = self.keys.to_open().map_err(|error| error.0)?;
        let previous = webhook.secrets.previous.as_ref();
        let previous = previous.filter(|(_, until)| now < *until);
        let sealed = [
            Some(&webhook.secrets.current),
            previous.map(|(sealed, _)| sealed),
        ];
        let opened = sealed.into_iter().flatten().map(|sealed| {
            let opened = open(&vault, webhook, sealed);
            let opened = opened.map_err(|error| fusion_core::error_chain(&error))?;
            WebhookSecret::parse(&opened).ok_or_else(|| "its secret is none".to_owned())
        });
        opened.collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn told(error: fusion_secrets::Error) -> NoKey {
    NoKey(fusion_core::error_chain(&error))
}

/// What an answer means.
fn outcome(answered: Answered) -> WebhookOutcome {
    let Answered {
        status,
        retry_after,
    } = answered;
    match status {
        200..=299 => WebhookOutcome::Taken,
        410 => WebhookOutcome::Gone {
            why: "the receiver answered 410: it is gone for good".to_owned(),
        },
        300..=399 => WebhookOutcome::Refused {
            why: format!("the receiver answered {status}, and redirects are not followed"),
            wait: None,
        },
        _ => WebhookOutcome::Refused {
            why: format!("the receiver answered {status}"),
            wait: retry_after.filter(|_| matches!(status, 429 | 503)),
        },
    }
}

/// Seals a secret for its row, as long as its URL stays the same.
pub(crate) fn seal(
    vault: &Vault,
    (id, url): (WebhookId, &str),
    secret: &SecretString,
) -> fusion_secrets::Result<Sealed> {
    let (row, field) = (id.to_string(), field(url));
    vault.seal(place(&row, &field), secret)
}

/// Opens a secret of a webhook.
pub(crate) fn open(
    vault: &Vault,
    webhook: &Webhook,
    sealed: &Sealed,
) -> fusion_secrets::Result<SecretString> {
    let (row, field) = (webhook.id.to_string(), field(&webhook.url));
    vault.open(place(&row, &field), sealed)
}

/// What webhooks are to be with every secret that an older key of the vault has sealed sealed with its
/// current one.
///
/// # Errors
/// One of them can't be opened or sealed.
pub fn reseal_webhooks(vault: &Vault, webhooks: Vec<Webhook>) -> fusion_secrets::Result<Decision> {
    let mut decision = Decision::default();
    for webhook in webhooks {
        let current = again(vault, &webhook, &webhook.secrets.current)?;
        let previous = webhook.secrets.previous.as_ref();
        let previous = previous
            .map(|(sealed, until)| Ok((again(vault, &webhook, sealed)?, *until)))
            .transpose()?;
        let secrets = WebhookSecrets { current, previous };
        if secrets != webhook.secrets {
            decision = decision.with(Change::update(Webhook { secrets, ..webhook }));
        }
    }
    Ok(decision)
}

/// A secret sealed with the current key; as it is where it is so already.
fn again(vault: &Vault, webhook: &Webhook, sealed: &Sealed) -> fusion_secrets::Result<Sealed> {
    // It is opened in any case: one that can't be must not outlive the key that could have opened it.
    let secret = open(vault, webhook, sealed)?;
    if KeyId::of(sealed) == Some(vault.key_id()) {
        return Ok(sealed.clone());
    }
    seal(vault, (webhook.id, &webhook.url), &secret)
}

fn field(url: &str) -> String {
    format!("secret for {url}")
}

fn place<'a>(row: &'a str, field: &'a str) -> Place<'a> {
    Place {
        table: "webhooks",
        row,
        field,
    }
}
