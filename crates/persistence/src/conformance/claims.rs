//! Rules of claims and leases.

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_core::{Change, Decision, PauseAt, Run, Task, TaskState};
use futures::future::join_all;

use super::sample::{Sample, agent_named, capable_of, queue_of, step};
use crate::{Batch, Claimed, Error, EventFilter, Fence, Lease, Repository, Store};

/// Twenty tasks, forty agents at once, each asking twice: each task goes out once, to an agent
/// of its own, and the others get nothing.
pub async fn a_task_is_claimed_by_one_agent_only(store: &dyn Store) {
    let names: Vec<String> = (0..40).map(|number| format!("agent{number}")).collect();
    let staff: Vec<(&str, &[&str])> = names
        .iter()
        .map(|name| (name.as_str(), &["x"][..]))
        .collect();
    let steps = (0..20)
        .map(|number| step(&format!("s{number}"), capable_of(&["x"]), &[], 0))
        .collect();
    let sample = Sample::staffed(store, &staff, steps).await;
    let node = sample.node();
    let claims = names
        .iter()
        .chain(&names)
        .map(|name| store.claim_task(sample.claim(name, &[&["x"]], node)));
    let claimed: Vec<Claimed> = join_all(claims)
        .await
        .into_iter()
        .filter_map(|answer| answer.unwrap())
        .collect();
    assert_eq!(claimed.len(), 20);
    assert_eq!(
        claimed
            .iter()
            .map(|claimed| claimed.task.id)
            .collect::<BTreeSet<_>>()
            .len(),
        20
    );
    assert_eq!(
        claimed
            .iter()
            .map(|claimed| claimed.agent.id)
            .collect::<BTreeSet<_>>()
            .len(),
        20
    );
}

/// One task at a time: the next one when the first has ended.
pub async fn an_agent_that_holds_a_task_is_given_no_other(store: &dyn Store) {
    let steps = ["one", "two"]
        .map(|id| step(id, agent_named("a"), &[], 0))
        .into();
    let sample = Sample::store(store, steps).await;
    let ask = || store.claim_task(sample.claim("a", &[], sample.node()));
    let first = ask().await.unwrap().unwrap();
    assert_eq!(first.agent, sample.agents["a"]);
    assert_eq!(ask().await.unwrap(), None);
    assert_eq!(queue_of(store, sample.run.id).await.ready, 1);
    sample.skip(store, first.task).await;
    assert_eq!(ask().await.unwrap().unwrap().task.name, "two");
    assert_eq!(queue_of(store, sample.run.id).await.ready, 0);
}

/// The queue's order is the one of `Task::queue_order`.
pub async fn claims_follow_priority_then_age(store: &dyn Store) {
    let steps = [("low", -1), ("first", 0), ("second", 0), ("high", 4)]
        .map(|(id, priority)| step(id, agent_named("a"), &[], priority))
        .into();
    let sample = Sample::store(store, steps).await;
    let mut wanted: Vec<&Task> = sample.tasks.values().collect();
    wanted.sort_by(|a, b| a.queue_order(b));
    let mut order = vec![];
    while let Some(claimed) = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await
        .unwrap()
    {
        order.push(claimed.task.id);
        sample.skip(store, claimed.task).await;
    }
    assert_eq!(order, wanted.iter().map(|task| task.id).collect::<Vec<_>>());
    assert_eq!(wanted.first().unwrap().name, "high");
}

