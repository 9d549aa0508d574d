//! Rules of inboxes: what waits for an agent, and deliveries that end once.

use fusion_core::{
    Agent, Change, Decision, Delivery, DeliveryStatus, EventType, Letter, Message, Outcome,
    Undelivered, deliver, settle_undelivered,
};
use futures::future::join_all;

use super::log::NONE;
use super::messages::{sending, sent, settle};
use super::sample::at;
use super::world::{World, late};
use crate::{
    Batch, Error, EventFilter, Fence, INBOX_BYTES, MessageFilter, Repository, Store,
    WriteRepository,
};

/// A letter to some agents that nothing makes expire.
pub(super) fn lasting(world: &World, recipients: &[&str]) -> Letter {
    let agents = recipients.iter().map(|name| world.sample.agents[*name].id);
    let mut letter = world.letter();
    letter.message.expiry_at = None;
    letter.recipients = agents.collect();
    letter
}

async fn places(store: &dyn Store, agent: &Agent, after: u64, limit: u32) -> Vec<u64> {
    let waiting = store.inbox(agent.id, after, limit).await.unwrap();
    waiting.iter().map(|message| message.seq).collect()
}

async fn status(store: &dyn Store, message: &Message) -> DeliveryStatus {
    store.get(message.id).await.unwrap().delivery_status
}

/// What the log tells of messages: the type of each event, and of which message it is.
async fn told(store: &dyn Store) -> Vec<(EventType, String)> {
    let of_messages = EventFilter {
        types: vec!["message.*".to_owned()],
        ..EventFilter::default()
    };
    let events = store.events_after(&of_messages, 0, 1_000).await.unwrap();
    let what = |event: fusion_core::Event| {
        let message = event.event.data["message_id"].as_str().unwrap_or_default();
        (event.event.event_type, message.to_owned())
    };
    events.into_iter().map(what).collect()
}

/// An inbox holds what is pending for its agent, in the order of the log, and is read page by page.
pub async fn an_inbox_is_read_in_the_order_of_the_log(store: &dyn Store) {
    let world = World::store(store).await;
    let [a, b] = ["a", "b"].map(|name| world.sample.agents[name].clone());
    for recipients in [&["a"][..], &["a", "b"], &["b"], &["a"], &["a"]] {
        sent(store, lasting(&world, recipients)).await;
    }
    assert_eq!(places(store, &a, 0, 10).await, [1, 2, 4, 5]);
    assert_eq!(places(store, &a, 0, 2).await, [1, 2]);
    assert_eq!(places(store, &a, 2, 2).await, [4, 5]);
    assert_eq!(places(store, &a, 5, 2).await, NONE);
    assert_eq!(places(store, &b, 0, 10).await, [2, 3]);
    let second = store.inbox(a.id, 0, 10).await.unwrap().remove(1);
    settle(store, &world, a.id, &[second.id], Outcome::Delivered).await;
    assert_eq!(places(store, &a, 0, 10).await, [1, 4, 5]);
    assert_eq!(places(store, &b, 0, 10).await, [2, 3], "its own is pending");
}

/// One look gives no further message once those before it have [`INBOX_BYTES`], and always the first.
pub async fn one_look_at_an_inbox_is_bounded_in_bytes(store: &dyn Store) {
    let world = World::store(store).await;
    let b = world.sample.agents["b"].clone();
    let most = usize::try_from(INBOX_BYTES).unwrap();
    // As JSON each has its quotes, too; the last character of the third takes two bytes.
    let short = most / 2 - 2;
    let contents = [
        "x".repeat(short),
        "x".repeat(short - 1),
        format!("{}é", "x".repeat(short - 3)),
        "x".repeat(most),
        "x".repeat(most),
        "x".to_owned(),
    ];
    for content in contents {
        let mut letter = lasting(&world, &["b"]);
        letter.message.payload = content.into();
        sent(store, letter).await;
    }
    for (after, wanted) in [
        (0, vec![1, 2, 3]),
        (1, vec![2, 3, 4]),
        (3, vec![4]),
        (4, vec![5]),
        (5, vec![6]),
        (6, vec![]),
    ] {
        assert_eq!(places(store, &b, after, 50).await, wanted, "after {after}");
    }
    assert_eq!(places(store, &b, 0, 2).await, [1, 2]);
}

