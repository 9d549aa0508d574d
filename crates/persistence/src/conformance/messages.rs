//! Rules of messages: what is kept of them, their log, and their age.

use fusion_core::{
    AgentId, Change, Decision, DeliveryStatus, Letter, Message, MessageId, NewOutboxEntry, Outcome,
    Settlement, Timestamp,
};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::lists::selects;
use super::sample::at;
use super::world::World;
use crate::{Batch, Error, MessageFilter, Prune, Repository, Store};

pub(super) fn sending(letter: Letter) -> Batch {
    Batch::free(Decision::default().with(Change::SendMessage(Box::new(letter))))
}

/// Sends a letter; gives its message as it is read back.
pub(super) async fn sent(store: &dyn Store, letter: Letter) -> Message {
    let id = letter.message.id;
    store.commit(sending(letter)).await.unwrap();
    store.get(id).await.unwrap()
}

/// Ends deliveries to an agent, telling nothing.
pub(super) async fn settle(
    store: &dyn Store,
    world: &World,
    agent_id: AgentId,
    messages: &[MessageId],
    outcome: Outcome,
) {
    let told = messages.iter().map(|id| (*id, world.sample.event("ended")));
    let settlement = Settlement {
        agent_id,
        outcome,
        settled_at: at(300),
        told: told.collect(),
    };
    let decision = Decision::default().with(Change::SettleDeliveries(settlement));
    store.commit(Batch::free(decision)).await.unwrap();
}

fn bare(world: &World) -> Letter {
    let letter = world.letter();
    Letter {
        message: Message {
            sender_agent_id: None,
            recipient_agent_ids: None,
            topic: String::new(),
            payload: Value::Null,
            message_type: String::new(),
            run_id: None,
            reply_to: None,
            resends: None,
            hops: 0,
            expiry_at: None,
            ..letter.message
        },
        ..letter
    }
}

/// A message is read back as it was sent, with the place that the log gave it.
pub async fn a_message_is_kept_as_it_was_sent(store: &dyn Store) {
    let world = World::store(store).await;
    for (seq, letter) in [(1, world.letter()), (2, bare(&world))] {
        let wanted = Message {
            seq,
            ..letter.message.clone()
        };
        assert_eq!(sent(store, letter).await, wanted);
    }
    let nowhere = MessageId::from_uuid(Uuid::nil());
    assert_eq!(store.find(nowhere).await.unwrap(), None::<Message>);
}

/// Its sender, its recipients and its run are there, and its id is new; else nothing is written.
pub async fn a_message_refers_to_rows_that_are_there(store: &dyn Store) {
    let world = World::store(store).await;
    let (mut sender, mut recipient, mut run) = (world.letter(), world.letter(), world.letter());
    sender.message.sender_agent_id = Some(Uuid::nil().into());
    recipient.recipients.push(Uuid::nil().into());
    run.message.run_id = Some(Uuid::nil().into());
    for letter in [sender, recipient, run] {
        let id = letter.message.id.to_string();
        match store.commit(sending(letter)).await.unwrap_err() {
            Error::Missing { entity, id: found } => assert_eq!((entity, found), ("message", id)),
            other => panic!("{other:?}"),
        }
    }
    let all = MessageFilter::default();
    assert_eq!(store.count(&all).await.unwrap(), 0);
    let first = sent(store, world.letter()).await;
    assert_eq!(first.seq, 1, "what was refused took no place");
    let mut again = world.letter();
    again.message.id = first.id;
    match store.commit(sending(again)).await.unwrap_err() {
        Error::Exists { entity, name } => {
            assert_eq!((entity, name), ("message", first.id.to_string()));
        }
        other => panic!("{other:?}"),
    }
}

