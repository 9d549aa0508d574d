//! Rules of two processes that write to one database, for adapters that allow it: each gives two
//! stores that share nothing but that.

use std::collections::BTreeMap;

use fusion_core::{Change, Decision, EventId, NewEvent, TaskId};
use futures::future::{join, join_all};

use super::inboxes::lasting;
use super::log::{event, places};
use super::messages::sending;
use super::queue::complete;
use super::sample::{Sample, agent_named, capable_of, queue_of, step};
use super::world::World;
use crate::{
    Batch, Error, EventFilter, Fence, MessageFilter, Page, Repository, Result, Store, TaskFilter,
};

/// A thousand tasks, forty agents in two processes: each task goes out once.
pub async fn two_processes_claim_each_task_once(one: &dyn Store, other: &dyn Store) {
    let names: Vec<String> = (0..40).map(|number| format!("agent{number}")).collect();
    let staff: Vec<(&str, &[&str])> = names
        .iter()
        .map(|name| (name.as_str(), &["x"][..]))
        .collect();
    let steps = (0..1_000).map(|number| step(&format!("s{number}"), capable_of(&["x"]), &[], 0));
    let sample = Sample::staffed(one, &staff, steps.collect()).await;
    let workers = names.iter().enumerate().map(|(number, name)| {
        let store = if number % 2 == 0 { one } else { other };
        work_off(store, &sample, name)
    });
    let mut times: BTreeMap<TaskId, u32> = BTreeMap::new();
    for task in join_all(workers).await.into_iter().flatten() {
        *times.entry(task).or_default() += 1;
    }
    assert_eq!(times.len(), 1_000);
    assert!(times.values().all(|count| *count == 1), "{times:?}");
    let run = one.get(sample.run.id).await.unwrap();
    assert_eq!(run.open_tasks, 0);
    let done = one
        .list(&TaskFilter::default(), Page::first(2_000))
        .await
        .unwrap();
    assert!(
        done.iter()
            .all(|task| (task.fence, task.attempts) == (1, 1))
    );
}

/// Claims and completes until the run has no ready task. A claim may come back empty while the rows
/// it would take are held by one of the other process that takes another.
async fn work_off(store: &dyn Store, sample: &Sample, name: &str) -> Vec<TaskId> {
    let node = sample.node();
    let mut done = vec![];
    loop {
        match store
            .claim_task(sample.claim(name, &[&["x"]], node))
            .await
            .unwrap()
        {
            Some(claimed) => {
                done.push(claimed.task.id);
                complete(store, sample, claimed).await;
            }
            None if queue_of(store, sample.run.id).await.ready > 0 => {}
            None => return done,
        }
    }
}

/// Two processes that ask for the same agent at once give it one task.
pub async fn two_processes_give_an_agent_one_task(one: &dyn Store, other: &dyn Store) {
    let steps = (0..100).map(|number| step(&format!("s{number}"), agent_named("a"), &[], 0));
    let sample = Sample::store(one, steps.collect()).await;
    for _ in 0..50 {
        let (first, second) = join(
            one.claim_task(sample.claim("a", &[], sample.node())),
            other.claim_task(sample.claim("a", &[], sample.node())),
        )
        .await;
        match (first.unwrap(), second.unwrap()) {
            (Some(claimed), None) | (None, Some(claimed)) => {
                sample.skip(one, claimed.task).await;
            }
            (None, None) => {}
            (Some(first), Some(second)) => panic!("both {:?} and {:?}", first.task, second.task),
        }
    }
}

fn telling(number: u128) -> Batch {
    let events: Vec<NewEvent> = (0..3)
        .map(|part| event(number * 10 + part, 1, "told"))
        .collect();
    Batch::free(Decision {
        events,
        ..Decision::default()
    })
}

/// The log of two processes is one: dense, each batch together, and a reader that goes on after the
/// last event it saw gets all of them, once and in order, while both write.
pub async fn two_processes_write_one_log(one: &dyn Store, other: &dyn Store) {
    const BATCHES: u128 = 200;
    let writing = join_all((0..BATCHES).map(|number| async move {
        let store = if number % 2 == 0 { one } else { other };
        store.commit(telling(number)).await.unwrap()
    }));
    let reading = async {
        let mut seen = vec![];
        while seen.len() < 600 {
            let last = seen
                .last()
                .map_or(0, |event: &fusion_core::Event| event.seq);
            let all = EventFilter::default();
            seen.extend(other.events_after(&all, last, 7).await.unwrap());
        }
        seen
    };
    let (committed, seen) = join(writing, reading).await;
    assert_eq!(places(&seen), (1..=600).collect::<Vec<_>>());
    for (number, committed) in committed.iter().enumerate() {
        let last = usize::try_from(committed.last_seq).unwrap();
        let ids: Vec<EventId> = seen[last - 3..last]
            .iter()
            .map(|event| event.event.id)
            .collect();
        let wanted = telling(number as u128).decision.events;
        assert_eq!(ids, wanted.iter().map(|event| event.id).collect::<Vec<_>>());
    }
}