/// Of each sender it is the last message that counts, as far as it was read, and since when.
pub async fn the_last_message_read_of_each_sender_tells_its_hops(store: &dyn Store) {
    let world = World::store(store).await;
    let [a, b] = ["a", "b"].map(|name| world.sample.agents[name].clone());
    let letter = |sender: Option<&Agent>, hops| {
        let mut letter = lasting(&world, &["b"]);
        letter.message.sender_agent_id = sender.map(|agent| agent.id);
        letter.message.hops = hops;
        letter
    };
    let mut messages = Vec::new();
    for (sender, hops) in [(Some(&a), 7), (Some(&a), 3), (None, 5), (Some(&b), 2)] {
        messages.push(sent(store, letter(sender, hops)).await);
    }
    sent(store, letter(Some(&a), 9)).await;
    assert_eq!(store.hops_heard(b.id, at(0)).await.unwrap(), []);
    let read: Vec<_> = messages.iter().map(|message| message.id).collect();
    settle(store, &world, b.id, &read, Outcome::Delivered).await;
    let mut heard = store.hops_heard(b.id, at(300)).await.unwrap();
    heard.sort_unstable_by_key(|(_, hops)| *hops);
    assert_eq!(heard, [(b.id, 2), (a.id, 3)]);
    assert_eq!(store.hops_heard(b.id, at(301)).await.unwrap(), []);
    assert_eq!(store.hops_heard(a.id, at(0)).await.unwrap(), []);
}

/// What has expired by the clock of the database is in no inbox, and is found to be told so.
pub async fn an_expired_message_is_not_read_and_is_found(store: &dyn Store) {
    let world = World::store(store).await;
    let [a, b] = ["a", "b"].map(|name| world.sample.agents[name].clone());
    let mut gone = world.letter();
    gone.message.expiry_at = Some(at(500));
    let gone = sent(store, gone).await;
    let mut kept = world.letter();
    kept.message.expiry_at = Some(late());
    sent(store, kept).await;
    sent(store, lasting(&world, &["a"])).await;
    assert_eq!(places(store, &a, 0, 10).await, [2, 3]);
    let mut overdue = store.overdue_deliveries(10).await.unwrap();
    overdue.sort_by_key(|one| one.agent_id);
    let mut wanted = [a.id, b.id].map(|agent_id| Undelivered {
        message_id: gone.id,
        agent_id,
        run_id: gone.run_id,
        topic: gone.topic.clone(),
    });
    wanted.sort_by_key(|one| one.agent_id);
    assert_eq!(overdue, wanted);
    assert_eq!(store.overdue_deliveries(1).await.unwrap().len(), 1);
    let moment = world.sample.moment();
    let expired = settle_undelivered(&overdue, &Outcome::Expired, moment);
    for _ in 0..2 {
        // Two processes may have looked at once: the second changes nothing.
        store.commit(Batch::free(expired.clone())).await.unwrap();
        assert_eq!(status(store, &gone).await, DeliveryStatus::Expired);
        assert_eq!(store.overdue_deliveries(10).await.unwrap(), []);
    }
    let id = gone.id.to_string();
    let once = (EventType::MessageExpired, id);
    assert_eq!(told(store).await, [once.clone(), once]);
}

/// What waits for an agent that has ended is found, and nothing else is.
pub async fn what_waits_for_an_ended_agent_is_found(store: &dyn Store) {
    let world = World::store(store).await;
    let message = sent(store, lasting(&world, &["a", "b"])).await;
    assert_eq!(store.stranded_deliveries(10).await.unwrap(), []);
    let mut ended = world.sample.agents["b"].clone();
    ended.state = fusion_core::AgentState::Terminated;
    store.update(ended.clone()).await.unwrap();
    let wanted = Undelivered {
        message_id: message.id,
        agent_id: ended.id,
        run_id: message.run_id,
        topic: message.topic.clone(),
    };
    let stranded = store.stranded_deliveries(10).await.unwrap();
    assert_eq!(stranded, [wanted]);
    let failed = Outcome::Failed("b has ended".to_owned());
    let given_up = settle_undelivered(&stranded, &failed, world.sample.moment());
    store.commit(Batch::free(given_up)).await.unwrap();
    assert_eq!(store.stranded_deliveries(10).await.unwrap(), []);
    let deliveries = store.deliveries(message.id).await.unwrap();
    let mut reasons: Vec<_> = deliveries.into_iter().map(|one| one.reason).collect();
    reasons.sort();
    assert_eq!(reasons, [None, Some("b has ended".to_owned())]);
}