/// Own tasks, and unassigned ones of the run whose capability set is among those given.
pub async fn a_claim_fits_the_agent(store: &dyn Store) {
    let steps = vec![
        step("for_b", agent_named("b"), &[], 9),
        step("needs_y", capable_of(&["y"]), &[], 8),
        step("waits", agent_named("a"), &["for_b"], 7),
        step("needs_x", capable_of(&["x"]), &[], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let node = sample.node();
    let only = store
        .claim_task(sample.claim("a", &[&["x"]], node))
        .await
        .unwrap()
        .unwrap()
        .task;
    assert_eq!(
        (only.name.as_str(), only.agent_id),
        ("needs_x", Some(sample.agents["a"].id))
    );
    sample.skip(store, only).await;
    assert_eq!(
        store
            .claim_task(sample.claim("a", &[&["x"]], node))
            .await
            .unwrap(),
        None
    );
    let mut of_b = vec![];
    while let Some(claimed) = store
        .claim_task(sample.claim("b", &[&["x"], &["y"]], node))
        .await
        .unwrap()
    {
        of_b.push(claimed.task.name.clone());
        sample.skip(store, claimed.task).await;
    }
    assert_eq!(of_b, ["for_b", "needs_y"]);
}

/// The claimed task is assigned, its fence one higher, and the log says so.
pub async fn a_claim_and_its_event_are_one(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let task = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await
        .unwrap()
        .unwrap()
        .task;
    let before = &sample.tasks["s"];
    assert_eq!(
        (task.state, task.fence),
        (TaskState::Assigned, before.fence + 1)
    );
    assert_eq!(store.get(task.id).await.unwrap(), task);
    let events = store
        .events_after(&EventFilter::of_run(sample.run.id), 0, 100)
        .await
        .unwrap();
    let last = &events.last().unwrap().event;
    assert_eq!(
        (
            last.event_type.as_str(),
            last.message.as_str(),
            &last.data["task_id"]
        ),
        ("task.assigned", "s assigned", &serde_json::json!(task.id))
    );
}

/// The end of a step brings its agent the step that was waiting for it, in one commit: the event of the
/// claim comes right after those of the end.
pub async fn a_claim_with_a_batch_sees_what_the_batch_did(store: &dyn Store) {
    let steps = vec![
        step("one", agent_named("a"), &[], 0),
        step("two", agent_named("a"), &["one"], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let claim = || sample.claim("a", &[], sample.node());
    let one = store.claim_task(claim()).await.unwrap().unwrap().task;
    let before = store.event_bounds().await.unwrap().last;
    let released = Change::ReleaseSuccessors(one.id);
    let (fence, end) = end_of(&sample, one);
    let end = end.with(released);
    let told = end.events.len() as u64;
    let end = Batch::fenced(fence, end).then_claim(Some(claim()));
    let committed = store.commit(end).await.unwrap();
    let given = committed.claimed.unwrap();
    assert_eq!((given.task.name.as_str(), given.task.fence), ("two", 1));
    assert_eq!(given.agent, sample.agents["a"]);
    assert_eq!(store.get(given.task.id).await.unwrap(), given.task);
    assert_eq!(committed.last_seq, before + told + 1);
    let all = EventFilter::default();
    let last = store.events_after(&all, before + told, 10).await.unwrap();
    let last: Vec<&str> = last.iter().map(|it| it.event.message.as_str()).collect();
    assert_eq!(last, ["two assigned"]);
    let (fence, end) = end_of(&sample, given.task);
    let end = Batch::fenced(fence, end).then_claim(Some(claim()));
    let committed = store.commit(end).await.unwrap();
    assert_eq!(
        committed.claimed, None,
        "nothing is left, and that refuses nothing"
    );
}

/// A batch that is refused leases nothing.
pub async fn a_claim_goes_with_its_batch_or_not_at_all(store: &dyn Store) {
    let steps = vec![
        step("one", agent_named("a"), &[], 0),
        step("two", agent_named("b"), &[], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let one = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await;
    let (fence, end) = end_of(&sample, one.unwrap().unwrap().task);
    let stale = Fence {
        number: fence.number - 1,
        ..fence
    };
    let asks = sample.claim("b", &[], sample.node());
    let end = Batch::fenced(stale, end).then_claim(Some(asks));
    let refused = store.commit(end).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    let two = store.get(sample.tasks["two"].id).await.unwrap();
    assert_eq!(two, sample.tasks["two"]);
}

/// From the word of a person on, nobody begins anything more in a run, however he asks.
pub async fn a_held_run_gives_no_task(store: &dyn Store) {
    let steps = ["one", "two"]
        .map(|id| step(id, agent_named("a"), &[], 0))
        .into();
    let sample = Sample::store(store, steps).await;
    let claim = || sample.claim("a", &[], sample.node());
    let one = store.claim_task(claim()).await.unwrap().unwrap().task;
    let held = sample.run.clone();
    let held = held.pause(PauseAt::NextStep, "somebody", sample.moment());
    let (held, said) = held.unwrap();
    store.commit(Batch::free(said)).await.unwrap();
    let (fence, end) = end_of(&sample, one);
    let end = Batch::fenced(fence, end).then_claim(Some(claim()));
    assert_eq!(store.commit(end).await.unwrap().claimed, None);
    assert_eq!(store.claim_task(claim()).await.unwrap(), None);
    let run: Run = store.get(held.id).await.unwrap();
    let (_, said) = run.release("somebody", sample.moment()).unwrap();
    store.commit(Batch::free(said)).await.unwrap();
    let two = store.claim_task(claim()).await.unwrap().unwrap().task;
    assert_eq!(two.name, "two");
}

/// A step that was claimed ends.
fn end_of(sample: &Sample, task: Task) -> (Fence, Decision) {
    let fence = fence_of(&task);
    (fence, task.skip("false", &[], sample.moment()).unwrap())
}

/// A lease that has run out is seen, and whoever sees it may take the task back; one that holds is
/// neither seen nor taken.
pub async fn only_a_lease_that_ran_out_is_rescued(store: &dyn Store) {
    let steps = vec![
        step("one", agent_named("a"), &[], 0),
        step("two", agent_named("b"), &[], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let (dead, alive) = (sample.node(), sample.node());
    let mut short = sample.claim("a", &[], dead);
    short.lease.duration = Duration::ZERO;
    let lost = store.claim_task(short).await.unwrap().unwrap().task;
    let held = store
        .claim_task(sample.claim("b", &[], alive))
        .await
        .unwrap()
        .unwrap()
        .task;
    let seen = wait_for_expiry(store).await;
    assert_eq!(seen, std::slice::from_ref(&lost));
    let rescue = |task: &Task| {
        let decision = task.take_back(None, "test", sample.moment()).unwrap();
        Batch::rescue(fence_of(task), decision)
    };
    let refused = store.commit(rescue(&held)).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    store.commit(rescue(&lost)).await.unwrap();
    let again = store.get(lost.id).await.unwrap();
    assert_eq!(
        (again.state, again.fence),
        (TaskState::Queued, lost.fence + 1)
    );
    let twice = store.commit(rescue(&lost)).await.unwrap_err();
    assert!(matches!(twice, Error::Fenced { .. }), "{twice:?}");
}

/// A worker that was slow, but extended its lease before anybody took the task back, keeps it.
pub async fn an_extended_lease_is_not_rescued(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let node = sample.node();
    let mut short = sample.claim("a", &[], node);
    short.lease.duration = Duration::ZERO;
    let task = store.claim_task(short).await.unwrap().unwrap().task;
    let seen = wait_for_expiry(store).await;
    let lease = Lease {
        owner: node,
        duration: Duration::from_secs(60),
    };
    assert_eq!(store.extend_leases(lease).await.unwrap(), 1);
    let decision = seen[0].take_back(None, "test", sample.moment()).unwrap();
    let refused = store
        .commit(Batch::rescue(fence_of(&seen[0]), decision))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    assert_eq!(store.get(task.id).await.unwrap(), task);
}

fn fence_of(task: &Task) -> Fence {
    Fence {
        task: task.id,
        number: task.fence,
    }
}

/// Leases of no length run out with the next millisecond of the database's clock.
async fn wait_for_expiry(store: &dyn Store) -> Vec<Task> {
    loop {
        let seen = store.expired_leases(10).await.unwrap();
        if !seen.is_empty() {
            return seen;
        }
    }
}
