//! Rules of nodes and of the leases under which they drive runs.

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_core::{
    Agent, Change, Decision, NamedSnapshot, Node, NodeId, NodeRole, NodeState, PauseAt, TaskState,
    Timestamp, Workspace,
};
use futures::future::join_all;
use uuid::Uuid;

use super::sample::{Sample, agent_named, step};
use crate::{
    Batch, Error, Fence, Kept, Lease, NodeChange, Repository, RunFence, Store, TakeRuns, Wanted,
};

pub(super) fn node(number: u128) -> NodeId {
    NodeId::from_uuid(Uuid::from_u128(number))
}

pub(super) fn named(id: NodeId, name: &str) -> Node {
    Node {
        id,
        epoch: 0,
        name: name.to_owned(),
        version: "1".to_owned(),
        roles: BTreeSet::from([NodeRole::Api, NodeRole::Worker]),
        capacity: 7,
        state: NodeState::Up,
        started_at: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
    }
}

const LONG: Duration = Duration::from_secs(600);

fn taking(wanted: Wanted, owner: NodeId, duration: Duration) -> TakeRuns {
    TakeRuns {
        wanted,
        lease: Lease { owner, duration },
    }
}

const fn free(limit: u32) -> Wanted {
    Wanted::Free(limit)
}

async fn take(store: &dyn Store, owner: NodeId, wanted: Wanted) -> Vec<RunFence> {
    let take = taking(wanted, owner, LONG);
    store.take_runs(take).await.unwrap()
}

/// A batch that changes nothing is written by who holds the run, and by nobody else.
async fn may_write(store: &dyn Store, fence: RunFence) -> bool {
    match store
        .commit(Batch::driven(fence, Decision::default()))
        .await
    {
        Ok(_) => true,
        Err(Error::NotDriver { run }) if run == fence.run => false,
        Err(other) => panic!("{other}"),
    }
}

/// Ten nodes ask at once for all that is free: one of them gets the run.
pub async fn a_run_is_taken_by_one_node_only(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let nodes: Vec<NodeId> = (1..=10).map(node).collect();
    let asked = nodes
        .iter()
        .map(|owner| store.take_runs(taking(free(5), *owner, LONG)));
    let taken: Vec<RunFence> = join_all(asked)
        .await
        .into_iter()
        .flat_map(|answer| answer.unwrap())
        .collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].run, sample.run.id);
    assert_eq!(store.runs_of_node(taken[0].owner).await.unwrap(), taken);
    let other = nodes.into_iter().find(|it| *it != taken[0].owner).unwrap();
    let this = Wanted::This(sample.run.id);
    assert_eq!(take(store, other, this).await, []);
    assert!(store.is_worked_on(sample.run.id).await.unwrap());
}

/// Whoever lost the run writes nothing about it and gets none of its tasks.
pub async fn a_driver_that_lost_its_run_is_refused(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let short = taking(free(1), node(1), Duration::ZERO);
    let lost = store.take_runs(short).await.unwrap()[0];
    assert!(may_write(store, lost).await, "nobody took it yet");
    while take(store, node(2), free(1)).await.is_empty() {}
    let held = store.runs_of_node(node(2)).await.unwrap()[0];
    assert_eq!(held.number, lost.number + 1);
    assert!(!may_write(store, lost).await && may_write(store, held).await);
    let claim = |owner: NodeId, driver: RunFence| {
        let mut claim = sample.claim("a", &[], owner);
        claim.driver = Some(driver);
        claim
    };
    let zombie = store.claim_task(claim(node(1), lost)).await.unwrap();
    assert_eq!(zombie, None);
    let given = store.claim_task(claim(node(2), held)).await.unwrap();
    assert!(given.is_some());
}

/// A run that was given up is free at once, or after its rest, but for who asks for this very one.
pub async fn a_run_that_is_given_up_is_free(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let first = take(store, node(1), free(1)).await[0];
    let release = |fence, rest| NodeChange::Release { fence, rest };
    let done = store.change_node(release(first, Duration::ZERO)).await;
    assert_eq!(done.unwrap(), 1);
    let second = take(store, node(2), free(1)).await[0];
    let late = store.change_node(release(first, Duration::ZERO)).await;
    assert_eq!(late.unwrap(), 0, "it was lost before");
    let rests = store.change_node(release(second, LONG)).await;
    assert_eq!(rests.unwrap(), 1);
    assert_eq!(take(store, node(3), free(1)).await, []);
    let this = Wanted::This(sample.run.id);
    assert_eq!(take(store, node(3), this).await.len(), 1);
    let all = store.change_node(NodeChange::ReleaseAll(node(3))).await;
    assert_eq!(all.unwrap(), 1);
    assert_eq!(take(store, node(4), free(1)).await.len(), 1);
}