/// A delivery ends once: whoever acknowledges it again changes nothing and tells nothing.
pub async fn a_delivery_ends_once_and_is_told_once(store: &dyn Store) {
    let world = World::store(store).await;
    let b = world.sample.agents["b"].clone();
    let first = sent(store, lasting(&world, &["b"])).await;
    let second = sent(store, lasting(&world, &["b"])).await;
    let other = sent(store, lasting(&world, &["a"])).await;
    let moment = world.sample.moment();
    let read = |messages: &[&Message]| {
        let messages: Vec<Message> = messages.iter().map(|m| (*m).clone()).collect();
        Batch::free(deliver(&b, &messages, moment))
    };
    let answers = join_all((0..20).map(|_| store.commit(read(&[&first])))).await;
    let seqs: Vec<u64> = answers.into_iter().map(|a| a.unwrap().last_seq).collect();
    assert_eq!(seqs.iter().filter(|seq| **seq > 0).count(), 1, "{seqs:?}");
    let kept = store.deliveries(first.id).await.unwrap();
    let delivered = |message: &Message| Delivery {
        message_id: message.id,
        seq: message.seq,
        agent_id: b.id,
        status: DeliveryStatus::Delivered,
        settled_at: Some(moment.now),
        reason: None,
    };
    assert_eq!(kept, [delivered(&first)]);
    // What is for another is not acknowledged, what was acknowledged is not given up.
    store
        .commit(read(&[&first, &second, &other]))
        .await
        .unwrap();
    let failed = Outcome::Failed("late".to_owned());
    settle(store, &world, b.id, &[first.id], failed).await;
    assert_eq!(store.deliveries(first.id).await.unwrap(), kept);
    assert_eq!(
        store.deliveries(second.id).await.unwrap(),
        [delivered(&second)]
    );
    assert_eq!(status(store, &other).await, DeliveryStatus::Pending);
    let read = |message: &Message| (EventType::MessageDelivered, message.id.to_string());
    assert_eq!(told(store).await, [read(&first), read(&second)]);
}

/// What entered a turn is delivered, though it was given up a moment before; nothing else brings it
/// back.
pub async fn what_was_given_up_can_still_be_read(store: &dyn Store) {
    let world = World::store(store).await;
    let b = world.sample.agents["b"].clone();
    let failed = Outcome::Failed("gone".to_owned());
    for given_up in [Outcome::Expired, failed.clone()] {
        let message = sent(store, lasting(&world, &["b"])).await;
        settle(store, &world, b.id, &[message.id], given_up.clone()).await;
        for other in [Outcome::Expired, failed.clone()] {
            settle(store, &world, b.id, &[message.id], other).await;
            assert_eq!(status(store, &message).await, given_up.status());
        }
        assert_eq!(places(store, &b, 0, 10).await, NONE);
        let read = deliver(&b, std::slice::from_ref(&message), world.sample.moment());
        store.commit(Batch::free(read)).await.unwrap();
        assert_eq!(status(store, &message).await, DeliveryStatus::Delivered);
        let delivery = store.deliveries(message.id).await.unwrap().remove(0);
        assert_eq!(delivery.reason, None);
    }
}

