use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::DeliveryStatus::{self, Delivered, Expired, Failed, Pending};
use super::*;
use crate::clock::counted::Ids;
use crate::transition::StateMachine;
use crate::{
    Change, Coded, Decision, ErrorCode, EventType, Moment, RunId, error_chain, run_subject,
};

fn now() -> Timestamp {
    DateTime::from_timestamp(1_000, 0).unwrap()
}

fn moment(ids: &Ids) -> Moment<'_> {
    Moment { now: now(), ids }
}

fn agent(number: u128) -> AgentId {
    AgentId::from_uuid(Uuid::from_u128(number))
}

fn draft() -> Draft<'static> {
    Draft {
        sender: None,
        run_id: Some(RunId::from_uuid(Uuid::from_u128(7))),
        audience: Audience::Agents(vec![agent(1)]),
        topic: "review.done".to_owned(),
        message_type: "note".to_owned(),
        payload: json!("hello"),
        reply_to: None,
        expiry_at: None,
    }
}

fn send(draft: Draft<'_>) -> Result<(Message, Decision), MessageFault> {
    draft.send(MessageLimits::default(), moment(&Ids::default()))
}

fn sent(draft: Draft<'_>) -> (Message, Letter) {
    let (message, mut decision) = send(draft).unwrap();
    assert_eq!(decision.changes.len(), 1);
    match decision.changes.pop() {
        Some(Change::SendMessage(letter)) => (message, *letter),
        other => panic!("{other:?}"),
    }
}

/// What a refusal says, once it is sure that the input is blamed.
fn refusal(draft: Draft<'_>) -> String {
    let fault = send(draft).unwrap_err();
    assert_eq!(fault.code(), ErrorCode::InvalidInput);
    error_chain(&fault)
}

/// A list in a list in a list.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[test]
fn a_delivery_has_exactly_these_moves() {
    let allowed: Vec<(DeliveryStatus, DeliveryStatus)> = DeliveryStatus::ALL
        .iter()
        .flat_map(|from| DeliveryStatus::ALL.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from.allows(*to))
        .collect();
    assert_eq!(
        allowed,
        [
            (Pending, Delivered),
            (Pending, Failed),
            (Pending, Expired),
            (Failed, Delivered),
            (Expired, Delivered),
        ]
    );
}

#[test]
fn a_message_is_sent_once_to_each_recipient_and_told() {
    let twice = Draft {
        audience: Audience::Agents(vec![agent(2), agent(1), agent(2)]),
        ..draft()
    };
    let (message, decision) = send(twice.clone()).unwrap();
    let (_, letter) = sent(twice);
    assert_eq!(letter.recipients, [agent(2), agent(1)]);
    assert_eq!(letter.message, message);
    assert_eq!(
        message.recipient_agent_ids.as_ref(),
        Some(&letter.recipients)
    );
    assert_eq!((message.seq, message.hops), (0, 0));
    assert_eq!(letter.inbox_limit, 1_000);
    let [event] = decision.events.as_slice() else {
        panic!("{decision:?}");
    };
    assert_eq!(event.event_type, EventType::MessageSent);
    assert_eq!(event.data["message_id"], json!(message.id));
    let wanted = [
        "review.done".to_owned(),
        inbox_subject(agent(1)),
        inbox_subject(agent(2)),
        run_subject(message.run_id.unwrap()),
    ];
    assert_eq!(decision.subjects(), BTreeSet::from(wanted));
}

#[test]
fn who_listens_is_told_by_the_deliveries_only() {
    let (message, letter) = sent(Draft {
        audience: Audience::Listeners(vec![agent(1), agent(2)]),
        ..draft()
    });
    assert_eq!(message.recipient_agent_ids, None);
    assert_eq!(letter.recipients, [agent(1), agent(2)]);
}

fn with(payload: Value) -> Draft<'static> {
    Draft { payload, ..draft() }
}

fn to(count: u128) -> Draft<'static> {
    Draft {
        audience: Audience::Listeners((0..count).map(agent).collect()),
        ..draft()
    }
}

fn typed(length: usize) -> Draft<'static> {
    Draft {
        message_type: "x".repeat(length),
        ..draft()
    }
}

fn on(topic: &str) -> Draft<'static> {
    Draft {
        topic: topic.to_owned(),
        ..draft()
    }
}

fn until(seconds: i64) -> Draft<'static> {
    Draft {
        expiry_at: Some(now() + TimeDelta::seconds(seconds)),
        ..draft()
    }
}

#[test]
fn what_is_just_within_a_limit_is_sent() {
    // The quotes around a text count.
    for most in [
        with(json!("x".repeat(MAX_PAYLOAD_BYTES - 2))),
        with(nested(MAX_PAYLOAD_DEPTH)),
        to(1_000),
        typed(64),
        on(&"x".repeat(255)),
        until(1),
    ] {
        send(most).unwrap();
    }
}

