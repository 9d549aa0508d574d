//! The work of `webhook`: rows that a server acts on.

use std::sync::Arc;

use async_trait::async_trait;
use fusion_api::{event_view, name_fault, webhook_delivery_view, webhook_test_view, webhook_view};
use fusion_api_types::{Problem, ProblemKind, api};
use fusion_cli::{NewWebhook, Webhooks};
use fusion_coordination::{Ask, Keys, MAX_WEBHOOKS, NoKey, Postman};
use fusion_core::{Change, Clock, Event, IdSource, Moment, Severity, Webhook, WebhookId};
use fusion_persistence::{
    Deletable, EventReader, Page, Repository, WEBHOOK_ATTEMPTS, WebhookAttemptFilter, WebhookFilter,
};
use fusion_secrets::Vault;
use fusion_web::Target;
use fusion_web_http::HttpPost;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::backend::{LocalBackend, Reading};
use crate::config::Config;
use crate::events::severity;
use crate::master_key::KeySource;
use crate::problems;
use crate::records::{named, none, read};
use crate::system::{SystemClock, SystemIds};

const PATH: &str = "/webhooks";

/// What the command calls such a row.
const KIND: &str = "webhook";

/// Webhooks that are looked through: those who add one at the same moment may make more than there may be.
const LOOKED_AT: u32 = 1_000;

/// How often a change is tried again that a server was quicker than.
const TRIES: u32 = 20;

/// The keys of this installation.
#[derive(Debug)]
struct OwnKeys(Config);

impl Keys for OwnKeys {
    fn to_open(&self) -> Result<Vault, NoKey> {
        let source = KeySource::of(&self.0).map_err(told)?;
        source
            .vault()
            .map_err(|error| NoKey(fusion_core::error_chain(&error)))
    }

    fn to_seal(&self) -> Result<Vault, NoKey> {
        let source = KeySource::of(&self.0).map_err(told)?;
        source.vault_or_new().map_err(told)
    }
}

fn told(problem: Problem) -> NoKey {
    NoKey(problem.message)
}

/// What signs and sends.
pub(crate) fn postman(config: &Config) -> Postman {
    let keys = Arc::new(OwnKeys(config.clone()));
    Postman::new(Arc::new(HttpPost::default()), keys, written)
}

/// As `events get --json` prints it.
fn written(event: Event) -> Value {
    // An event holds nothing that JSON has no form for.
    serde_json::to_value(event_view(event)).unwrap_or_default()
}

#[async_trait]
impl Webhooks for LocalBackend {
    async fn add_webhook(&self, new: &NewWebhook) -> Result<api::WebhookMade, Problem> {
        let wanted = self.wanted(new).await?;
        if let Some(remote) = self.remote()? {
            let severities = wanted.severities.iter().map(Severity::to_string);
            let body = api::NewWebhook {
                name: wanted.name,
                url: wanted.url,
                events: wanted.events,
                severities: severities.collect(),
                project_id: wanted.project.map(|id| id.to_string()),
                allow_private: wanted.allows_private,
            };
            return remote.client().post(PATH, &body).await;
        }
        let there = self.list_webhooks(MAX_WEBHOOKS).await?.len();
        if there >= MAX_WEBHOOKS as usize {
            let text = format!("there are {MAX_WEBHOOKS} webhooks already, and no more may be");
            return Err(invalid(text).with_help("take one away with: webhook remove NAME"));
        }
        let end = match self.reading().await? {
            Some(reading) => reading.store().event_bounds().await.map_err(read)?.last,
            None => 0,
        };
        let id = WebhookId::from_uuid(SystemIds::new().uuid());
        let (secret, sealed) = new_secret(&postman(self.config()), id, &wanted.url)?;
        let row = wanted.row(id, sealed, end, SystemClock.now());
        self.store_record(Change::create(row.clone())).await?;
        Ok(made(row, secret.expose_secret()))
    }