/// A message is pending while one delivery is; then it failed if one failed, expired if one expired,
/// and is delivered if all are, since the last.
pub async fn the_status_of_a_message_follows_from_its_deliveries(store: &dyn Store) {
    let world = World::store(store).await;
    let [a, b] = ["a", "b"].map(|name| world.sample.agents[name].id);
    let failed = || Outcome::Failed("gone".to_owned());
    let outcomes = [Outcome::Delivered, Outcome::Expired, failed()];
    for first in &outcomes {
        for second in &outcomes {
            let message = sent(store, lasting(&world, &["a", "b"])).await;
            settle(store, &world, a, &[message.id], first.clone()).await;
            assert_eq!(status(store, &message).await, DeliveryStatus::Pending);
            settle(store, &world, b, &[message.id], second.clone()).await;
            let ended = store.get(message.id).await.unwrap();
            let wanted = DeliveryStatus::of_message([first.status(), second.status()]);
            let since = (wanted == DeliveryStatus::Delivered).then(|| at(300));
            assert_eq!(
                ended,
                Message {
                    delivery_status: wanted,
                    delivered_at: since,
                    ..message
                }
            );
        }
    }
}

/// An acknowledgement is written with its batch or not at all: a worker that lost its lease
/// acknowledges nothing.
pub async fn an_acknowledgement_is_one_with_its_batch(store: &dyn Store) {
    let world = World::store(store).await;
    let message = sent(store, lasting(&world, &["a"])).await;
    let a = world.sample.agents["a"].clone();
    let claim = world.sample.claim("a", &[], world.sample.node());
    let task = store.claim_task(claim).await.unwrap().unwrap().task;
    let read = deliver(&a, std::slice::from_ref(&message), world.sample.moment());
    let under = |number| Fence {
        task: task.id,
        number,
    };
    let late = Batch::fenced(under(task.fence + 1), read.clone());
    let refused = store.commit(late).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    assert_eq!(places(store, &a, 0, 10).await, [1]);
    assert_eq!(told(store).await, []);
    let in_time = Batch::fenced(under(task.fence), read);
    store.commit(in_time).await.unwrap();
    assert_eq!(places(store, &a, 0, 10).await, NONE);
    assert_eq!(told(store).await.len(), 1);
}

/// A full inbox is told by name with the limit, and nothing of the batch is written; it takes more
/// when something was read, or has expired.
pub async fn a_full_inbox_refuses_the_whole_batch(store: &dyn Store) {
    let world = World::store(store).await;
    let b = world.sample.agents["b"].clone();
    let small = |recipients: &[&str]| Letter {
        inbox_limit: 3,
        ..lasting(&world, recipients)
    };
    let mut expired = small(&["b"]);
    expired.message.expiry_at = Some(at(500));
    sent(store, expired).await;
    let first = sent(store, small(&["b"])).await;
    let both = Decision::default()
        .with(Change::SendMessage(Box::new(small(&["a", "b"]))))
        .with(Change::SendMessage(Box::new(small(&["b", "a"]))));
    store.commit(Batch::free(both)).await.unwrap();
    for recipients in [&["b"][..], &["a", "b"]] {
        let batch = Decision::default()
            .with(Change::create(world.odd_project()))
            .with(Change::SendMessage(Box::new(small(recipients))))
            .telling(world.sample.event("never told"));
        match store.commit(Batch::free(batch)).await.unwrap_err() {
            Error::InboxFull { agent, limit } => assert_eq!((agent, limit), (b.id, 3)),
            other => panic!("{other:?}"),
        }
    }
    let all = MessageFilter::default();
    assert_eq!(store.count(&all).await.unwrap(), 4);
    let projects = crate::ProjectFilter::default();
    assert_eq!(store.count(&projects).await.unwrap(), 1);
    settle(store, &world, b.id, &[first.id], Outcome::Delivered).await;
    sent(store, small(&["b"])).await;
    assert_eq!(places(store, &b, 0, 10).await, [3, 4, 5]);
}

/// However many send at once, no more than the limit wait; what was refused is told to its sender.
pub async fn senders_at_once_do_not_overfill_an_inbox(store: &dyn Store) {
    let world = World::store(store).await;
    let b = world.sample.agents["b"].clone();
    let sends = (0..100).map(|_| {
        store.commit(sending(Letter {
            inbox_limit: 37,
            ..lasting(&world, &["b"])
        }))
    });
    let answers = join_all(sends).await;
    let full = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Error::InboxFull { .. })))
        .count();
    let sent = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((sent, full), (37, 63));
    let wanted: Vec<u64> = (1..=37).collect();
    assert_eq!(places(store, &b, 0, 100).await, wanted);
}
