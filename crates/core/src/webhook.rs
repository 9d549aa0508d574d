//! Webhooks: receivers that the event log is sent to. The log is the outbox: a webhook keeps a place in it.

use std::time::Duration;

use serde_json::json;

use crate::transition::text_enum;
use crate::{
    EventId, EventType, Moment, NewEvent, NodeId, ProjectId, Sealed, Severity, Timestamp,
    WebhookAttemptId, WebhookId,
};

text_enum! {
    /// Whether events are sent.
    WebhookState {
        /// They are.
        Enabled = "enabled",
        /// A person does not want them to be.
        Disabled = "disabled",
        /// Its receiver took none for a day, or is gone for good.
        Stopped = "stopped",
    }
}

/// How long an event is tried before its webhook stops.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_hours(24);

/// How long a secret that was replaced still signs beside the new one.
pub const WEBHOOK_SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// How long one node delivers for a webhook without a word: longer than one attempt takes.
pub const WEBHOOK_LEASE: Duration = Duration::from_secs(30);

/// The clocks of nodes that share a store are less than this apart.
const SKEW: Duration = Duration::from_mins(1);

/// The waits after the first attempts of an event, in seconds; the last one repeats.
const WAITS: [u64; 8] = [5, 30, 120, 300, 900, 1_800, 3_600, 7_200];

/// The secrets that messages are signed with, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// Signs from now on.
    pub current: Sealed,
    /// Signs beside it until then.
    pub previous: Option<(Sealed, Timestamp)>,
}

/// The right of one node to deliver for a webhook: it holds until the time that is told, by the clock of
/// the node, or until somebody writes the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookLease {
    /// Who delivers.
    pub owner: NodeId,
    /// When another may.
    pub until: Timestamp,
}

impl WebhookLease {
    /// Until when others are to wait. One that ends later than any that is given now is of a clock that was
    /// set back since: it has run out.
    #[must_use]
    pub fn holds_until(&self, now: Timestamp) -> Option<Timestamp> {
        let is_given = self.until <= now + WEBHOOK_LEASE + SKEW;
        (is_given && self.until > now).then_some(self.until)
    }
}

/// How the delivery of the event after the cursor goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookTrouble {
    /// Attempts that failed.
    pub attempts: u32,
    /// When the first of them failed.
    pub since: Option<Timestamp>,
    /// When the next one is made.
    pub next_at: Option<Timestamp>,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Names the webhook.
    pub id: WebhookId,
    /// Unique.
    pub name: String,
    /// Where events are sent.
    pub url: String,
    /// Events of types that one of these patterns matches; none of them is all.
    pub events: Vec<String>,
    /// Events of these severities; none of them is all.
    pub severities: Vec<Severity>,
    /// Only events of this project.
    pub project: Option<ProjectId>,
    /// Its receiver may be in a private network, or on this machine.
    pub allows_private: bool,
    /// What signs.
    pub secrets: WebhookSecrets,
    /// Whether events are sent.
    pub state: WebhookState,
    /// Why it stopped.
    pub reason: Option<String>,
    /// Place in the log of the last event that was taken, or is none of those selected.
    pub cursor: u64,
    /// How the next one goes.
    pub trouble: WebhookTrouble,
    /// Who delivers now.
    pub lease: Option<WebhookLease>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When a person last changed it, or it stopped.
    pub updated_at: Timestamp,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

/// One attempt to deliver an event, for people to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookAttempt {
    /// Names the attempt.
    pub id: WebhookAttemptId,
    /// Of which webhook.
    pub webhook_id: WebhookId,
    /// Place of the event in the log.
    pub seq: u64,
    /// Its type, or `gap` for events that were deleted by their age before they could be sent.
    pub event_type: String,
    /// Which attempt of this event it was, from 1.
    pub attempt: u32,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it did not count; `None` where the event was taken.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// When it began.
    pub at: Timestamp,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It was taken.
    Taken,
    /// It was not, for this reason; the receiver may have told how long it wants to be left alone.
    Refused {
        /// In a few words.
        why: String,
        /// What the receiver asks for.
        wait: Option<Duration>,
    },
    /// The receiver is gone for good.
    Gone {
        /// In a few words.
        why: String,
    },
}

