//! Rules of the one look for all that sweeps would find.

use std::time::Duration;

use fusion_core::{
    Agent, AgentState, Approval, ApprovalState, Change, Decision, Letter, Row, Schedule, Timestamp,
};
use serde_json::json;

use super::inboxes::lasting;
use super::messages::sent;
use super::nodes::{named, node};
use super::office::{Office, Wanted, wanted};
use super::sample::{Sample, agent_named, step};
use super::schedules::bare;
use super::world::World;
use crate::{Batch, Due, NodeChange, Store, WriteRepository};

/// What is due in a store in which a run goes on.
const OPEN: Due = Due {
    open_runs: true,
    ..Due::NOTHING
};

async fn due(store: &dyn Store) -> Due {
    store.due().await.unwrap()
}

async fn create(store: &dyn Store, row: impl Into<Row>) {
    let create = Decision::default().with(Change::create(row));
    store.commit(Batch::free(create)).await.unwrap();
}

/// Leases are due while they hold and once they have run out; nodes are told the same beside their look.
pub async fn nothing_is_due_in_an_empty_store_and_leases_are_once_there_are_some(
    store: &dyn Store,
) {
    assert_eq!(due(store).await, Due::NOTHING);
    let sample = Sample::store(store, vec![step("s", agent_named("a"), &[], 0)]).await;
    assert_eq!(due(store).await, OPEN);
    let mut claim = sample.claim("a", &[], sample.node());
    claim.lease.duration = Duration::ZERO;
    store.claim_task(claim).await.unwrap().unwrap();
    while store.expired_leases(1).await.unwrap().is_empty() {}
    let lost = Due {
        leased_tasks: true,
        lost_tasks: true,
        ..OPEN
    };
    assert_eq!(due(store).await, lost);
    let register = NodeChange::Register(named(node(1), "one"));
    store.change_node(register).await.unwrap();
    let look = async |with_due| store.outlook(with_due).await.unwrap().due;
    assert_eq!((look(true).await, look(false).await), (Some(lost), None));
}

/// Mail is due for those who are idle, and for those who have ended; what ran out is due whoever it is for.
pub async fn mail_is_due_where_somebody_has_to_deal_with_it(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    assert_eq!(due(store).await, OPEN);
    sent(store, lasting(&office.world, &["a"])).await;
    assert_eq!(due(store).await, OPEN, "who works for a run reads it there");
    let letter = Letter {
        recipients: vec![agent.id],
        ..lasting(&office.world, &["a"])
    };
    sent(store, letter).await;
    let mail = Due { mail: true, ..OPEN };
    assert_eq!(due(store).await, mail);
    let mut ended = agent;
    ended.state = AgentState::Terminated;
    store.update(ended).await.unwrap();
    let dead_mail = Due {
        dead_mail: true,
        ..OPEN
    };
    assert_eq!(due(store).await, dead_mail);
}

/// A message that ran out is due also where its recipient is at work.
pub async fn a_message_that_ran_out_is_due(store: &dyn Store) {
    let world = World::store(store).await;
    let mut letter = lasting(&world, &["a"]);
    letter.message.expiry_at = Some(Timestamp::UNIX_EPOCH);
    sent(store, letter).await;
    let dead_mail = Due {
        dead_mail: true,
        ..OPEN
    };
    assert_eq!(due(store).await, dead_mail);
}

/// An agent that is half made, half ended or half restarted is due, one that is held is not.
pub async fn agents_are_due_that_are_half_done_or_at_work_for_nobody_knows_what(store: &dyn Store) {
    let office = Office::open(store).await;
    let idle = office.agent("s", &[]).await;
    let now_in = |state: AgentState, metadata: serde_json::Value| Agent {
        workspace_path: format!("/workspaces/{state}{metadata}"),
        id: office.world.fresh(),
        state,
        metadata,
        ..idle.clone()
    };
    create(store, now_in(AgentState::Paused, json!({}))).await;
    create(store, now_in(AgentState::Error, json!({}))).await;
    assert_eq!(due(store).await, OPEN);
    create(store, now_in(AgentState::Working, json!({}))).await;
    let at_work = Due {
        standing_at_work: true,
        ..OPEN
    };
    assert_eq!(due(store).await, at_work);
    let half_done = Due {
        half_done_agents: true,
        ..at_work
    };
    let restarting = json!({ "restarting": "now" });
    let held = now_in(AgentState::Paused, restarting);
    create(store, held.clone()).await;
    assert_eq!(due(store).await, half_done);
    let idle_again = Agent {
        state: AgentState::Idle,
        metadata: json!({}),
        ..held
    };
    store.update(idle_again).await.unwrap();
    assert_eq!(due(store).await, at_work);
    let ending = json!({ "ending": "archive" });
    create(store, now_in(AgentState::Paused, ending)).await;
    assert_eq!(due(store).await, half_done);
}

/// A standing agent that is being made.
pub async fn an_agent_that_is_being_made_is_due(store: &dyn Store) {
    let office = Office::open(store).await;
    let idle = office.agent("s", &[]).await;
    let unborn = Agent {
        id: office.world.fresh(),
        state: AgentState::Spawning,
        workspace_path: "/workspaces/unborn".to_owned(),
        ..idle
    };
    create(store, unborn).await;
    let half_done = Due {
        half_done_agents: true,
        ..OPEN
    };
    assert_eq!(due(store).await, half_done);
}

/// A task of the pool is due while it can be handed out or waits for others, not while it waits for its time.
pub async fn the_pool_is_due_while_it_has_a_task_whose_time_has_come(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    let late = Wanted {
        delay: Some(Duration::from_secs(600)),
        ..wanted("late", 0)
    };
    office.put(late).await;
    assert_eq!(due(store).await, OPEN);
    let first = office.put(wanted("first", 0)).await;
    let pool = Due { pool: true, ..OPEN };
    assert_eq!(due(store).await, pool);
    let taken = office.take(&agent).await.unwrap();
    let leased = Due {
        leased_tasks: true,
        ..OPEN
    };
    assert_eq!((taken.id, due(store).await), (first.id, leased));
    let second = Wanted {
        needs: vec![first.id],
        ..wanted("second", 0)
    };
    office.put(second).await;
    let both = Due {
        pool: true,
        ..leased
    };
    assert_eq!(due(store).await, both, "its need may end badly");
}

/// Schedules are due from their time on, questions when they ran out: neither when a person holds them.
pub async fn schedules_and_questions_are_due_at_their_time(store: &dyn Store) {
    let world = World::store(store).await;
    let (past, future) = (
        Timestamp::UNIX_EPOCH,
        "2999-01-01T00:00:00Z".parse().unwrap(),
    );
    let schedule = |next_at, is_paused| Schedule {
        is_paused,
        next_at,
        ..bare(world.fresh())
    };
    create(store, schedule(None, false)).await;
    create(store, schedule(Some(future), false)).await;
    create(store, schedule(Some(past), true)).await;
    let question = |expires, state| Approval {
        id: world.fresh(),
        state,
        expires_at: Some(expires),
        ..world.approval()
    };
    create(store, question(future, ApprovalState::Pending)).await;
    create(store, question(past, ApprovalState::Approved)).await;
    assert_eq!(due(store).await, OPEN);
    create(store, schedule(Some(past), false)).await;
    create(store, question(past, ApprovalState::Pending)).await;
    let both = Due {
        schedules: true,
        approvals: true,
        ..OPEN
    };
    assert_eq!(due(store).await, both);
}
