//! Webhooks: the event log is sent to receivers, in its order and at least once.
//!
//! The log is the outbox. A webhook keeps the place of the last event that was taken, and it moves on in a
//! commit after that: a death before that commit sends the event again, and loses none.

mod courier;
mod postman;
mod resend;

use std::collections::BTreeMap;
use std::time::Duration;

use fusion_core::{
    EventType, ProjectId, Sealed, Severity, Timestamp, Webhook, WebhookId, WebhookSecrets,
    WebhookState, WebhookTrouble, error_chain, nearest,
};
use fusion_messaging::{Pattern, Subscription};
use fusion_persistence::{Page, Repository, WebhookFilter};
use fusion_web::Target;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

pub use postman::{Keys, NoKey, Postman, Tried, reseal_webhooks};

use crate::due::Sweep;
use crate::races::Races;
use crate::{Ask, Coordinator, Error, Result};

/// Webhooks that there may be.
pub const MAX_WEBHOOKS: u32 = 100;

/// Patterns of types that one webhook may have.
const MAX_PATTERNS: usize = 50;

/// Says that a webhook was made or changed.
const CHANGED: &str = "webhook.changed";

/// The least time between two looks for webhooks that are behind.
const REST: Duration = Duration::from_secs(5);

/// The wait after the store failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// A webhook that a person asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWebhook {
    /// Its unique name.
    pub name: String,
    /// Where events are sent.
    pub url: String,
    /// Patterns of types; none is all events.
    pub events: Vec<String>,
    /// Severities; none is all.
    pub severities: Vec<Severity>,
    /// Only events of this project.
    pub project: Option<ProjectId>,
    /// Its receiver may be in a private network, or on this machine.
    pub allows_private: bool,
}

/// What is wrong with a new webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFault {
    /// Its URL.
    #[error("the URL {0}")]
    Url(String),
    /// A pattern of types.
    #[error("the event type {0}")]
    Event(String),
}

impl NewWebhook {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn faults(&self) -> Vec<WebhookFault> {
        let target = Target::new(&self.url, self.allows_private).err();
        let url = target.map(|why| WebhookFault::Url(why.to_string()));
        let events = self.events.iter().filter_map(|text| pattern_fault(text));
        let many = (self.events.len() > MAX_PATTERNS)
            .then(|| format!("has more than {MAX_PATTERNS} patterns"));
        let events = events.chain(many).map(WebhookFault::Event);
        url.into_iter().chain(events).collect()
    }