    async fn list_webhooks(&self, limit: u32) -> Result<Vec<api::Webhook>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.rows(PATH, "webhooks", &[], limit as usize).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let filter = WebhookFilter::default();
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        Ok(rows.map_err(read)?.into_iter().map(webhook_view).collect())
    }

    async fn show_webhook(&self, name: &str) -> Result<api::Webhook, Problem> {
        let all = self.list_webhooks(LOOKED_AT).await?;
        named(all, KIND, name, |row| (&row.id, &row.name))
    }

    async fn test_webhook(&self, name: &str) -> Result<api::WebhookTest, Problem> {
        let found = self.show_webhook(name).await?;
        if let Some(remote) = self.remote()? {
            let path = format!("{PATH}/{}/test", found.id);
            return remote.client().post(&path, &json!({})).await;
        }
        let row = self.stored_webhook(&found).await?;
        let ids = SystemIds::new();
        let moment = Moment {
            now: SystemClock.now(),
            ids: &ids,
        };
        let tried = postman(self.config()).test(&row, moment).await;
        Ok(webhook_test_view(&tried))
    }

    async fn resend_delivery(
        &self,
        name: &str,
        delivery: &str,
    ) -> Result<api::WebhookTest, Problem> {
        let made = self.webhook_deliveries(name, WEBHOOK_ATTEMPTS).await?;
        let delivery = delivery_of(made, name, delivery)?;
        if let Some(remote) = self.remote()? {
            let path = format!("{PATH}/deliveries/{delivery}/resend");
            return remote.client().post(&path, &json!({})).await;
        }
        let delivery = crate::agents::find::parsed(&delivery)?;
        let engine = self
            .engine_or_beside(&self.data_dir()?, self.registry_of(&[]))
            .await?;
        let postman = postman(self.config());
        let resending = engine
            .coordinator()
            .resend_delivery(&postman, delivery, Ask::default);
        let tried = Box::pin(resending).await;
        engine.close().await;
        let tried = tried.map_err(|error| problems::of_engine(&error))?;
        Ok(webhook_test_view(&tried))
    }

    async fn webhook_deliveries(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<api::WebhookDelivery>, Problem> {
        let found = self.show_webhook(name).await?;
        if let Some(remote) = self.named_remote()? {
            let path = format!("{PATH}/{}/deliveries", found.id);
            return remote.rows(&path, "deliveries", &[], limit as usize).await;
        }
        let reading = self.stored_webhooks(name).await?;
        let filter = WebhookAttemptFilter {
            webhook: Some(crate::agents::find::parsed(&found.id)?),
        };
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        let rows = rows.map_err(read)?.into_iter();
        Ok(rows.map(webhook_delivery_view).collect())
    }

    async fn switch_webhook(&self, name: &str, on: bool) -> Result<api::Webhook, Problem> {
        let found = self.show_webhook(name).await?;
        if let Some(remote) = self.remote()? {
            let body = api::WebhookChanges { enabled: on };
            let path = format!("{PATH}/{}", found.id);
            return remote.client().patch(&path, &body).await;
        }
        let now = SystemClock.now();
        let changed = self.change_webhook(&found, |row| row.switched(on, now));
        Ok(webhook_view(changed.await?))
    }

    async fn rotate_webhook(&self, name: &str) -> Result<api::WebhookMade, Problem> {
        let found = self.show_webhook(name).await?;
        if let Some(remote) = self.remote()? {
            let path = format!("{PATH}/{}/rotate", found.id);
            return remote.client().post(&path, &json!({})).await;
        }
        let id: WebhookId = crate::agents::find::parsed(&found.id)?;
        let (secret, sealed) = new_secret(&postman(self.config()), id, &found.url)?;
        let now = SystemClock.now();
        let changed = self.change_webhook(&found, |row| row.rotated(sealed.clone(), now));
        Ok(made(changed.await?, secret.expose_secret()))
    }

    async fn remove_webhook(&self, name: &str) -> Result<api::Webhook, Problem> {
        let found = self.show_webhook(name).await?;
        if let Some(remote) = self.remote()? {
            let path = format!("{PATH}/{}", found.id);
            remote.client().delete(&path, &[]).await?;
            return Ok(found);
        }
        let gone = |row: Webhook| Change::Delete {
            kind: Webhook::KIND,
            id: row.id.uuid(),
            version: row.version,
        };
        self.decide_webhook(&found, gone).await?;
        Ok(found)
    }
}

