//! Sends an event of a delivery once more, because a person wants that.

use fusion_core::{
    Change, Decision, Event, Webhook, WebhookAttempt, WebhookAttemptId, WebhookId, WebhookOutcome,
};
use fusion_persistence::{
    Error as StoreError, EventFilter, Page, Repository, WEBHOOK_ATTEMPTS, WebhookAttemptFilter,
};

use super::postman::{Postman, Tried};
use crate::races::Races;
use crate::{Ask, Coordinator, Result};

impl Coordinator {
    /// Sends the event of a delivery to its webhook now, once, under the id of all its attempts, whatever the
    /// state of the webhook; and notes the attempt. Where it is the event in the way of the others and it is
    /// taken, those come next. One that is not taken is tried again when it would have been.
    ///
    /// # Errors
    /// `NotFound`: there is no such delivery, or its event was deleted by its age. The store
    /// fails; the event may have been sent then.
    pub async fn resend_delivery(
        &self,
        postman: &Postman,
        delivery: WebhookAttemptId,
        ask: impl Fn() -> Ask + Send + Sync,
    ) -> Result<Tried> {
        let store = &self.parts.store;
        let before: WebhookAttempt = store.get(delivery).await?;
        let id = before.webhook_id;
        let webhook: Webhook = store.get(id).await?;
        let event = self.event_at(before.seq).await?;
        let moment = self.moment();
        let last = self.last_attempt(id, before.seq).await?;
        let tried = Box::pin(postman.send(&webhook, event, moment.now)).await;
        let attempt = WebhookAttempt {
            id: WebhookAttemptId::from_uuid(moment.ids.uuid()),
            attempt: last.saturating_add(1),
            status: tried.status,
            error: tried.error().map(str::to_owned),
            duration_ms: tried.duration_ms,
            at: moment.now,
            ..before
        };
        self.note_resent(&attempt, &tried, ask).await?;
        Ok(tried)
    }

    /// The number of the newest attempt to deliver an event to a webhook; none has the number 0.
    pub(super) async fn last_attempt(&self, webhook: WebhookId, seq: u64) -> Result<u32> {
        let filter = WebhookAttemptFilter {
            webhook: Some(webhook),
        };
        let page = Page::first(WEBHOOK_ATTEMPTS);
        let made: Vec<WebhookAttempt> = self.parts.store.list(&filter, page).await?;
        let made = made.into_iter().filter(|it| it.seq == seq);
        Ok(made.map(|it| it.attempt).max().unwrap_or_default())
    }

    /// The event at a place of the log.
    async fn event_at(&self, seq: u64) -> Result<Event> {
        let all = EventFilter::default();
        let found = self
            .parts
            .store
            .events_before(&all, Some(seq.saturating_add(1)), 1)
            .await?;
        let event = found.into_iter().find(|event| event.seq == seq);
        event.ok_or_else(|| {
            let id = format!("number {seq}, which was deleted by its age");
            StoreError::NotFound {
                entity: "event",
                id,
            }
            .into()
        })
    }

    /// Writes down what came of it. Who moves the webhook on meanwhile is quicker, and no harm is done.
    async fn note_resent(
        &self,
        attempt: &WebhookAttempt,
        tried: &Tried,
        ask: impl Fn() -> Ask + Send + Sync,
    ) -> Result<()> {
        let id = attempt.webhook_id;
        let mut races = Races::new();
        loop {
            let row: Webhook = self.parts.store.get(id).await?;
            let mut decision = Decision::default().with(Change::create(attempt.clone()));
            let is_taken = tried.outcome == WebhookOutcome::Taken;
            let moved = row.unblocked(attempt.seq).filter(|_| is_taken);
            if let Some(moved) = moved {
                decision = decision.with(Change::update(moved));
            }
            let place = ("webhook", id.uuid());
            let batch = ask().batch("resent", decision, place, self.moment());
            match self.commit(batch).await {
                Ok(()) => break,
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(error) => return Err(error),
            }
        }
        self.hint_webhooks();
        Ok(())
    }
}
