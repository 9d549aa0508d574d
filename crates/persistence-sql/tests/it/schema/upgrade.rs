//! A database as the first step of the schema made it, with a run in it whose process was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusion_core::{
    Account, Agent, Decision, DeliveryStatus, EventType, Message, MessageId, NewEvent, NodeId,
    Task, TaskState, Timestamp,
};
use fusion_persistence::{
    AccountReader, Batch, Claim, EventFilter, EventReader, Fence, Lease, MessageFilter,
    MessageReader, Store, TaskReader,
};
use fusion_persistence_sql::SqlStore;
use fusion_persistence_sql::maintenance::{check, migrate_some_steps};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::{Value, json};

use crate::everything::Everything;
use crate::place::{Place, rows};
use crate::world::Ids;

const OLD: &str = include_str!("../fixtures/m0001.sql");
const EXPECTED: &str = include_str!("../fixtures/m0001.json");

/// Events that push those of the old database out of the newest, which are searched one by one.
const NEWER: usize = 3_000;

/// The schema of SQLite, and the rows for both databases.
fn halves() -> (&'static str, &'static str) {
    let (schema, rows) = OLD.split_once("\n----").unwrap();
    (schema, rows.trim_start_matches('-'))
}

async fn execute(place: &Place, sql: &str) {
    let raw = place.raw().await;
    raw.execute_unprepared(sql).await.unwrap();
    raw.close().await.unwrap();
}

pub(crate) async fn old_file() -> Place {
    let place = Place::file();
    let (schema, rows) = halves();
    execute(&place, &format!("{schema}\n{rows}")).await;
    place
}

async fn old_server() -> Place {
    let place = Place::server().await;
    let first = migrate_some_steps(&place.location, 1).await.unwrap();
    assert_eq!(first.applied_now, ["m0001_runs"]);
    execute(&place, &halves().1.replace("X'", "'")).await;
    // The worker is dead since long: by what clock the file was made does not matter.
    execute(
        &place,
        "UPDATE tasks SET lease_until = 0 WHERE lease_until > 0",
    )
    .await;
    place
}

fn by_name<'a>(everything: &'a Everything, name: &str) -> (&'a Task, &'a Agent) {
    let task = everything.tasks.iter().find(|task| task.name == name);
    let task = task.unwrap();
    let agent = everything
        .agents
        .iter()
        .find(|agent| Some(agent.id) == task.agent_id);
    (task, agent.unwrap())
}

async fn claim(store: &SqlStore, ids: &Ids, agent: &Agent, task: &Task) -> Option<(Task, Agent)> {
    let claim = Claim {
        agent: agent.id,
        run: task.run_id,
        capability_sets: vec![],
        lease: Lease {
            owner: NodeId::from_uuid(Uuid::from_u128(7)),
            duration: Duration::from_secs(60),
        },
        driver: None,
        event: NewEvent::of_run(
            ids.moment(),
            EventType::TaskAssigned,
            task.run_id,
            "assigned".to_owned(),
        ),
    };
    let claimed = store.claim_task(claim).await.unwrap();
    claimed.map(|claimed| (claimed.task, claimed.agent))
}

const fn fence(task: &Task) -> Fence {
    Fence {
        task: task.id,
        number: task.fence,
    }
}

/// The dead worker's task is taken back and done; then its successor can be claimed.
async fn the_run_goes_on(store: &SqlStore, ids: &Ids) {
    let everything = Everything::of(store).await;
    let (dead, implementer) = by_name(&everything, "implement");
    assert_eq!(
        store.expired_leases(10).await.unwrap(),
        std::slice::from_ref(dead)
    );
    let back = dead
        .take_back(Some(implementer.clone()), "its worker died", ids.moment())
        .unwrap();
    let rescue = Batch::rescue(fence(dead), back);
    store.commit(rescue).await.unwrap();
    let (task, agent) = claim(store, ids, implementer, dead).await.unwrap();
    assert_eq!((task.id, task.fence), (dead.id, dead.fence + 2));
    let (task, agent, begun) = task.begin(agent, json!({}), ids.moment()).unwrap();
    store
        .commit(Batch::fenced(fence(&task), begun))
        .await
        .unwrap();
    let (waiting, reviewer) = by_name(&everything, "review");
    assert_eq!(claim(store, ids, reviewer, waiting).await, None);
    let held = fence(&task);
    let done = task.complete(agent, json!({}), ids.moment()).unwrap();
    store.commit(Batch::fenced(held, done)).await.unwrap();
    let (next, _) = claim(store, ids, reviewer, waiting).await.unwrap();
    assert_eq!((next.id, next.state), (waiting.id, TaskState::Assigned));
}

