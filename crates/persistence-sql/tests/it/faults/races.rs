//! What commits between a look and the write that follows from it.

use std::time::Duration;

use fusion_core::{
    AgentState, CapabilitySet, EventType, NewEvent, NodeId, Task, TaskState, Timestamp,
};
use fusion_persistence::{
    Batch, Claim, Claimed, Error, EventFilter, EventReader, Fence, Lease, Repository, Store,
    TaskReader,
};
use fusion_persistence_sql::SqlStore;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use serde_json::json;

use super::world::{self, Ids, messages};

const fn fence_of(task: &Task) -> Fence {
    Fence {
        task: task.id,
        number: task.fence,
    }
}

/// A task whose lease runs out at once, and has.
async fn claimed(store: &SqlStore, ids: &Ids) -> Claimed {
    let plan = world::plan(ids, 1, vec![world::step("only", &[])]);
    store.commit(plan.create).await.unwrap();
    store.commit(plan.launch).await.unwrap();
    let agents = fusion_persistence::AgentReader::agents_of_run(store, plan.run).await;
    let moment = ids.moment(200);
    let claim = Claim {
        agent: agents.unwrap()[0].0.id,
        run: plan.run,
        capability_sets: vec![["x"].into_iter().collect::<CapabilitySet>().key()],
        lease: Lease {
            owner: NodeId::from_uuid(uuid::Uuid::from_u128(7)),
            duration: Duration::ZERO,
        },
        driver: None,
        event: NewEvent::of_run(
            moment,
            EventType::TaskAssigned,
            plan.run,
            "given".to_owned(),
        ),
    };
    let claimed = store.claim_task(claim).await.unwrap().unwrap();
    while store.expired_leases(1).await.unwrap().is_empty() {}
    claimed
}

async fn completion_stands(store: &SqlStore) {
    let ids = Ids::default();
    let Claimed { task, agent } = claimed(store, &ids).await;
    let fence = fence_of(&task);
    let (task, agent, opening) = task.begin(agent, json!({}), ids.moment(210)).unwrap();
    store.commit(Batch::fenced(fence, opening)).await.unwrap();
    let looked = store.expired_leases(1).await.unwrap().remove(0);
    let seen = store.get(agent.id).await.unwrap();
    let completion = task.complete(agent, json!({ "done": true }), ids.moment(220));
    let completion = Batch::fenced(fence, completion.unwrap());
    store.commit(completion).await.unwrap();
    let taken = looked.take_back(Some(seen), "too late", ids.moment(230));
    let rescue = Batch::rescue(fence_of(&looked), taken.unwrap());
    let refused = store.commit(rescue).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    let stored = store.get(looked.id).await.unwrap();
    assert_eq!(stored.state, TaskState::Completed);
    assert_eq!(stored.output_artifacts, Some(json!({ "done": true })));
}

async fn beginner_is_not_left_at_work(store: &SqlStore) {
    let ids = Ids::default();
    let Claimed { task, agent } = claimed(store, &ids).await;
    let fence = fence_of(&task);
    let looked = store.expired_leases(1).await.unwrap().remove(0);
    let seen = store.get(agent.id).await.unwrap();
    let (_, agent, opening) = task.begin(agent, json!({}), ids.moment(210)).unwrap();
    store.commit(Batch::fenced(fence, opening)).await.unwrap();
    let rescue = |task: &Task, agent| {
        let decision = task.take_back(Some(agent), "it is gone", ids.moment(220));
        store.commit(Batch::rescue(fence_of(task), decision.unwrap()))
    };
    let refused = rescue(&looked, seen).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    let again = store.expired_leases(1).await.unwrap().remove(0);
    rescue(&again, store.get(agent.id).await.unwrap())
        .await
        .unwrap();
    assert_eq!(store.get(looked.id).await.unwrap().state, TaskState::Queued);
    assert_eq!(store.get(agent.id).await.unwrap().state, AgentState::Idle);
}

async fn on_file() -> crate::file::OnFile {
    let dir = tempfile::TempDir::new().unwrap();
    crate::file::open(dir).await.unwrap()
}

async fn on_server() -> SqlStore {
    crate::postgres::open(&crate::postgres::empty_database().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_between_a_rescuers_look_and_its_write_stands_on_sqlite() {
    completion_stands(&on_file().await.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_between_a_rescuers_look_and_its_write_stands_on_postgresql() {
    completion_stands(&on_server().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_began_between_a_rescuers_look_and_its_write_ends_idle_on_sqlite() {
    beginner_is_not_left_at_work(&on_file().await.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_began_between_a_rescuers_look_and_its_write_ends_idle_on_postgresql() {
    beginner_is_not_left_at_work(&on_server().await).await;
}

/// How many transactions wait for a lock in this database.
pub(super) async fn waiting(raw: &impl ConnectionTrait) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let count = Statement::from_string(sea_orm::DbBackend::Postgres, sql);
    let row = raw.query_one_raw(count).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_skips_the_event_of_a_transaction_that_commits_late() {
    let url = crate::postgres::empty_database().await;
    let [store, other] = [
        crate::postgres::open(&url).await,
        crate::postgres::open(&url).await,
    ];
    let (ids, all) = (Ids::default(), EventFilter::default());
    store.commit(ids.telling("early")).await.unwrap();
    let raw = crate::raw::connect(&url).await;
    let late = raw.begin().await.unwrap();
    late.execute_unprepared("UPDATE event_streams SET last_seq = last_seq + 1 WHERE name = 'main'")
        .await
        .unwrap();
    let mut seen = Vec::new();
    let poll = async |seen: &mut Vec<(u64, String)>| {
        let after = seen.last().map_or(0, |(seq, _)| *seq);
        let new = store.events_after(&all, after, 10).await.unwrap();
        seen.extend(
            new.into_iter()
                .map(|event| (event.seq, event.event.message)),
        );
    };
    let commits = futures::future::join(
        store.commit(ids.telling("a")),
        other.commit(ids.telling("b")),
    );
    let mut commits = std::pin::pin!(commits);
    while waiting(&raw).await < 2 {
        tokio::select! {
            early = &mut commits => panic!("they can't have a number yet: {early:?}"),
            () = poll(&mut seen) => {}
        }
    }
    late.execute_raw(Statement::from_sql_and_values(
        sea_orm::DbBackend::Postgres,
        "INSERT INTO events (seq, id, timestamp, event_type, severity, source_component, data, message)
         VALUES (2, gen_random_uuid(), $1, 'system.error', 'info', 'test', '{}', 'late')",
        [Timestamp::UNIX_EPOCH.into()],
    ))
    .await
    .unwrap();
    poll(&mut seen).await;
    assert_eq!(seen, [(1, "early".to_owned())]);
    late.commit().await.unwrap();
    let (a, b) = commits.await;
    assert_eq!(
        [a.unwrap().last_seq, b.unwrap().last_seq]
            .into_iter()
            .sum::<u64>(),
        3 + 4
    );
    poll(&mut seen).await;
    let seqs: Vec<u64> = seen.iter().map(|(seq, _)| *seq).collect();
    assert_eq!((seqs, seen[1].1.as_str()), (vec![1, 2, 3, 4], "late"));
    assert_eq!(messages(&store).await.len(), 4);
}