/// Messages have the numbers 1, 2, 3 … in the order of the commits, those of a batch together, and
/// a reader that goes on after the last one it saw misses none.
pub async fn messages_are_dense_and_in_order_of_the_commits(store: &dyn Store) {
    let world = World::store(store).await;
    let batches = (0..40).map(|number| {
        let letters = ["a", "b"].map(|part| {
            let mut letter = world.letter();
            letter.message.payload = json!(format!("{number}{part}"));
            Change::SendMessage(Box::new(letter))
        });
        let mut decision = Decision {
            changes: letters.into(),
            ..Decision::default()
        };
        if number % 2 == 1 {
            let mut stale = world.project.clone();
            stale.version = 9;
            decision.changes.push(Change::update(stale));
        }
        store.commit(Batch::free(decision))
    });
    let answers = join_all(batches).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20);
    let all = MessageFilter::default();
    let mut log: Vec<Message> = vec![];
    loop {
        let last = log.last().map_or(0, |message| message.seq);
        let more = store.messages_after(&all, last, 7).await.unwrap();
        if more.is_empty() {
            break;
        }
        log.extend(more);
    }
    let places: Vec<u64> = log.iter().map(|message| message.seq).collect();
    assert_eq!(places, (1..=40).collect::<Vec<_>>());
    for pair in log.chunks(2) {
        let texts: Vec<&str> = pair.iter().filter_map(|m| m.payload.as_str()).collect();
        let number = texts[0].trim_end_matches('a');
        assert_eq!(texts, [format!("{number}a"), format!("{number}b")]);
    }
    assert_eq!(store.last_message().await.unwrap(), 40);
}

/// From `a` to `b` on `x`, pending; from `a` to itself on `x.y` without a run, read; from a person to
/// both on `x`, read by `a` and failed at `b`.
async fn three(store: &dyn Store, world: &World) -> [Message; 3] {
    let (a, b) = (world.sample.agents["a"].id, world.sample.agents["b"].id);
    let letter = |sender, recipients: Vec<AgentId>, topic: &str, seconds| Letter {
        message: Message {
            timestamp: at(seconds),
            sender_agent_id: sender,
            topic: topic.to_owned(),
            ..world.letter().message
        },
        recipients,
        ..world.letter()
    };
    let one = sent(store, letter(Some(a), vec![b], "x", 10)).await;
    let mut two = letter(Some(a), vec![a], "x.y", 20);
    two.message.run_id = None;
    let two = sent(store, two).await;
    let three = sent(store, letter(None, vec![a, b], "x", 30)).await;
    let failed = Outcome::Failed("gone".to_owned());
    settle(store, world, b, &[three.id], failed).await;
    let read = [three.id, two.id];
    settle(store, world, a, &read, Outcome::Delivered).await;
    [
        one,
        store.get(two.id).await.unwrap(),
        store.get(three.id).await.unwrap(),
    ]
}

/// Messages: by sender, recipient, topic, run, status and time, the end of which is not in it.
pub async fn messages_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let (a, b) = (world.sample.agents["a"].id, world.sample.agents["b"].id);
    let [one, two, three] = three(store, &world).await;
    selects(store, MessageFilter::default(), &[&one, &two, &three]).await;
    selects(store, only!(MessageFilter, sender: Some(a)), &[&one, &two]).await;
    let to_b = only!(MessageFilter, recipient: Some(b));
    selects(store, to_b.clone(), &[&one, &three]).await;
    let topic = Some("x".to_owned());
    selects(store, only!(MessageFilter, topic), &[&one, &three]).await;
    let run = Some(world.sample.run.id);
    selects(store, only!(MessageFilter, run), &[&one, &three]).await;
    let statuses = vec![DeliveryStatus::Failed, DeliveryStatus::Delivered];
    selects(store, only!(MessageFilter, statuses), &[&two, &three]).await;
    // Of a recipient, it is the status of its own delivery that counts.
    for (agent, status, wanted) in [
        (a, DeliveryStatus::Failed, vec![]),
        (a, DeliveryStatus::Delivered, vec![&two, &three]),
        (b, DeliveryStatus::Failed, vec![&three]),
        (b, DeliveryStatus::Pending, vec![&one]),
    ] {
        let (recipient, statuses) = (Some(agent), vec![status]);
        selects(store, only!(MessageFilter, recipient, statuses), &wanted).await;
    }
    let (since, until) = (Some(at(20)), Some(at(30)));
    selects(store, only!(MessageFilter, since), &[&two, &three]).await;
    selects(store, only!(MessageFilter, until), &[&one, &two]).await;
    selects(store, only!(MessageFilter, since, until), &[&two]).await;
    selects(store, MessageFilter { since, ..to_b }, &[&three]).await;
}