/// The words of old events are indexed and found.
async fn old_events_are_found(store: &SqlStore, ids: &Ids, before: &Everything) {
    let filler = (0..NEWER).fold(Decision::default(), |decision, _| {
        let run = before.runs[0].id;
        let event = NewEvent::of_run(ids.moment(), EventType::MetricsUpdated, run, "tick".into());
        decision.telling(event)
    });
    store.commit(Batch::free(filler)).await.unwrap();
    let search = EventFilter {
        text: Some("write_file finished".to_owned()),
        ..EventFilter::default()
    };
    let found = store.events_before(&search, None, 10).await.unwrap();
    let numbers: Vec<u64> = found.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, [17, 15]);
}

async fn goes_on(place: Place) {
    let open = place.open().await.unwrap();
    let ids = Ids::default();
    let everything = Everything::of(&open.store).await;
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    assert_eq!(serde_json::to_value(&everything).unwrap(), expected);
    old_events_are_found(&open.store, &ids, &everything).await;
    the_run_goes_on(&open.store, &ids).await;
    let checks = check(&place.location).await.unwrap();
    let faults = checks.into_iter().filter_map(|check| check.fault);
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<String>::new());
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_sqlite_database_keeps_its_rows_and_goes_on() {
    goes_on(old_file().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_postgres_database_keeps_its_rows_and_goes_on() {
    goes_on(old_server().await).await;
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct Key {
    key: String,
    seq: i64,
}

/// The keys that the old events have in the index.
async fn keys(place: &Place) -> Vec<Key> {
    let raw = place.raw().await;
    let old = "SELECT key, seq FROM event_keys WHERE seq <= 17 ORDER BY key, seq";
    let keys = rows::<Key>(&raw, old).await;
    raw.close().await.unwrap();
    keys
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct Piece {
    first_seq: i64,
    last_seq: i64,
}

async fn pieces(place: &Place) -> Vec<Piece> {
    let raw = place.raw().await;
    let pieces = rows(&raw, "SELECT first_seq, last_seq FROM event_pieces").await;
    raw.close().await.unwrap();
    pieces
}

/// An old database whose events were all indexed by its program.
async fn migrated(place: Place) -> Place {
    let older = migrate_some_steps(&place.location, 16).await.unwrap();
    assert_eq!(older.applied_now.last().unwrap(), "m0017_lost_calls");
    let reached = "UPDATE event_streams SET last_seq = 17 WHERE name = 'words'";
    execute(&place, reached).await;
    migrate_some_steps(&place.location, 1).await.unwrap();
    place
}

/// An old database whose events this program has indexed.
async fn indexed(place: Place) -> Place {
    let open = place.open().await.unwrap();
    let everything = Everything::of(&open.store).await;
    old_events_are_found(&open.store, &Ids::default(), &everything).await;
    open.close().await;
    place
}

/// What an older program had indexed has the keys that this program gives to the same events.
async fn keeps_its_index(old: Place, other: Place) {
    for place in [&old, &other] {
        execute(
            place,
            "UPDATE events SET severity = 'warning' WHERE seq = 3",
        )
        .await;
    }
    let old = migrated(old).await;
    let kept = keys(&old).await;
    assert_eq!(kept, keys(&indexed(other).await).await);
    let kinds = kept.iter().map(|key| key.key.split(' ').next().unwrap());
    let kinds: BTreeSet<&str> = kinds.collect();
    assert_eq!(kinds, BTreeSet::from(["agent", "run", "severity", "type"]));
    let whole = Piece {
        first_seq: 1,
        last_seq: 17,
    };
    assert_eq!(pieces(&old).await, [whole]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_sqlite_database_had_indexed_stays_indexed() {
    keeps_its_index(old_file().await, old_file().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_postgres_database_had_indexed_stays_indexed() {
    keeps_its_index(old_server().await, old_server().await).await;
}

/// Standing agents of an older program: one spent without a limit, also in a run that is deleted, and one spent
/// more under a limit than its tasks tell, which others have done since.
const LIVES: [&str; 4] = [
    "UPDATE agents SET run_id = NULL WHERE name <> 'planner'",
    "UPDATE tasks SET input_tokens = 3, output_tokens = 4, cost_picos = 500",
    "INSERT INTO past_costs (run_id, place, agent_id, began_at, ended_at, dated, turns, input_tokens,
       output_tokens, cost_picos, without_price)
     SELECT runs.id, 1, agents.id, runs.created_at, runs.created_at, TRUE, 1, 20, 30, 4000, 0
     FROM runs CROSS JOIN agents WHERE agents.name = 'implementer'",
    "INSERT INTO accounts (account, tokens, cost_picos)
     VALUES ('agent:01a209ce-8285-7197-98be-4590ff95a799', 100, 9000)",
];

/// All that standing agents spent counts for their life.
async fn counts_lives(place: Place) {
    let older = migrate_some_steps(&place.location, 21).await.unwrap();
    assert_eq!(older.applied_now.last().unwrap(), "m0022_deleted_runs");
    for sql in LIVES {
        execute(&place, sql).await;
    }
    let open = place.open().await.unwrap();
    let agents = Everything::of(&open.store).await.agents;
    let mut spent = BTreeMap::new();
    for agent in &agents {
        let account = [Account::Agent(agent.id)];
        let found = open.store.spent(&account).await.unwrap().remove(0);
        spent.insert(agent.name.as_str(), (found.tokens, found.cost.picos()));
    }
    let expected = [
        ("implementer", (57, 4_500)),
        ("planner", (0, 0)),
        ("reviewer", (100, 9_000)),
    ];
    assert_eq!(spent, BTreeMap::from(expected));
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_standing_agents_spent_in_an_old_sqlite_database_counts() {
    counts_lives(old_file().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_standing_agents_spent_in_an_old_postgres_database_counts() {
    counts_lives(old_server().await).await;
}

/// Two messages of the third step to every agent: one pending, one read.
const MESSAGES: [&str; 3] = [
    "INSERT INTO messages SELECT X'00000000000000000000000000000002', '2026-11-20T10:00:00+00:00', id,
       NULL, 'a.b', '\"first\"', 'note', 'pending', NULL, '2999-01-01T00:00:00.5+00:00', 7
     FROM agents WHERE name = 'implementer'",
    "INSERT INTO messages SELECT X'00000000000000000000000000000001', '2026-11-20T11:00:00+00:00', id,
       NULL, 'a.b', '\"second\"', 'note', 'delivered', '2026-11-20T12:00:00+00:00', NULL, 2
     FROM agents WHERE name = 'implementer'",
    "INSERT INTO message_recipients SELECT agents.id, messages.id FROM agents CROSS JOIN messages",
];

/// Old messages have places in the log by their time, and deliveries with their status.
async fn keeps_messages(place: Place, spelled: impl Fn(&str) -> String) {
    let migrated = migrate_some_steps(&place.location, 2).await.unwrap();
    assert_eq!(migrated.applied_now, ["m0002_store", "m0003_event_indexes"]);
    for sql in MESSAGES {
        execute(&place, &spelled(sql)).await;
    }
    let open = place.open().await.unwrap();
    has_old_messages(&open.store).await;
    let checks = check(&place.location).await.unwrap();
    let faults = checks.into_iter().filter_map(|check| check.fault);
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<String>::new());
    open.close().await;
}

async fn has_old_messages(store: &SqlStore) {
    let everything = Everything::of(store).await;
    let [first, second] = old_messages(&everything);
    let all = MessageFilter::default();
    let log = store.messages_after(&all, 0, 10).await.unwrap();
    assert_eq!(log, [first.clone(), second.clone()]);
    for agent in &everything.agents {
        let inbox = store.inbox(agent.id, 0, 10).await.unwrap();
        assert_eq!(inbox, std::slice::from_ref(&first));
    }
    let read = store.deliveries(second.id).await.unwrap();
    assert_eq!(read.len(), everything.agents.len());
    let expected = (2, DeliveryStatus::Delivered, second.delivered_at);
    let mut settled = read.iter().map(|d| (d.seq, d.status, d.settled_at));
    assert!(settled.all(|found| found == expected), "{read:?}");
}

/// [`MESSAGES`] as they are read now.
fn old_messages(everything: &Everything) -> [Message; 2] {
    let sender = everything.agents.iter().find(|a| a.name == "implementer");
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let first = Message {
        id: MessageId::from_uuid(Uuid::from_u128(2)),
        seq: 1,
        timestamp: time("2026-11-20T10:00:00Z").unwrap(),
        sender_agent_id: sender.map(|agent| agent.id),
        recipient_agent_ids: None,
        topic: "a.b".to_owned(),
        payload: json!("first"),
        message_type: "note".to_owned(),
        run_id: None,
        reply_to: None,
        resends: None,
        hops: 0,
        delivery_status: DeliveryStatus::Pending,
        delivered_at: None,
        expiry_at: time("2999-01-01T00:00:00.5Z"),
    };
    let second = Message {
        id: MessageId::from_uuid(Uuid::from_u128(1)),
        seq: 2,
        timestamp: time("2026-11-20T11:00:00Z").unwrap(),
        payload: json!("second"),
        delivery_status: DeliveryStatus::Delivered,
        delivered_at: time("2026-11-20T12:00:00Z"),
        expiry_at: None,
        ..first.clone()
    };
    [first, second]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_an_old_sqlite_database_are_kept() {
    keeps_messages(old_file().await, str::to_owned).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_an_old_postgres_database_are_kept() {
    keeps_messages(old_server().await, |sql| sql.replace("X'", "'")).await;
}