#[test]
fn what_is_beyond_a_limit_is_refused_by_its_name() {
    let refused: [(Draft<'_>, &str); 9] = [
        (
            with(json!("x".repeat(MAX_PAYLOAD_BYTES - 1))),
            "the content has more than 1048576 bytes (1 MiB) as JSON, which is the limit",
        ),
        (
            with(nested(MAX_PAYLOAD_DEPTH + 1)),
            "the content is nested deeper than 64 levels, which is the limit",
        ),
        (
            to(1_001),
            "1001 agents would get the message: 1000 are allowed",
        ),
        (
            to(0),
            "nobody would get the message: no agent listens to 'review.done'",
        ),
        (
            typed(65),
            "a message type of 65 bytes can't be used: 1 to 64 bytes are allowed",
        ),
        (
            typed(0),
            "a message type of 0 bytes can't be used: 1 to 64 bytes are allowed",
        ),
        (
            on(&"x".repeat(256)),
            "the topic can't be used: a subject of 256 bytes is too long: 255 bytes are allowed",
        ),
        (
            on("review.*"),
            "the topic can't be used: subject \"review.*\" has '*': blanks, control characters and \
             * ? [ ] \\ are not allowed in a subject",
        ),
        (
            until(0),
            "the message would expire at 1970-01-01 00:16:40 UTC, which has passed: name a later time",
        ),
    ];
    for (draft, told) in refused {
        assert_eq!(refusal(draft), told);
    }
}

#[test]
fn replies_count_their_hops_and_end_at_the_limit() {
    let (mut last, _) = sent(draft());
    for hops in 1..=16 {
        let (reply, _) = sent(Draft {
            reply_to: Some(&last),
            ..draft()
        });
        assert_eq!((reply.hops, reply.reply_to), (hops, Some(last.id)));
        last = reply;
    }
    let once_more = Draft {
        reply_to: Some(&last),
        ..draft()
    };
    assert_eq!(
        refusal(once_more),
        "16 messages went to and fro before this one, which is the limit: end the talk, and go on with \
         what was said"
    );
}

#[test]
fn a_talk_goes_on_by_one_whether_a_message_names_what_it_answers_or_not() {
    let ids = Ids::default();
    let hops = |draft: Draft<'_>, heard| {
        let sent = draft.send_after(heard, MessageLimits::default(), moment(&ids));
        sent.map(|(message, _)| message.hops)
    };
    let (answered, _) = draft()
        .send_after(Some(4), MessageLimits::default(), moment(&ids))
        .unwrap();
    assert_eq!(answered.hops, 5);
    let answers = || Draft {
        reply_to: Some(&answered),
        ..draft()
    };
    // Naming an old message does not bring a talk back.
    for (heard, wanted) in [(None, 6), (Some(0), 6), (Some(9), 10)] {
        assert_eq!(hops(answers(), heard).unwrap(), wanted, "{heard:?}");
    }
    assert_eq!(hops(draft(), Some(15)).unwrap(), 16);
    let refused = hops(draft(), Some(16)).unwrap_err();
    assert!(matches!(refused, MessageFault::TooManyHops { limit: 16 }));
    let refused = hops(draft(), Some(u32::MAX)).unwrap_err();
    assert!(matches!(refused, MessageFault::TooManyHops { limit: 16 }));
}