/// A run that ended is nobody's any more.
pub async fn a_run_that_ended_is_given_to_nobody(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let held = take(store, node(1), free(1)).await[0];
    let agents = sample.agents.values().cloned().collect();
    let run = store.get(sample.run.id).await.unwrap();
    let ended = run.end(Some("over".to_owned()), agents, sample.moment());
    store
        .commit(Batch::driven(held, ended.unwrap()))
        .await
        .unwrap();
    let release = NodeChange::Release {
        fence: held,
        rest: Duration::ZERO,
    };
    assert_eq!(store.change_node(release).await.unwrap(), 1);
    assert!(!may_write(store, held).await);
    assert_eq!(store.runs_of_node(node(1)).await.unwrap(), []);
    assert_eq!(take(store, node(1), Wanted::This(held.run)).await, []);
}

/// Who makes a run may keep it: nobody else is given it.
pub async fn a_reserved_run_is_the_one_of_its_maker(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let reserve = Change::Reserve {
        run_id: sample.run.id,
        owner: node(1),
        lease: LONG,
    };
    let decision = Decision::default().with(reserve);
    store.commit(Batch::free(decision)).await.unwrap();
    assert_eq!(take(store, node(2), free(1)).await, []);
    let held = store.runs_of_node(node(1)).await.unwrap();
    assert_eq!(held.iter().map(|it| it.number).collect::<Vec<_>>(), [1]);
    assert!(may_write(store, held[0]).await);
}

/// A run that a person holds is nobody's to drive, whatever his name; one that was told to end is driven to
/// its end, also where its driver is gone.
pub async fn a_run_that_is_held_is_not_taken_and_one_that_is_to_end_is(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let by = r#""kind":"cancel""#;
    let held = sample.run.clone();
    let (held, said) = held.pause(PauseAt::Now, by, sample.moment()).unwrap();
    store.commit(Batch::free(said)).await.unwrap();
    assert_eq!(take(store, node(1), free(1)).await, []);
    let (_, said) = held.order_cancel(by, sample.moment()).unwrap();
    store.commit(Batch::free(said)).await.unwrap();
    assert_eq!(take(store, node(1), free(1)).await.len(), 1);
}

