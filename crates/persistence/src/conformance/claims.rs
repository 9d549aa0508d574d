//! Rules of claims and leases.

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_core::{TaskId, TaskState};
use futures::future::join_all;

use super::sample::{Sample, agent_named, capable_of, step};
use crate::{EventFilter, Lease, Store};

/// Twenty tasks, forty askers at once: each task goes out once, the others get nothing.
pub async fn a_task_is_claimed_by_one_agent_only(store: &dyn Store) {
    let steps = (0..20)
        .map(|number| step(&format!("s{number}"), capable_of(&["x"]), &[], 0))
        .collect();
    let sample = Sample::store(store, steps).await;
    let node = sample.node();
    let claims = (0..40).map(|number| {
        let agent = if number % 2 == 0 { "a" } else { "b" };
        store.claim_task(sample.claim(agent, &[&["x"]], node))
    });
    let claimed: Vec<TaskId> = join_all(claims)
        .await
        .into_iter()
        .filter_map(|answer| answer.unwrap())
        .map(|task| task.id)
        .collect();
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 20);
}

/// The queue's order is the one of `Task::queue_order`.
pub async fn claims_follow_priority_then_age(store: &dyn Store) {
    let steps = [("low", -1), ("first", 0), ("second", 0), ("high", 4)]
        .map(|(id, priority)| step(id, agent_named("a"), &[], priority))
        .into();
    let sample = Sample::store(store, steps).await;
    let mut order = vec![];
    while let Some(task) = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await
        .unwrap()
    {
        order.push(task.name);
    }
    assert_eq!(order, ["high", "first", "second", "low"]);
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
        .unwrap();
    assert_eq!(
        (only.name.as_str(), only.agent_id),
        ("needs_x", Some(sample.agents["a"].id))
    );
    assert_eq!(
        store
            .claim_task(sample.claim("a", &[&["x"]], node))
            .await
            .unwrap(),
        None
    );
    let mut of_b = vec![];
    while let Some(task) = store
        .claim_task(sample.claim("b", &[&["x"], &["y"]], node))
        .await
        .unwrap()
    {
        of_b.push(task.name);
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
        .unwrap();
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
        .unwrap();
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