impl Webhook {
    /// When the next attempt is made; `None` is now. A clock that was set back since the last attempt is not
    /// waited for, where that shows: the first failure is to come, or the wait is longer than any.
    #[must_use]
    pub fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.trouble.next_at.filter(|next| *next > now)?;
        let is_set_back = self.trouble.since.is_some_and(|since| since > now + SKEW)
            || next > now + WEBHOOK_PATIENCE + SKEW;
        (!is_set_back).then_some(next)
    }

    /// How it goes on after an attempt to send the event at this place: the row, and what is told where it
    /// stops. Nothing else is told, so that webhooks do not send each other what they did for ever.
    #[must_use]
    pub fn after(
        self,
        seq: u64,
        outcome: WebhookOutcome,
        moment: Moment<'_>,
    ) -> (Self, Option<NewEvent>) {
        match outcome {
            WebhookOutcome::Taken => {
                let taken = Self {
                    cursor: seq,
                    trouble: WebhookTrouble::default(),
                    ..self
                };
                (taken, None)
            }
            WebhookOutcome::Gone { why } => self.stopped(&why, None, moment),
            WebhookOutcome::Refused { why, wait } => self.refused(&why, wait, moment),
        }
    }

    fn refused(
        self,
        why: &str,
        wait: Option<Duration>,
        moment: Moment<'_>,
    ) -> (Self, Option<NewEvent>) {
        let now = moment.now;
        let attempts = self.trouble.attempts.saturating_add(1);
        // The clock may have been set back since.
        let since = self.trouble.since.unwrap_or(now).min(now);
        let end = since + WEBHOOK_PATIENCE;
        // A day without a server counts for nothing: it has tried in vain after each of the waits.
        if now >= end && usize::try_from(attempts).is_ok_and(|made| made > WAITS.len()) {
            let hours = WEBHOOK_PATIENCE.as_secs() / 3_600;
            let told = format!("nothing was taken for {hours} hours, in {attempts} attempts");
            return self.stopped(&told, Some(why), moment);
        }
        let demanded = wait.unwrap_or_default().min(WEBHOOK_PATIENCE);
        // The last attempt is at the end of the patience, or later where the receiver asks for that.
        let own = now + own_wait(attempts);
        let own = if now < end { own.min(end) } else { own };
        let next_at = Some(own.max(now + demanded));
        let trouble = WebhookTrouble {
            attempts,
            since: Some(since),
            next_at,
        };
        (Self { trouble, ..self }, None)
    }

    /// What the last attempt met is kept with the webhook alone: it may tell of what is behind an address,
    /// and events are read by more people, and sent to others.
    fn stopped(self, why: &str, met: Option<&str>, moment: Moment<'_>) -> (Self, Option<NewEvent>) {
        let event = NewEvent {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type: EventType::WebhookFailed,
            severity: Severity::Error,
            source_agent_id: None,
            source_component: "coordination".to_owned(),
            run_id: None,
            data: json!({ "webhook_id": self.id, "name": self.name, "reason": why }),
            message: format!("webhook {} stopped: {why}", self.name),
            message_queue_topic: None,
        };
        let stopped = Self {
            state: WebhookState::Stopped,
            reason: Some(met.map_or_else(|| why.to_owned(), |met| format!("{why}: {met}"))),
            trouble: WebhookTrouble {
                next_at: None,
                ..self.trouble
            },
            lease: None,
            updated_at: moment.now,
            ..self
        };
        (stopped, Some(event))
    }

    /// How it goes on after a person had the event at this place, which was tried before, sent again and it was
    /// taken. All that was tried after the cursor is the one event in the way; `None` where it was another, and
    /// the row stays as it is.
    #[must_use]
    pub fn unblocked(self, seq: u64) -> Option<Self> {
        (seq > self.cursor).then(|| Self {
            cursor: seq,
            trouble: WebhookTrouble::default(),
            ..self
        })
    }

    /// A person wants events to be sent, or not. What came meanwhile is sent then; what is so already
    /// stays as it is.
    #[must_use]
    pub fn switched(self, on: bool, now: Timestamp) -> Self {
        let state = if on {
            WebhookState::Enabled
        } else {
            WebhookState::Disabled
        };
        if self.state == state {
            return self;
        }
        Self {
            state,
            reason: None,
            trouble: WebhookTrouble::default(),
            lease: None,
            updated_at: now,
            ..self
        }
    }

    /// Another secret signs from now on, and the one before beside it for a day.
    #[must_use]
    pub fn rotated(self, secret: Sealed, now: Timestamp) -> Self {
        let until = now + WEBHOOK_SECRET_OVERLAP;
        Self {
            secrets: WebhookSecrets {
                current: secret,
                previous: Some((self.secrets.current, until)),
            },
            updated_at: now,
            ..self
        }
    }
}

fn own_wait(attempts: u32) -> Duration {
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let seconds = WAITS.get(place).or(WAITS.last());
    Duration::from_secs(seconds.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests;