#[test]
fn a_payload_is_read_from_text_within_its_limits() {
    let told = |text: &[u8]| error_chain(&payload_from_json(text).unwrap_err());
    assert_eq!(
        payload_from_json(br#"{"a": ["[[[", "\"[", 1]}"#).unwrap(),
        json!({ "a": ["[[[", "\"[", 1] })
    );
    let limit = "the content has more than 1048576 bytes (1 MiB) as JSON, which is the limit";
    assert_eq!(told(&vec![b' '; 64 * 1024 * 1024]), limit);
    let deep = [b'['; 10_000];
    let levels = "the content is nested deeper than 64 levels, which is the limit";
    assert_eq!(told(&deep), levels);
    assert_eq!(
        told(b"\"a\xff\""),
        "the content is not UTF-8: byte 2 is wrong: invalid utf-8 sequence of 1 bytes from index 2"
    );
    assert!(told(b"{").starts_with("the content is not JSON: EOF while parsing"));
}

fn delivery(number: u128, status: DeliveryStatus) -> Delivery {
    Delivery {
        message_id: MessageId::from_uuid(Uuid::nil()),
        seq: 1,
        agent_id: agent(number),
        status,
        settled_at: None,
        reason: None,
    }
}

#[test]
fn a_dead_letter_is_sent_again_to_those_who_have_not_read_it() {
    let (first, _) = sent(Draft {
        audience: Audience::Agents((1..=4).map(agent).collect()),
        expiry_at: Some(now() + TimeDelta::seconds(60)),
        ..draft()
    });
    let ids = Ids::default();
    let later = Moment {
        now: now() + TimeDelta::seconds(600),
        ids: &ids,
    };
    let statuses = [Delivered, Failed, Pending, Expired];
    let deliveries: Vec<Delivery> = (1..)
        .zip(statuses)
        .map(|(number, status)| delivery(number, status))
        .collect();
    let limits = MessageLimits::default();
    let (again, decision) = first.resend(&deliveries, limits, later).unwrap();
    let Some(Change::SendMessage(letter)) = decision.changes.first() else {
        panic!("{decision:?}");
    };
    assert_eq!(letter.recipients, [agent(2), agent(4)]);
    assert_eq!(
        again,
        Message {
            id: again.id,
            timestamp: later.now,
            recipient_agent_ids: Some(letter.recipients.clone()),
            resends: Some(first.id),
            expiry_at: Some(later.now + TimeDelta::seconds(60)),
            ..first.clone()
        }
    );
    let read = first.resend(&deliveries[..1], limits, later).unwrap_err();
    assert_eq!(read.code(), ErrorCode::Conflict);
}

#[test]
fn what_will_not_be_read_is_given_up_agent_by_agent() {
    let undelivered: Vec<Undelivered> = [(1, 5), (2, 5), (1, 6)]
        .map(|(recipient, message)| Undelivered {
            message_id: MessageId::from_uuid(Uuid::from_u128(message)),
            agent_id: agent(recipient),
            run_id: None,
            topic: "t".to_owned(),
        })
        .into();
    let outcome = Outcome::Failed("the agent has ended".to_owned());
    let ids = Ids::default();
    let decision = settle_undelivered(&undelivered, &outcome, moment(&ids));
    assert_eq!(decision.events, []);
    let mut told: BTreeMap<AgentId, Vec<(u128, EventType)>> = BTreeMap::new();
    for change in &decision.changes {
        let Change::SettleDeliveries(settlement) = change else {
            panic!("{change:?}");
        };
        assert_eq!(settlement.outcome, outcome);
        let events = settlement.told.iter();
        let events = events.map(|(id, event)| (id.uuid().as_u128(), event.event_type));
        told.insert(settlement.agent_id, events.collect());
    }
    let failed = EventType::MessageFailed;
    let wanted = [
        (agent(1), vec![(5, failed), (6, failed)]),
        (agent(2), vec![(5, failed)]),
    ];
    assert_eq!(told, BTreeMap::from(wanted));
}

fn status() -> impl Strategy<Value = DeliveryStatus> {
    prop::sample::select(DeliveryStatus::ALL)
}

proptest! {
    #[test]
    fn the_status_of_a_message_is_the_gravest_of_its_deliveries(statuses in vec(status(), 0..8)) {
        let any = |status| statuses.contains(&status);
        let wanted = if any(Pending) {
            Pending
        } else if any(Failed) {
            Failed
        } else if any(Expired) {
            Expired
        } else {
            Delivered
        };
        prop_assert_eq!(DeliveryStatus::of_message(statuses), wanted);
    }

    /// Whatever is told of a delivery in whatever order: it leaves `pending` once, and once it is
    /// delivered it stays so.
    #[test]
    fn a_delivery_ends_and_is_read_once_at_most(told in vec(status(), 0..20)) {
        let (mut now, mut read, mut left) = (Pending, 0, 0);
        for to in told {
            if now.allows(to) {
                left += u32::from(now == Pending);
                read += u32::from(to == Delivered);
                now = to;
            }
        }
        prop_assert!(read <= 1 && left <= 1);
        prop_assert_eq!(now == Delivered, read == 1);
    }

    /// No text at all makes the reader fail otherwise than by an answer; what it takes can be sent,
    /// stored inside other JSON and read back.
    #[test]
    fn what_is_read_as_a_payload_can_be_sent(
        text in vec(prop::sample::select(b"[]{}\":,1a\\ \xff".to_vec()), 0..40),
        levels in 0_usize..200,
    ) {
        let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for text in [text.as_slice(), nested.as_bytes()] {
            let Ok(payload) = payload_from_json(text) else { continue };
            let is_sent = send(Draft { payload: payload.clone(), ..draft() }).is_ok();
            prop_assert!(is_sent);
            let inside = json!({ "request": { "messages": [{ "payload": payload }] } });
            let text = inside.to_string();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), inside);
        }
        let is_read = payload_from_json(nested.as_bytes()).is_ok();
        prop_assert_eq!(is_read, (1..=MAX_PAYLOAD_DEPTH).contains(&levels));
    }

    /// Nobody gets a message twice, and nobody who was named is left out.
    #[test]
    fn recipients_are_those_who_were_named(named in vec(0_u128..50, 1..100)) {
        let audience = Audience::Agents(named.iter().copied().map(agent).collect());
        let (_, letter) = sent(Draft { audience, ..draft() });
        let wanted: BTreeSet<AgentId> = named.into_iter().map(agent).collect();
        prop_assert_eq!(letter.recipients.len(), wanted.len());
        prop_assert_eq!(letter.recipients.into_iter().collect::<BTreeSet<_>>(), wanted);
    }
}
