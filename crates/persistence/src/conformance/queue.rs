//! Rules of the queue of ready tasks, and of steps that wait for many others.

use fusion_core::{Agent, AgentState, Change, Decision, Task};
use futures::future::join_all;
use serde_json::json;

use super::sample::{Sample, agent_named, at, capable_of, step};
use crate::{Batch, Claimed, Error, Fence, Repository, Store, WriteRepository};

pub(super) fn fence_of(task: &Task) -> Fence {
    Fence {
        task: task.id,
        number: task.fence,
    }
}

/// The names of the tasks that an agent is given one after the other.
async fn given(store: &dyn Store, sample: &Sample, agent: &str, sets: &[&[&str]]) -> Vec<String> {
    let node = sample.node();
    let mut names = vec![];
    while let Some(Claimed { task, .. }) = store
        .claim_task(sample.claim(agent, sets, node))
        .await
        .unwrap()
    {
        names.push(task.name.clone());
        sample.skip(store, task).await;
    }
    names
}

/// An agent's own tasks and those that anybody may take are one queue: the higher priority first,
/// wherever it is, and of every set of capabilities the agent has.
pub async fn own_and_pooled_tasks_are_one_queue(store: &dyn Store) {
    let steps = vec![
        step("pooled_5", capable_of(&["x"]), &[], 5),
        step("own_4", agent_named("b"), &[], 4),
        step("pooled_3", capable_of(&["x", "y"]), &[], 3),
        step("of_a", agent_named("a"), &[], 9),
        step("own_2", agent_named("b"), &[], 2),
        step("pooled_1", capable_of(&["y"]), &[], 1),
        step("not_asked", capable_of(&["z"]), &[], 8),
        step("for_all", capable_of(&[]), &[], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let sets: [&[&str]; 4] = [&["x"], &["x", "y"], &["y"], &[]];
    assert_eq!(
        given(store, &sample, "b", &sets).await,
        [
            "pooled_5", "own_4", "pooled_3", "own_2", "pooled_1", "for_all"
        ]
    );
    assert_eq!(
        given(store, &sample, "b", &[&["x", "z"]]).await,
        [] as [&str; 0]
    );
    assert_eq!(given(store, &sample, "a", &[]).await, ["of_a"]);
}

/// An agent that can do almost everything fits thousands of sets; the best task of them all is found.
pub async fn an_agent_may_fit_any_number_of_sets(store: &dyn Store) {
    let steps = vec![
        step("second", capable_of(&["c4999"]), &[], 1),
        step("first", capable_of(&["c17"]), &[], 2),
        step("not_asked", capable_of(&["c5000"]), &[], 3),
    ];
    let sample = Sample::store(store, steps).await;
    let names: Vec<String> = (0..5_000).map(|number| format!("c{number}")).collect();
    let sets: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let sets: Vec<&[&str]> = sets.iter().map(<[&str; 1]>::as_slice).collect();
    assert_eq!(given(store, &sample, "b", &sets).await, ["first", "second"]);
}

/// Of tasks with one priority the oldest comes first, and of one age that with the lowest id, be it
/// an own one or not.
pub async fn equal_priorities_go_by_age_then_id(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("done", agent_named("b"), &[], 0)]).await;
    let mut tasks = vec![];
    for (number, seconds) in [9, 8, 8, 7, 8, 6].into_iter().enumerate() {
        let mut task = sample.tasks["done"].clone();
        task.id = uuid::Uuid::from_u128(900 - number as u128).into();
        task.name = format!("t{number}");
        task.queued_at = at(seconds);
        if number % 2 == 0 {
            task.agent_id = None;
            task.required_capabilities = ["x"].into_iter().collect();
        } else {
            task.agent_id = Some(sample.agents["a"].id);
        }
        store.create(task.clone()).await.unwrap();
        tasks.push(task);
    }
    tasks.sort_by(Task::queue_order);
    let wanted: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(wanted, ["t5", "t3", "t4", "t2", "t1", "t0"]);
    assert_eq!(given(store, &sample, "a", &[&["x"]]).await, wanted);
}

