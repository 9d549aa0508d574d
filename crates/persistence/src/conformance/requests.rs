//! Rules of requests that are sent again, and of what is to be published.

use fusion_core::{Change, Decision, NewOutboxEntry};
use futures::future::join_all;
use serde_json::{Value, json};

use super::sample::{Sample, agent_named, at, step};
use super::world::{ODD, World, odd_json};
use crate::{
    Batch, CapabilityFilter, Error, EventFilter, Fence, Idempotency, Prune, Remembered, Repository,
    Store,
};

fn request(key: &str, hash: &str, answer: Value) -> Idempotency {
    Idempotency {
        scope: "POST /things".to_owned(),
        key: key.to_owned(),
        request_hash: hash.to_owned(),
        answer,
        created_at: at(1_000),
        expires_at: at(2_000),
    }
}

/// A batch that makes a capability and tells of it, under a key.
fn making(world: &World, idempotency: Idempotency) -> Batch {
    let decision = world
        .sample
        .telling("made")
        .with(Change::create(world.capability()));
    Batch {
        idempotency: Some(idempotency),
        ..Batch::free(decision)
    }
}

async fn made(store: &dyn Store) -> (u64, usize) {
    let rows = store.count(&CapabilityFilter::default()).await.unwrap();
    let events = store
        .events_after(&EventFilter::default(), 0, 1_000)
        .await
        .unwrap();
    let told = events
        .iter()
        .filter(|event| event.event.message == "made")
        .count();
    (rows, told)
}

/// The answer of the first is given again, and nothing is written twice.
pub async fn a_repeated_request_gets_the_first_answer(store: &dyn Store) {
    let world = World::store(store).await;
    let first = request(ODD, "h", odd_json());
    let remembered = Remembered {
        request_hash: "h".to_owned(),
        answer: odd_json(),
    };
    assert_eq!(store.remembered(&first.scope, ODD).await.unwrap(), None);
    store.commit(making(&world, first.clone())).await.unwrap();
    let again = request(ODD, "h", json!("another answer"));
    match store
        .commit(making(&world, again.clone()))
        .await
        .unwrap_err()
    {
        Error::Repeated(answer) => assert_eq!(*answer, remembered),
        other => panic!("{other:?}"),
    }
    assert_eq!(made(store).await, (1, 1));
    let found = store.remembered(&first.scope, ODD).await.unwrap();
    assert_eq!(found, Some(remembered));
    assert_eq!(store.remembered("GET /things", ODD).await.unwrap(), None);
    let elsewhere = Idempotency {
        scope: "GET /things".to_owned(),
        ..again
    };
    store.commit(making(&world, elsewhere)).await.unwrap();
    assert_eq!(made(store).await, (2, 2));
}

/// Another request under a key that was used is refused, and writes nothing.
pub async fn a_key_is_not_used_for_another_request(store: &dyn Store) {
    let world = World::store(store).await;
    store
        .commit(making(&world, request("k", "h", json!(1))))
        .await
        .unwrap();
    let other = making(&world, request("k", "other", json!(2)));
    match store.commit(other).await.unwrap_err() {
        Error::KeyReused { key } => assert_eq!(key, "k"),
        other => panic!("{other:?}"),
    }
    assert_eq!(made(store).await, (1, 1));
}

/// Of eight that send the same at once, one writes and seven get its answer.
pub async fn a_request_sent_by_many_at_once_is_done_once(store: &dyn Store) {
    let world = World::store(store).await;
    for round in 0..5_u64 {
        let key = format!("k{round}");
        let sent = (0..8).map(|number| {
            let asked = request(&key, "h", json!(number));
            store.commit(making(&world, asked))
        });
        let answers = join_all(sent).await;
        let winner = answers.iter().position(Result::is_ok).unwrap();
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(_) => assert_eq!(number, winner),
                Err(Error::Repeated(first)) => assert_eq!(first.answer, json!(winner)),
                Err(other) => panic!("{other:?}"),
            }
        }
        let count = round + 1;
        assert_eq!(made(store).await, (count, usize::try_from(count).unwrap()));
    }
}

/// A request that was refused for what it asked may be sent again: its key was not used.
pub async fn a_refused_request_leaves_no_key(store: &dyn Store) {
    let world = World::store(store).await;
    let mut wrong = making(&world, request("k", "h", json!(1)));
    let mut stale = world.project.clone();
    stale.version = 9;
    wrong.decision.changes.push(Change::update(stale));
    let refused = store.commit(wrong).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    assert_eq!(store.remembered("POST /things", "k").await.unwrap(), None);
    store
        .commit(making(&world, request("k", "h", json!(2))))
        .await
        .unwrap();
    assert_eq!(made(store).await, (1, 1));
}

/// When the time of a key is over it may be used for anything.
pub async fn an_expired_key_may_be_used_again(store: &dyn Store) {
    let world = World::store(store).await;
    store
        .commit(making(&world, request("k", "h", json!(1))))
        .await
        .unwrap();
    let mut just_before = request("k", "other", json!(2));
    just_before.created_at = at(1_999);
    just_before.expires_at = at(2_999);
    let refused = store.commit(making(&world, just_before.clone())).await;
    assert!(
        matches!(refused, Err(Error::KeyReused { .. })),
        "{refused:?}"
    );
    just_before.created_at = at(2_000);
    store.commit(making(&world, just_before)).await.unwrap();
    let remembered = store
        .remembered("POST /things", "k")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (remembered.request_hash.as_str(), remembered.answer),
        ("other", json!(2))
    );
    assert_eq!(made(store).await, (2, 2));
}