/// The log is read onwards through a filter, and ids are found by how they begin.
pub async fn messages_are_found_by_place_and_by_id(store: &dyn Store) {
    let world = World::store(store).await;
    assert_eq!(store.last_message().await.unwrap(), 0);
    let a = world.sample.agents["a"].id;
    let [one, two, three] = three(store, &world).await;
    assert_eq!(store.last_message().await.unwrap(), 3);
    for (filter, after, wanted) in [
        (
            only!(MessageFilter, recipient: Some(a)),
            0,
            vec![&two, &three],
        ),
        (MessageFilter::default(), 2, vec![&three]),
    ] {
        let found = store.messages_after(&filter, after, 10).await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted);
    }
    for (first, last, limit, wanted) in [
        (one.id, three.id, 10, vec![one.id, two.id, three.id]),
        (one.id, two.id, 10, vec![one.id, two.id]),
        (two.id, three.id, 1, vec![two.id]),
        (three.id, one.id, 10, vec![]),
    ] {
        let found = store.message_ids(first, last, limit).await.unwrap();
        assert_eq!(found, wanted);
    }
}

/// Messages go by their age in small batches, with their deliveries; not while somebody has to read
/// one. Places in the log go on after the last.
pub async fn old_messages_go_unless_somebody_has_to_read_them(store: &dyn Store) {
    let world = World::store(store).await;
    let b = world.sample.agents["b"].id;
    let mut messages = vec![];
    for seconds in 1..=5 {
        let mut letter = world.letter();
        letter.message.timestamp = at(seconds);
        letter.recipients = vec![b];
        messages.push(sent(store, letter).await.id);
    }
    let read = [messages[0], messages[2], messages[3], messages[4]];
    settle(store, &world, b, &read, Outcome::Delivered).await;
    let old = Prune {
        messages_before: Some(at(5)),
        limit: 2,
        ..Prune::default()
    };
    for wanted in [2, 1, 0] {
        assert_eq!(store.prune(old).await.unwrap(), wanted);
    }
    let all = MessageFilter::default();
    let left = store.messages_after(&all, 0, 10).await.unwrap();
    assert_eq!(left.iter().map(|m| m.seq).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(store.deliveries(messages[0]).await.unwrap(), []);
    assert_eq!(store.deliveries(messages[1]).await.unwrap().len(), 1);
    assert_eq!(sent(store, world.letter()).await.seq, 6);
}

/// What waits to be published goes by its age too, from the front.
pub async fn the_outbox_is_pruned_by_age(store: &dyn Store) {
    let entry = |created_at: Timestamp| NewOutboxEntry {
        topic: "t".to_owned(),
        payload: json!({}),
        created_at,
    };
    let outbox = [1, 2, 9, 1].map(|seconds| entry(at(seconds))).into();
    let decision = Decision {
        outbox,
        ..Decision::default()
    };
    store.commit(Batch::free(decision)).await.unwrap();
    let old = Prune {
        outbox_before: Some(at(5)),
        limit: 3,
        ..Prune::default()
    };
    for wanted in [2, 1, 0] {
        assert_eq!(store.prune(old).await.unwrap(), wanted);
    }
    let left = store.outbox_after(0, 10).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3]);
}