/// Only an idle agent is given work.
pub async fn an_agent_that_is_not_idle_is_given_nothing(store: &dyn Store) {
    let steps = vec![
        step("own", agent_named("a"), &[], 0),
        step("pooled", capable_of(&["x"]), &[], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let ask = || store.claim_task(sample.claim("a", &[&["x"]], sample.node()));
    let become_ = |agent: Agent, state| async move {
        let mut next = agent;
        next.state = state;
        store.update(next.clone()).await.unwrap();
        next.version += 1;
        next
    };
    let mut agent = sample.agents["a"].clone();
    for state in [AgentState::Working, AgentState::Paused, AgentState::Error] {
        agent = become_(agent, state).await;
        assert_eq!(ask().await.unwrap(), None, "{state}");
    }
    agent = become_(agent, AgentState::Idle).await;
    let claimed = ask().await.unwrap().unwrap();
    assert_eq!(
        (claimed.task.name.as_str(), &claimed.agent),
        ("own", &agent)
    );
    sample.skip(store, claimed.task).await;
    become_(agent, AgentState::Terminated).await;
    assert_eq!(ask().await.unwrap(), None);
    let mut unknown = sample.claim("b", &[&["x"]], sample.node());
    unknown.agent = uuid::Uuid::nil().into();
    assert_eq!(store.claim_task(unknown).await.unwrap(), None);
    assert_eq!(given(store, &sample, "b", &[&["x"]]).await, ["pooled"]);
}

/// A capability may have any name.
pub async fn capabilities_with_odd_names_are_matched(store: &dyn Store) {
    let odd: [&[&str]; 3] = [&["it's", "a,b"], &["z\u{0}"], &["日本", "$1 ?"]];
    let steps = odd
        .iter()
        .enumerate()
        .map(|(number, set)| step(&format!("s{number}"), capable_of(set), &[], 0));
    let sample = Sample::store(store, steps.collect()).await;
    assert_eq!(given(store, &sample, "a", &odd).await, ["s0", "s1", "s2"]);
}

/// When the batch that gives a task back is refused, its worker holds it as before.
pub async fn a_refused_release_leaves_the_task_with_its_worker(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let claim = sample.claim("a", &[], sample.node());
    let task = store.claim_task(claim).await.unwrap().unwrap().task;
    let mut stale = sample.agents["b"].clone();
    stale.version = 77;
    let decision = Decision::default().with(Change::update(stale));
    let release = Batch::release(fence_of(&task), decision);
    let refused = store.commit(release).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Conflict {
                entity: "agent",
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(store.get(task.id).await.unwrap(), task);
    let held = Batch::fenced(fence_of(&task), Decision::default());
    store.commit(held).await.unwrap();
    assert_eq!(
        store
            .claim_task(sample.claim("a", &[], sample.node()))
            .await
            .unwrap(),
        None
    );
}

/// One step before fifty, which are before one: fifty agents finish at once, and the last step is
/// ready exactly then, for one of them.
pub async fn a_join_of_fifty_is_ready_exactly_once(store: &dyn Store) {
    let names: Vec<String> = (0..50).map(|number| format!("s{number}")).collect();
    let each: Vec<&str> = names.iter().map(String::as_str).collect();
    let staff: Vec<(&str, &[&str])> = each.iter().map(|name| (*name, &["x"][..])).collect();
    let mut steps = vec![step("first", capable_of(&["x"]), &[], 0)];
    steps.extend(
        each.iter()
            .map(|name| step(name, capable_of(&["x"]), &["first"], 0)),
    );
    steps.push(step("join", capable_of(&["x"]), &each, 0));
    let sample = Sample::staffed(store, &staff, steps).await;
    let node = sample.node();
    let claim = |name: &str| store.claim_task(sample.claim(name, &[&["x"]], node));

    let first = claim("s0").await.unwrap().unwrap();
    assert_eq!(
        (first.task.name.as_str(), claim("s1").await.unwrap()),
        ("first", None)
    );
    complete(store, &sample, first).await;
    assert_eq!(store.get(sample.run.id).await.unwrap().open_tasks, 51);

    let claimed = join_all(each.iter().map(|name| claim(name))).await;
    let claimed: Vec<Claimed> = claimed
        .into_iter()
        .map(|one| one.unwrap().unwrap())
        .collect();
    assert!(!store.get(sample.tasks["join"].id).await.unwrap().is_ready());
    join_all(claimed.into_iter().map(|one| complete(store, &sample, one))).await;

    let join = store.get(sample.tasks["join"].id).await.unwrap();
    assert_eq!((join.unmet_dependencies, join.is_ready()), (0, true));
    assert_eq!(store.get(sample.run.id).await.unwrap().open_tasks, 1);
    let last = join_all(each.iter().map(|name| claim(name))).await;
    let last: Vec<Claimed> = last.into_iter().filter_map(|one| one.unwrap()).collect();
    assert_eq!((last.len(), last[0].task.id), (1, join.id));
}

/// Begins and completes a claimed task.
pub(super) async fn complete(store: &dyn Store, sample: &Sample, claimed: Claimed) {
    let Claimed { task, agent } = claimed;
    let fence = fence_of(&task);
    let (task, agent, begin) = task.begin(agent, json!({}), sample.moment()).unwrap();
    store.commit(Batch::fenced(fence, begin)).await.unwrap();
    let done = task.complete(agent, json!({}), sample.moment()).unwrap();
    store.commit(Batch::fenced(fence, done)).await.unwrap();
}