/// Who sends again what gave a task back is told the first answer, though the lease is gone by then.
pub async fn a_repeated_release_gets_the_first_answer(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let claim = sample.claim("a", &[], sample.node());
    let task = store.claim_task(claim).await.unwrap().unwrap().task;
    let fence = Fence {
        task: task.id,
        number: task.fence,
    };
    let release = || Batch {
        idempotency: Some(request("k", "h", json!("back"))),
        ..Batch::release(fence, Decision::default())
    };
    store.commit(release()).await.unwrap();
    match store.commit(release()).await.unwrap_err() {
        Error::Repeated(first) => assert_eq!(first.answer, json!("back")),
        other => panic!("{other:?}"),
    }
}

/// Keys are forgotten once they expired before a time, in small batches.
pub async fn old_keys_are_forgotten(store: &dyn Store) {
    for number in 0..5 {
        let asked = Idempotency {
            expires_at: at(2_000 + number),
            ..request(&format!("k{number}"), "h", json!(number))
        };
        let batch = Batch {
            idempotency: Some(asked),
            ..Batch::free(Decision::default())
        };
        store.commit(batch).await.unwrap();
    }
    let old = Prune {
        keys_before: Some(at(2_003)),
        limit: 2,
        ..Prune::default()
    };
    for wanted in [2, 1, 0] {
        assert_eq!(store.prune(old).await.unwrap(), wanted);
    }
    for (number, left) in [false, false, false, true, true].into_iter().enumerate() {
        let found = store
            .remembered("POST /things", &format!("k{number}"))
            .await;
        assert_eq!(found.unwrap().is_some(), left, "{number}");
    }
}

fn entry(text: &str) -> NewOutboxEntry {
    NewOutboxEntry {
        topic: format!("topic.{text}"),
        payload: json!({ "text": text, "odd": odd_json() }),
        created_at: at(77),
    }
}

fn publishing(texts: &[String]) -> Batch {
    let outbox = texts.iter().map(|text| entry(text)).collect();
    Batch::free(Decision {
        outbox,
        ..Decision::default()
    })
}

/// What is to be published has the numbers 1, 2, 3 … in the order of the commits, and is read back
/// as it was written; a refused batch leaves nothing of it.
pub async fn the_outbox_is_dense_and_one_with_its_cause(store: &dyn Store) {
    let world = World::store(store).await;
    let commits = (0..40_u32).map(|number| {
        let mut batch = publishing(&[format!("{number}a"), format!("{number}b")]);
        if number % 2 == 1 {
            let mut stale = world.project.clone();
            stale.version = 9;
            batch.decision.changes.push(Change::update(stale));
        }
        store.commit(batch)
    });
    let answers = join_all(commits).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), number % 2 == 0, "{answer:?}");
    }
    let waiting = store.outbox_after(0, 1_000).await.unwrap();
    let places: Vec<u64> = waiting.iter().map(|entry| entry.seq).collect();
    assert_eq!(places, (1..=40).collect::<Vec<_>>());
    let mut topics: Vec<String> = vec![];
    for pair in waiting.chunks(2) {
        let text = pair[0].entry.payload["text"].as_str().unwrap();
        let number: u32 = text.trim_end_matches('a').parse().unwrap();
        assert_eq!(pair[0].entry, entry(&format!("{number}a")));
        assert_eq!(pair[1].entry, entry(&format!("{number}b")));
        topics.push(pair[0].entry.topic.clone());
    }
    topics.sort_unstable();
    let mut wanted: Vec<String> = (0..40).step_by(2).map(|n| format!("topic.{n}a")).collect();
    wanted.sort_unstable();
    assert_eq!(topics, wanted);
    assert_eq!(store.outbox_after(7, 3).await.unwrap(), waiting[7..10]);
    assert_eq!(store.outbox_after(40, 3).await.unwrap(), []);
    assert_eq!(store.outbox_after(0, 0).await.unwrap(), []);
}

/// What was published is deleted up to a place, in small batches; numbers go on after the last.
pub async fn the_outbox_is_pruned_up_to_a_place(store: &dyn Store) {
    let texts: Vec<String> = (1..=1_200).map(|number| number.to_string()).collect();
    store.commit(publishing(&texts)).await.unwrap();
    let up_to = |place, limit| Prune {
        outbox_up_to: Some(place),
        limit,
        ..Prune::default()
    };
    for wanted in [1_000, 150, 0] {
        assert_eq!(store.prune(up_to(1_150, 1_000)).await.unwrap(), wanted);
    }
    let left = store.outbox_after(0, 1_000).await.unwrap();
    assert_eq!((left.len(), left[0].seq), (50, 1_151));
    assert_eq!(store.prune(up_to(u64::MAX, 1_000)).await.unwrap(), 50);
    store
        .commit(publishing(&["next".to_owned()]))
        .await
        .unwrap();
    let left = store.outbox_after(0, 1_000).await.unwrap();
    assert_eq!((left.len(), left[0].seq), (1, 1_201));
}
