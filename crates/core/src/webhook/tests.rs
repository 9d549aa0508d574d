use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{
    Webhook, WebhookLease, WebhookOutcome, WebhookSecrets, WebhookState, WebhookTrouble, own_wait,
};
use crate::{EventType, IdSource, Moment, NewEvent, NodeId, Sealed, Timestamp, WebhookId};

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
fn a_clock_that_was_set_back_is_not_waited_for() {
    const HOUR: i64 = 3_600;
    let now = 100 * HOUR;
    // The first failure, the next attempt, and when that is made.
    let cases = [
        (now - 9, now, None),
        (now - 9, now + 5, Some(now + 5)),
        // The receiver asked for the longest wait; the other node's clock is ahead.
        (now, now + 24 * HOUR, Some(now + 24 * HOUR)),
        (now + 60, now + 24 * HOUR + 60, Some(now + 24 * HOUR + 60)),
        (now - 9, now + 24 * HOUR + 61, None),
        // Set back by three hours just after the first failure.
        (now + 3 * HOUR, now + 3 * HOUR + 5, None),
    ];
    for (since, next, expected) in cases {
        let trouble = WebhookTrouble {
            attempts: 1,
            since: Some(at(since)),
            next_at: Some(at(next)),
        };
        let row = Webhook {
            trouble,
            ..webhook()
        };
        assert_eq!(row.rests_until(at(now)), expected.map(at), "{since} {next}");
    }
}

#[test]
fn after_a_clock_was_set_back_the_waits_are_as_long_as_ever() {
    let trouble = WebhookTrouble {
        attempts: 1,
        since: Some(at(50_000)),
        next_at: Some(at(50_005)),
    };
    let row = Webhook {
        trouble,
        ..webhook()
    };
    let trouble = WebhookTrouble {
        attempts: 2,
        since: Some(at(100)),
        next_at: Some(at(130)),
    };
    let expected = Webhook {
        trouble,
        ..webhook()
    };
    let after = decided(row, refused(None), at(100));
    assert_eq!(after, (expected.clone(), None));
    assert_eq!(expected.rests_until(at(100)), Some(at(130)));
}

#[test]
fn a_lease_that_ends_later_than_any_that_is_given_has_run_out() {
    let holds = [99, 100, 101, 130, 190, 191, 50_000].map(|until| {
        let lease = WebhookLease {
            owner: NodeId::from_uuid(Uuid::nil()),
            until: at(until),
        };
        lease.holds_until(at(100)).map(|until| until.timestamp())
    });
    let expected = [None, None, Some(101), Some(130), Some(190), None, None];
    assert_eq!(holds, expected);
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
    assert_eq!(off.state, WebhookState::Disabled);
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

#[test]
fn an_event_that_was_taken_at_a_person_s_word_is_no_longer_in_the_way_and_another_changes_nothing()
{
    let stopped = Webhook {
        state: WebhookState::Stopped,
        trouble: WebhookTrouble {
            attempts: 9,
            since: Some(at(1)),
            next_at: None,
        },
        ..webhook()
    };
    let moved = Webhook {
        cursor: 9,
        trouble: WebhookTrouble::default(),
        ..stopped.clone()
    };
    assert_eq!(stopped.clone().unblocked(9), Some(moved));
    assert_eq!(stopped.unblocked(7), None);
}
