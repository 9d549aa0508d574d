//! Rules of claims and leases.

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_core::{Task, TaskState};
use futures::future::join_all;

use super::sample::{Sample, agent_named, capable_of, step};
use crate::{Claimed, EventFilter, Lease, Store};

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
    assert!(store.has_ready_task(sample.run.id).await.unwrap());
    sample.skip(store, first.task).await;
    assert_eq!(ask().await.unwrap().unwrap().task.name, "two");
    assert!(!store.has_ready_task(sample.run.id).await.unwrap());
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
    assert_eq!(store.task(task.id).await.unwrap(), task);
    let events = store
        .events(EventFilter {
            after: 0,
            run: Some(sample.run.id),
            limit: 100,
        })
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

/// A lease is known by its owner and counts until the task ends or goes back.
pub async fn leases_are_seen_and_extended(store: &dyn Store) {
    let steps = vec![
        step("one", agent_named("a"), &[], 0),
        step("two", agent_named("b"), &[], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let (dead, alive) = (sample.node(), sample.node());
    let lost = store
        .claim_task(sample.claim("a", &[], dead))
        .await
        .unwrap()
        .unwrap()
        .task;
    store
        .claim_task(sample.claim("b", &[], alive))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.tasks_held_by_others(alive).await.unwrap(), [lost]);
    let lease = Lease {
        owner: alive,
        duration: Duration::from_secs(10),
    };
    assert_eq!(store.extend_leases(lease).await.unwrap(), 1);
}