    /// The row, which is sent what happens from the end of the log on.
    #[must_use]
    pub fn row(self, id: WebhookId, secret: Sealed, end: u64, now: Timestamp) -> Webhook {
        Webhook {
            id,
            name: self.name,
            url: self.url,
            events: self.events,
            severities: self.severities,
            project: self.project,
            allows_private: self.allows_private,
            secrets: WebhookSecrets {
                current: secret,
                previous: None,
            },
            state: WebhookState::Enabled,
            reason: None,
            cursor: end,
            trouble: WebhookTrouble::default(),
            lease: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}

/// What is wrong with a pattern of types, where something is.
fn pattern_fault(text: &str) -> Option<String> {
    let all = || EventType::ALL.iter().map(|known| known.as_str());
    match text.parse::<Pattern>() {
        Err(why) => Some(format!("'{text}' is no pattern: {why}")),
        Ok(pattern) if all().any(|known| is_of(&pattern, known)) => None,
        Ok(_) => Some(match nearest(text, all()) {
            Some(near) => format!("'{text}' matches none; did you mean '{near}'?"),
            None => format!("'{text}' matches none"),
        }),
    }
}

fn is_of(pattern: &Pattern, event_type: &str) -> bool {
    let subject = event_type.parse();
    subject.is_ok_and(|subject| pattern.matches(&subject))
}

/// The couriers of a process.
#[derive(Default)]
struct Round {
    couriers: JoinSet<()>,
    by_task: BTreeMap<Id, WebhookId>,
    /// Those that are out, and what calls them to look.
    out: BTreeMap<WebhookId, watch::Sender<u64>>,
}

impl Coordinator {
    /// Says that a webhook was made or changed.
    pub fn hint_webhooks(&self) {
        self.hint(CHANGED);
    }

    /// Changes a webhook as a person asks. What moves on by itself meanwhile does not stand in the way.
    ///
    /// # Errors
    /// `NotFound`, or the store fails.
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        change: impl Fn(Webhook) -> Webhook + Send + Sync,
        ask: impl Fn() -> Ask + Send + Sync,
    ) -> Result<Webhook> {
        let mut races = Races::new();
        loop {
            let row = change(self.parts.store.get(id).await?);
            match self.update_record(row.clone(), ask()).await {
                Ok(()) => break self.hint_webhooks_with(row),
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    fn hint_webhooks_with(&self, row: Webhook) -> Result<Webhook> {
        self.hint_webhooks();
        Ok(Webhook {
            version: row.version + 1,
            ..row
        })
    }

    /// Takes a webhook away. What moves on by itself meanwhile does not stand in the way.
    ///
    /// # Errors
    /// `NotFound`, or the store fails.
    pub async fn remove_webhook(
        &self,
        id: WebhookId,
        ask: impl Fn() -> Ask + Send + Sync,
    ) -> Result<()> {
        let mut races = Races::new();
        loop {
            let row: Webhook = self.parts.store.get(id).await?;
            match self.delete_record(&row, ask()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends events to all webhooks until `cancel` is called. Of several processes that share a store one
    /// sends to a webhook at a time. While nothing happens nobody looks.
    ///
    /// # Errors
    /// The bus can't be listened to. A store that fails is tried again.
    pub async fn deliver_webhooks(
        &self,
        postman: &Postman,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let mut hints = self.listen(CHANGED).await?;
        let mut sweep = self.sweep_for(|due| due.webhooks, REST);
        let mut round = Round::default();
        while !cancel.is_cancelled() {
            let sent = self.send_out(&mut round, postman, cancel).await;
            rest_after(sent, &mut sweep).await;
            round.wait(&mut hints, &mut sweep, cancel).await;
        }
        while round.couriers.join_next().await.is_some() {}
        Ok(())
    }

    /// Sends a courier for each webhook that wants events, and calls those that are out.
    async fn send_out(
        &self,
        round: &mut Round,
        postman: &Postman,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let filter = WebhookFilter {
            states: vec![WebhookState::Enabled],
            ..WebhookFilter::default()
        };
        // Who adds one at the same moment as another may have made more than there may be.
        let mut enabled: Vec<WebhookId> = Vec::new();
        loop {
            let page = Page {
                after: enabled.last().copied(),
                ..Page::first(MAX_WEBHOOKS)
            };
            let more: Vec<Webhook> = self.parts.store.list(&filter, page).await?;
            if more.is_empty() {
                break;
            }
            enabled.extend(more.into_iter().map(|webhook| webhook.id));
        }
        for id in enabled {
            if let Some(call) = round.out.get(&id) {
                call.send_modify(|calls| *calls += 1);
                continue;
            }
            let (call, calls) = watch::channel(1);
            let courier = self.courier(id, calls, postman.clone());
            let cancel = cancel.clone();
            let task = round
                .couriers
                .spawn(async move { courier.work(&cancel).await });
            round.by_task.insert(task.id(), id);
            round.out.insert(id, call);
        }
        Ok(())
    }
}

impl Round {
    /// Until there is something to look at.
    async fn wait(
        &mut self,
        hints: &mut Subscription,
        sweep: &mut Sweep,
        cancel: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Some(ended) = self.couriers.join_next_with_id() => self.came_back(ended),
                Some(_) = hints.recv() => return,
                () = sweep.come() => return,
            }
        }
    }

    fn came_back(&mut self, ended: std::result::Result<(Id, ()), tokio::task::JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => {
                tracing::error!(%error, "a courier broke off");
                error.id()
            }
        };
        if let Some(id) = self.by_task.remove(&task) {
            self.out.remove(&id);
        }
    }
}

/// Notes that a look was made, or waits a moment for the next one where it failed.
async fn rest_after(sent: Result<()>, sweep: &mut Sweep) {
    let Err(error) = sent else {
        return sweep.done();
    };
    let error = error_chain(&error);
    tracing::error!(error, "webhooks could not be looked at");
    sweep.again();
    tokio::time::sleep(AFTER_A_FAILURE).await;
}

/// Whether it was another writer that was quicker.
fn is_race(error: &Error) -> bool {
    error.is_conflict()
}