fn won(answers: [Result<crate::Committed>; 2]) -> usize {
    let mut count = 0;
    for answer in answers {
        match answer {
            Ok(_) => count += 1,
            Err(Error::Conflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    count
}

/// Two processes change one row that both have read: one wins, the other is told.
pub async fn of_two_processes_that_change_a_row_one_wins(one: &dyn Store, other: &dyn Store) {
    let world = World::store(one).await;
    for round in 0..50 {
        let mut project = one.get(world.project.id).await.unwrap();
        let change = |text: &str| {
            let mut project = project.clone();
            text.clone_into(&mut project.description);
            Batch::free(Decision::default().with(Change::update(project)))
        };
        let answers = join(one.commit(change("one")), other.commit(change("other"))).await;
        assert_eq!(won(answers.into()), 1, "round {round}");
        project.version += 1;
        assert_eq!(one.get(project.id).await.unwrap().version, project.version);
    }
}

/// Two processes change the same two rows in opposite orders, again and again: each batch is
/// written whole or refused for what it read, and never for being in the way.
pub async fn opposite_orders_of_two_processes_are_sorted_out(one: &dyn Store, other: &dyn Store) {
    let world = World::store(one).await;
    for _ in 0..25 {
        let a = one.get(world.project.id).await.unwrap();
        let b = one.get(world.provider.id).await.unwrap();
        let (forth, back) = (
            [Change::update(a.clone()), Change::update(b.clone())],
            [Change::update(b.clone()), Change::update(a.clone())],
        );
        let batch = |changes: [Change; 2]| {
            Batch::free(Decision {
                changes: changes.into(),
                ..Decision::default()
            })
        };
        let answers = join(one.commit(batch(forth)), other.commit(batch(back))).await;
        assert_eq!(won(answers.into()), 1);
        let versions = (
            one.get(a.id).await.unwrap().version,
            one.get(b.id).await.unwrap().version,
        );
        assert_eq!(versions, (a.version + 1, b.version + 1));
    }
}

/// Two processes send to two agents in one order of the log, and together never beyond what may
/// wait for one; each sender's messages stay in the order in which it sent them.
pub async fn two_processes_fill_an_inbox_to_its_limit(one: &dyn Store, other: &dyn Store) {
    const LIMIT: u32 = 150;
    let world = World::store(one).await;
    let sending_from = |store, sender: usize| {
        let world = &world;
        async move {
            let mut sent = vec![];
            for number in 0..30 {
                let mut letter = lasting(world, &["a", "b"]);
                letter.inbox_limit = LIMIT;
                letter.message.payload = serde_json::json!([sender, number]);
                match Store::commit(store, sending(letter)).await {
                    Ok(_) => sent.push(number),
                    Err(Error::InboxFull { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            sent
        }
    };
    let senders = (0..10).map(|n| sending_from(if n % 2 == 0 { one } else { other }, n));
    let sent = join_all(senders).await;
    let all = MessageFilter::default();
    let log = other.messages_after(&all, 0, 1_000).await.unwrap();
    let places: Vec<u64> = log.iter().map(|message| message.seq).collect();
    assert_eq!(places, (1..=u64::from(LIMIT)).collect::<Vec<_>>());
    for name in ["a", "b"] {
        let inbox = one.inbox(world.sample.agents[name].id, 0, 1_000).await;
        assert_eq!(inbox.unwrap(), log);
    }
    for (sender, sent) in sent.into_iter().enumerate() {
        let of_sender = log.iter().filter(|m| m.payload[0] == sender);
        let kept: Vec<i64> = of_sender.filter_map(|m| m.payload[1].as_i64()).collect();
        assert_eq!(kept, sent);
    }
}

/// A task that one process gave back is out of reach of the other that still holds the old lease.
pub async fn a_lease_lost_to_another_process_is_lost(one: &dyn Store, other: &dyn Store) {
    let sample = Sample::store(one, vec![step("s", agent_named("a"), &[], 0)]).await;
    let claim = sample.claim("a", &[], sample.node());
    let task = one.claim_task(claim).await.unwrap().unwrap().task;
    let fence = Fence {
        task: task.id,
        number: task.fence,
    };
    for _ in 0..2 {
        let both = join(
            one.commit(Batch::release(fence, sample.telling("one"))),
            other.commit(Batch::release(fence, sample.telling("other"))),
        );
        let (first, second) = both.await;
        let wins = [first, second].into_iter().filter(Result::is_ok).count();
        assert!(wins <= 1);
    }
    assert_eq!(other.get(task.id).await.unwrap().fence, task.fence + 1);
    let refused = other
        .commit(Batch::fenced(fence, Decision::default()))
        .await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
}