impl LocalBackend {
    /// What is asked for, with all that can be told wrong without a store.
    async fn wanted(&self, new: &NewWebhook) -> Result<fusion_coordination::NewWebhook, Problem> {
        let name = match &new.name {
            Some(name) => name.clone(),
            None => host_of(&new.url).unwrap_or_default(),
        };
        let mut severities = Vec::new();
        for text in &new.severities {
            severities.extend(severity(text)?);
        }
        let all = Severity::ALL.iter().copied();
        let severities = all.filter(|one| severities.contains(one)).collect();
        let project = match &new.project {
            Some(name) => {
                let found = self.project_named(name).await?;
                Some(crate::agents::find::parsed(&found.id)?)
            }
            None => None,
        };
        let wanted = fusion_coordination::NewWebhook {
            name,
            url: new.url.clone(),
            events: new.events.clone(),
            severities,
            project,
            allows_private: new.allow_private,
        };
        if let Some(fault) = wanted.faults().first() {
            let problem = invalid(fault.to_string());
            let allowed = fusion_coordination::NewWebhook {
                allows_private: true,
                ..wanted
            };
            return Err(if !new.allow_private && allowed.faults().is_empty() {
                problem.with_help("if it is meant, allow it with --allow-private")
            } else {
                problem
            });
        }
        match name_fault(&wanted.name) {
            Some(fault) => Err(invalid(format!("the name {fault}"))),
            None => Ok(wanted),
        }
    }

    async fn stored_webhooks(&self, name: &str) -> Result<Reading, Problem> {
        let reading = self.reading().await?;
        reading.ok_or_else(|| none(KIND, name))
    }

    async fn stored_webhook(&self, found: &api::Webhook) -> Result<Webhook, Problem> {
        let reading = self.stored_webhooks(&found.name).await?;
        let id: WebhookId = crate::agents::find::parsed(&found.id)?;
        reading.store().get(id).await.map_err(read)
    }

    async fn change_webhook(
        &self,
        found: &api::Webhook,
        change: impl Fn(Webhook) -> Webhook + Send + Sync,
    ) -> Result<Webhook, Problem> {
        let changed = self.decide_webhook(found, |row| Change::update(change(row)));
        let row = changed.await?;
        Ok(change(row))
    }

    /// Commits a change of a webhook, also where a server moves it on meanwhile; gives the row as it was
    /// before.
    async fn decide_webhook(
        &self,
        found: &api::Webhook,
        decide: impl Fn(Webhook) -> Change + Send + Sync,
    ) -> Result<Webhook, Problem> {
        let mut tries = 0;
        loop {
            let row = self.stored_webhook(found).await?;
            tries += 1;
            match self.store_record(decide(row.clone())).await {
                Err(problem) if problem.kind == ProblemKind::Conflict && tries < TRIES => {}
                stored => return stored.map(|()| row),
            }
        }
    }
}

/// The id of the delivery that is meant: of those of one event the newest.
fn delivery_of(made: Vec<api::WebhookDelivery>, name: &str, text: &str) -> Result<String, Problem> {
    let seq: Option<u64> = text.parse().ok().filter(|_| !text.starts_with('0'));
    let is_meant = |it: &api::WebhookDelivery| match seq {
        Some(seq) => it.seq == seq,
        None => !text.is_empty() && it.id.starts_with(&text.to_lowercase()),
    };
    let mut meant = made.into_iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (None, _) => Err(Problem::new(
            ProblemKind::NotFound,
            format!("webhook '{name}' has no delivery {text}"),
        )
        .with_help(format!(
            "those that are kept: fusion-kit webhook deliveries {}",
            fusion_cli::shell_word(name)
        ))),
        (Some(_), Some(_)) if seq.is_none() => Err(invalid(format!(
            "several deliveries of webhook '{name}' have ids that begin with {text}"
        ))),
        (Some(newest), _) => Ok(newest.id),
    }
}

fn invalid(text: String) -> Problem {
    Problem::new(ProblemKind::InvalidInput, text)
}

fn host_of(url: &str) -> Option<String> {
    let target = Target::new(url, true).ok()?;
    target.url().host_str().map(str::to_owned)
}

fn new_secret(
    postman: &Postman,
    id: WebhookId,
    url: &str,
) -> Result<(secrecy::SecretString, fusion_core::Sealed), Problem> {
    let made = postman.new_secret(id, url);
    made.map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))
}

fn made(row: Webhook, secret: &str) -> api::WebhookMade {
    api::WebhookMade {
        webhook: webhook_view(row),
        secret: secret.to_owned(),
    }
}
