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
    /// Whether there may be something to send now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == WebhookState::Enabled && self.trouble.next_at.is_none_or(|next| next <= now)
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
        let since = self.trouble.since.unwrap_or(now);
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
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use uuid::Uuid;

    use super::{Webhook, WebhookOutcome, WebhookSecrets, WebhookState, WebhookTrouble, own_wait};
    use crate::{EventType, IdSource, Moment, NewEvent, Sealed, Timestamp, WebhookId};

    #[derive(Debug)]
    struct Always(Uuid);

    impl IdSource for Always {
        fn uuid(&self) -> Uuid {
            self.0
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    fn webhook() -> Webhook {
        Webhook {
            id: WebhookId::from_uuid(Uuid::from_u128(1)),
            name: "ops".to_owned(),
            url: "https://hooks.example/".to_owned(),
            events: Vec::new(),
            severities: Vec::new(),
            project: None,
            allows_private: false,
            secrets: WebhookSecrets {
                current: Sealed::from_bytes(vec![1]),
                previous: None,
            },
            state: WebhookState::Enabled,
            reason: None,
            cursor: 7,
            trouble: WebhookTrouble::default(),
            lease: None,
            created_at: at(0),
            updated_at: at(0),
            version: 4,
        }
    }

    fn decided(
        webhook: Webhook,
        outcome: WebhookOutcome,
        now: Timestamp,
    ) -> (Webhook, Option<NewEvent>) {
        let ids = Always(Uuid::nil());
        webhook.after(9, outcome, Moment { now, ids: &ids })
    }

    fn refused(wait: Option<u64>) -> WebhookOutcome {
        WebhookOutcome::Refused {
            why: "answered 503".to_owned(),
            wait: wait.map(Duration::from_secs),
        }
    }

    #[test]
    fn what_was_taken_moves_the_cursor_and_ends_the_trouble() {
        let troubled = Webhook {
            trouble: WebhookTrouble {
                attempts: 3,
                since: Some(at(1)),
                next_at: Some(at(2)),
            },
            ..webhook()
        };
        let expected = Webhook {
            cursor: 9,
            ..webhook()
        };
        let after = decided(troubled, WebhookOutcome::Taken, at(10));
        assert_eq!(after, (expected, None));
    }

    #[test]
    fn the_waits_grow_and_a_receiver_may_ask_for_more() {
        let waits = (1..=10).map(|attempts| own_wait(attempts).as_secs());
        let expected = [5, 30, 120, 300, 900, 1_800, 3_600, 7_200, 7_200, 7_200];
        assert_eq!(waits.collect::<Vec<_>>(), expected);
        for (wait, next) in [(None, 105), (Some(2), 105), (Some(60), 160)] {
            let trouble = WebhookTrouble {
                attempts: 1,
                since: Some(at(100)),
                next_at: Some(at(next)),
            };
            let expected = Webhook {
                trouble,
                ..webhook()
            };
            let after = decided(webhook(), refused(wait), at(100));
            assert_eq!(after, (expected, None));
        }
    }

    #[test]
    fn after_a_day_of_failures_it_stops_and_that_is_told_once() {
        let (mut row, mut now, mut attempts, mut told) = (webhook(), at(0), 0, Vec::new());
        while row.state == WebhookState::Enabled {
            let (next, event) = decided(row, refused(None), now);
            told.extend(event);
            attempts += 1;
            now = next.trouble.next_at.unwrap_or(now);
            row = next;
        }
        assert_eq!((now, attempts), (at(24 * 3_600), 20));
        let why = "nothing was taken for 24 hours, in 20 attempts: answered 503";
        let trouble = WebhookTrouble {
            attempts: 19,
            since: Some(at(0)),
            next_at: None,
        };
        let expected = Webhook {
            state: WebhookState::Stopped,
            reason: Some(why.to_owned()),
            trouble,
            updated_at: now,
            ..webhook()
        };
        assert_eq!(row, expected);
        let [event] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(event.event_type, EventType::WebhookFailed);
        let told = "nothing was taken for 24 hours, in 20 attempts";
        let data = json!({ "webhook_id": row.id, "name": "ops", "reason": told });
        assert_eq!(event.data, data);
    }

    #[test]
    fn a_day_without_a_server_does_not_stop_it() {
        let first = WebhookTrouble {
            attempts: 1,
            since: Some(at(0)),
            next_at: Some(at(5)),
        };
        let row = Webhook {
            trouble: first,
            ..webhook()
        };
        let now = 30 * 3_600;
        let trouble = WebhookTrouble {
            attempts: 2,
            next_at: Some(at(now + 30)),
            ..first
        };
        let expected = Webhook {
            trouble,
            ..webhook()
        };
        let after = decided(row, refused(None), at(now));
        assert_eq!(after, (expected, None));
    }

    #[test]
    fn a_receiver_that_is_gone_stops_it_at_once() {
        let gone = WebhookOutcome::Gone {
            why: "answered 410".to_owned(),
        };
        let (row, told) = decided(webhook(), gone, at(5));
        let is = (row.state, row.cursor, row.reason.as_deref());
        assert_eq!(is, (WebhookState::Stopped, 7, Some("answered 410")));
        assert_eq!(
            told.map(|told| told.event_type),
            Some(EventType::WebhookFailed)
        );
    }

    #[test]
    fn a_person_switches_it_and_its_place_stays() {
        let stopped = Webhook {
            state: WebhookState::Stopped,
            reason: Some("why".to_owned()),
            ..webhook()
        };
        let on = stopped.switched(true, at(9));
        let expected = Webhook {
            updated_at: at(9),
            ..webhook()
        };
        assert_eq!(on, expected);
        assert_eq!(on.clone().switched(true, at(10)), on);
        let off = webhook().switched(false, at(9));
        assert_eq!(
            (off.state, off.is_due(at(99))),
            (WebhookState::Disabled, false)
        );
    }

    #[test]
    fn a_secret_that_was_replaced_signs_for_a_day_more() {
        let new = Sealed::from_bytes(vec![2]);
        let row = webhook().rotated(new.clone(), at(5));
        let previous = Some((Sealed::from_bytes(vec![1]), at(5 + 24 * 3_600)));
        let expected = WebhookSecrets {
            current: new,
            previous,
        };
        assert_eq!((row.secrets, row.updated_at), (expected, at(5)));
    }
}