/// Nodes are numbered as they begin, are seen with what they hold, drain, and end.
pub async fn nodes_are_seen_with_what_they_hold(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let mut epochs = Vec::new();
    for (id, name) in [(node(1), "one"), (node(2), "two")] {
        let register = NodeChange::Register(named(id, name));
        epochs.push(store.change_node(register).await.unwrap());
    }
    assert_eq!(epochs[1], epochs[0] + 1);
    let lease = Lease {
        owner: node(1),
        duration: LONG,
    };
    take(store, node(1), free(1)).await;
    store
        .claim_task(sample.claim("a", &[], node(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store.keep_node(lease).await.unwrap(),
        Kept { tasks: 1, runs: 1 }
    );
    let seen = store.outlook(false).await.unwrap();
    assert_eq!((seen.free_runs, seen.has_lost_tasks), (0, false));
    let told = |seen: &crate::NodeSeen| (seen.node.name.clone(), seen.runs, seen.tasks);
    let all: Vec<_> = seen.nodes.iter().map(told).collect();
    assert_eq!(all, [("one".to_owned(), 1, 1), ("two".to_owned(), 0, 0)]);
    let state = |id, state| NodeChange::State { id, state };
    let drained = store.change_node(state(node(1), NodeState::Draining)).await;
    assert_eq!(drained.unwrap(), 1);
    let ended = store.change_node(state(node(2), NodeState::Down)).await;
    assert_eq!(ended.unwrap(), 1);
    let late = store.change_node(state(node(2), NodeState::Draining)).await;
    assert_eq!(late.unwrap(), 0);
    let at_work = store.outlook(false).await.unwrap().nodes;
    assert_eq!(at_work.len(), 1);
    assert_eq!(
        (at_work[0].node.state, at_work[0].node.takes_runs()),
        (NodeState::Draining, false)
    );
    let known = store.nodes(10).await.unwrap();
    let names: Vec<&str> = known.iter().map(|it| it.node.name.as_str()).collect();
    assert_eq!(names, ["two", "one"]);
}

/// What a dead node held is free at once, and each task that was at work remembers its loss.
pub async fn a_dead_nodes_leases_end_and_its_losses_are_kept(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let register = NodeChange::Register(named(node(1), "one"));
    store.change_node(register).await.unwrap();
    let held = take(store, node(1), free(1)).await[0];
    let claimed = store.claim_task(sample.claim("a", &[], node(1))).await;
    let claimed = claimed.unwrap().unwrap();
    let fence = Fence {
        task: claimed.task.id,
        number: claimed.task.fence,
    };
    let input = serde_json::json!({});
    let begun = claimed.task.begin(claimed.agent, input, sample.moment());
    let (task, agent, decision) = begun.unwrap();
    store.commit(Batch::fenced(fence, decision)).await.unwrap();
    let dead = NodeChange::Expire(node(1));
    assert_eq!(store.change_node(dead.clone()).await.unwrap(), 1);
    assert_eq!(
        store.change_node(dead).await.unwrap(),
        0,
        "it is down already"
    );
    while store.expired_leases(1).await.unwrap().is_empty() {}
    assert!(store.outlook(false).await.unwrap().nodes.is_empty());
    let back = task.take_back(Some(agent), "its process ended", sample.moment());
    store
        .commit(Batch::rescue(fence, back.unwrap()))
        .await
        .unwrap();
    let losses = store.losses(task.id).await.unwrap();
    let told: Vec<_> = losses
        .iter()
        .map(|loss| (loss.node, loss.node_name.as_deref()))
        .collect();
    assert_eq!(told, [(Some(node(1)), Some("one"))]);
    assert_eq!(take(store, node(2), free(1)).await.len(), 1);
    assert!(!may_write(store, held).await);
}

/// Who ends a lost task needs a lease that has run out; one that was given back leaves no loss.
pub async fn a_lost_task_is_ended_by_its_rescuer_and_a_held_one_is_not(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let claim = |duration| {
        let mut claim = sample.claim("a", &[], sample.node());
        claim.lease.duration = duration;
        claim
    };
    let held = store.claim_task(claim(LONG)).await.unwrap().unwrap();
    let fence = |task: &fusion_core::Task| Fence {
        task: task.id,
        number: task.fence,
    };
    let nothing = || Batch::expired(fence(&held.task), Decision::default());
    let early = store.commit(nothing()).await.unwrap_err();
    assert!(matches!(early, Error::Fenced { .. }), "{early}");
    let back = held.task.take_back(None, "drained", sample.moment());
    let back = Batch::release(fence(&held.task), back.unwrap());
    store.commit(back).await.unwrap();
    assert_eq!(store.losses(held.task.id).await.unwrap(), []);

    let again = store.claim_task(claim(Duration::ZERO)).await.unwrap();
    let again = again.unwrap();
    let right = fence(&again.task);
    let begun = again
        .task
        .begin(again.agent, serde_json::json!({}), sample.moment());
    let (task, agent, decision) = begun.unwrap();
    store.commit(Batch::fenced(right, decision)).await.unwrap();
    while store.expired_leases(1).await.unwrap().is_empty() {}
    let failed = task
        .clone()
        .fail(agent, "quarantined", &[], sample.moment());
    store
        .commit(Batch::expired(right, failed.unwrap()))
        .await
        .unwrap();
    let ended = store.get(task.id).await.unwrap();
    assert_eq!(ended.state, TaskState::Failed);
    assert_eq!(store.losses(task.id).await.unwrap().len(), 1);
}

/// What is kept of a workspace is what the newest commit says that was not refused.
pub async fn a_snapshot_is_named_by_the_commit_that_holds_and_by_no_other(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let agents = store.agents_of_run(sample.run.id).await.unwrap();
    let workspace = agents[0].1.id;
    let claimed = store.claim_task(sample.claim("a", &[], node(1))).await;
    let task = claimed.unwrap().unwrap().task;
    let name = |number, snapshot: Option<NamedSnapshot>| {
        let named = Change::NameSnapshot {
            workspace_id: workspace,
            snapshot,
        };
        let fence = Fence {
            task: task.id,
            number,
        };
        store.commit(Batch::fenced(fence, Decision::default().with(named)))
    };
    let kept = |name: &str| Some(NamedSnapshot::Kept(name.to_owned()));
    let missing = Some(NamedSnapshot::Missing("too large".to_owned()));
    assert_eq!(store.snapshot_of(workspace).await.unwrap(), None);
    name(task.fence, kept("one/a")).await.unwrap();
    assert_eq!(store.snapshot_of(workspace).await.unwrap(), kept("one/a"));
    let late = name(task.fence - 1, kept("two/b")).await.unwrap_err();
    assert!(matches!(late, Error::Fenced { .. }), "{late}");
    assert_eq!(store.snapshot_of(workspace).await.unwrap(), kept("one/a"));
    name(task.fence, missing.clone()).await.unwrap();
    assert_eq!(store.snapshot_of(workspace).await.unwrap(), missing);
    name(task.fence, kept("one/c")).await.unwrap();
    assert_eq!(store.snapshot_of(workspace).await.unwrap(), kept("one/c"));
    name(task.fence, None).await.unwrap();
    assert_eq!(store.snapshot_of(workspace).await.unwrap(), None);
}

/// A workspace may be in another folder than at first; who read it before is refused.
pub async fn a_workspace_that_moved_is_read_back_where_it_is(store: &dyn Store) {
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    let (agent, before) = store.agents_of_run(sample.run.id).await.unwrap().remove(0);
    let moved = before.clone().moved_to("/elsewhere/w".to_owned());
    let agent = Agent {
        workspace_path: moved.root_path.clone(),
        ..agent
    };
    let move_it = Decision::default()
        .with(Change::update(moved.clone()))
        .with(Change::update(agent.clone()));
    store.commit(Batch::free(move_it)).await.unwrap();
    let found = store.agents_of_run(sample.run.id).await.unwrap().remove(0);
    let wanted = Workspace {
        version: before.version + 1,
        ..moved
    };
    let agent = Agent {
        version: agent.version + 1,
        ..agent
    };
    assert_eq!(found, (agent, wanted));
    let late = Decision::default().with(Change::update(before));
    let late = store.commit(Batch::free(late)).await.unwrap_err();
    assert!(matches!(late, Error::Conflict { .. }), "{late}");
}
