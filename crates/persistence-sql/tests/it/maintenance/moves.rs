//! Backups and restores, from each database to each.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use fusion_core::{Change, Decision, EventId};
use fusion_persistence::{Batch, EventFilter, EventReader, Lease, Store};
use fusion_persistence_sql::maintenance::{backup, restore, status, vacuum};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::{STEPS, faults, filled};
use crate::everything::Everything;
use crate::place::Place;
use crate::world::{Filled, Ids, at, capability, fill, node};

/// Callers that write while a backup is made.
const WRITERS: usize = 4;

/// Commits before the backup begins.
const BEFORE: usize = 200;

async fn everything(place: &Place) -> Everything {
    let open = place.open().await.unwrap();
    let everything = Everything::of(&open.store).await;
    open.close().await;
    everything
}

/// Numbers go on, words are found, leases are still held, the next task can be claimed.
async fn works_on(place: &Place, filled: &Filled, last: u64) {
    let open = place.open().await.unwrap();
    let store = &open.store;
    let found = EventFilter {
        text: Some("second".to_owned()),
        ..EventFilter::default()
    };
    let found = store.events_before(&found, None, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    let told = Decision::default().telling(filled.event("the next one"));
    let committed = store.commit(Batch::free(told)).await.unwrap();
    assert_eq!(committed.last_seq, last + 1);
    let lease = Lease {
        owner: node(),
        duration: std::time::Duration::from_secs(60),
    };
    assert_eq!(store.extend_leases(lease).await.unwrap(), 1);
    let held = store.claim_task(filled.claim(&filled.agents[0])).await;
    assert_eq!(held.unwrap(), None);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_keeps_every_row_and_tells_what_the_database_takes() {
    for place in [Place::file(), Place::server().await] {
        let filled = filled(&place).await;
        let before = everything(&place).await;
        let done = vacuum(&place.location).await.unwrap();
        assert!(done.before > 0 && done.after > 0, "{done:?}");
        assert_eq!(everything(&place).await, before);
        assert_eq!(faults(&place).await, Vec::<&str>::new());
        works_on(&place, &filled, before.events.last().unwrap().seq).await;
    }
}

/// A lease that ran out while its task was at work.
const A_LOSS: &str =
    "INSERT INTO task_losses (task_id, fence, node, at) SELECT id, 1, NULL, 0 FROM tasks LIMIT 1";

/// What is kept of a workspace.
const A_SNAPSHOT: &str = "INSERT INTO workspace_snapshots (workspace_id, name) SELECT id, 'one/a' FROM workspaces LIMIT 1";

/// What all runs of a workflow have used up.
const AN_ACCOUNT: &str =
    "INSERT INTO accounts (account, tokens, cost_picos) VALUES ('workflow:w', 7, 1000)";

/// The room of a call under way.
const A_CALL: &str = "INSERT INTO account_holds (task_id, account, fence, tokens, cost_picos) SELECT id, 'workflow:w', 1, 7, 1000 FROM tasks LIMIT 1";

/// What is left of a run that is deleted.
const A_DELETION: &str = "INSERT INTO run_deletions (run_id) SELECT id FROM runs LIMIT 1;
    INSERT INTO loose_files (sha256) VALUES ('e3b0');
    INSERT INTO past_costs (run_id, place, began_at, ended_at, dated, turns, input_tokens, output_tokens,
      cost_picos, without_price)
    SELECT id, 1, created_at, created_at, TRUE, 1, 2, 3, 4, 0 FROM runs LIMIT 1";

/// Backs a filled database up while it is open; gives what is in it.
async fn back_up(source: &Place, file: &Path) -> (Filled, Everything, BTreeMap<&'static str, u64>) {
    let open = source.open().await.unwrap();
    let filled = fill(&open.store).await;
    for damage in [A_LOSS, A_SNAPSHOT, AN_ACCOUNT, A_CALL, A_DELETION] {
        source.damage(damage).await;
    }
    let before = Everything::of(&open.store).await;
    let made = backup(&source.location, file).await.unwrap();
    let found = std::fs::metadata(file).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(found.len(), made.bytes);
    open.close().await;
    let rows = status(&source.location).await.unwrap().unwrap().rows;
    assert_eq!(made.rows, rows);
    assert!(rows.values().all(|rows| *rows > 0), "{rows:?}");
    (filled, before, rows)
}

async fn moves(source: Place, target: Place) {
    let file = source.dir.path().join("backup");
    let (filled, before, rows) = back_up(&source, &file).await;
    let restored = restore(&target.location, &file, false).await.unwrap();
    assert_eq!((restored.rows, restored.upgraded.len()), (rows, 0));
    assert_eq!(everything(&target).await, before);
    assert_eq!(faults(&target).await, Vec::<&str>::new());
    works_on(&target, &filled, before.events.last().unwrap().seq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_restores_into_sqlite() {
    moves(Place::file(), Place::file()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_restores_into_postgres() {
    moves(Place::file(), Place::server().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_postgres_restores_into_sqlite() {
    moves(Place::server().await, Place::file()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_postgres_restores_into_postgres() {
    moves(Place::server().await, Place::server().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_a_database_in_one_file() {
    for source in [Place::file(), Place::server().await] {
        filled(&source).await;
        let before = everything(&source).await;
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("backup");
        backup(&source.location, &file).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let location = Location::File(file, Durability::Full);
        let opened = SqlStore::open(&location, &TaskTracker::new())
            .await
            .unwrap();
        assert_eq!(Everything::of(&opened).await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_replaces_what_was_there_when_asked() {
    for target in [Place::file(), Place::server().await] {
        let source = Place::file();
        filled(&source).await;
        let before = everything(&source).await;
        let file = source.dir.path().join("backup");
        backup(&source.location, &file).await.unwrap();
        let filled = filled(&target).await;
        let open = target.open().await.unwrap();
        let more = (0..2_000).fold(Decision::default(), |decision, _| {
            decision.telling(filled.event("obsolete"))
        });
        open.store.commit(Batch::free(more)).await.unwrap();
        open.close().await;
        restore(&target.location, &file, true).await.unwrap();
        assert_eq!(everything(&target).await, before);
        works_on(&target, &filled, before.events.last().unwrap().seq).await;
    }
}

/// Commits batches of a capability, an event and an outbox entry until told to stop.
async fn keep_writing(store: SqlStore, number: usize, shared: Arc<Shared>) {
    let ids = &shared.ids;
    for round in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let event = shared.filled.event("written beside a backup");
        let id = event.id;
        let mut decision = Decision::default()
            .with(Change::create(capability(
                ids,
                &format!("{number}-{round}"),
            )))
            .telling(event);
        decision.outbox.push(fusion_core::NewOutboxEntry {
            topic: "t".to_owned(),
            payload: serde_json::json!(id),
            created_at: at(30),
        });
        store.commit(Batch::free(decision)).await.unwrap();
        let mut done = shared.done.lock().unwrap();
        done.push(id);
        if done.len() >= BEFORE {
            shared.enough.notify_one();
        }
    }
}

struct Shared {
    ids: Ids,
    filled: Filled,
    stop: AtomicBool,
    done: Mutex<Vec<EventId>>,
    enough: Notify,
}

/// Backs up while others write; gives what was acknowledged before.
async fn back_up_beside_writers(
    store: &SqlStore,
    shared: Arc<Shared>,
    source: &Location,
    file: &Path,
) -> Vec<EventId> {
    let writers = TaskTracker::new();
    for number in 0..WRITERS {
        writers.spawn(keep_writing(store.clone(), number, Arc::clone(&shared)));
    }
    shared.enough.notified().await;
    let acknowledged = shared.done.lock().unwrap().clone();
    backup(source, file).await.unwrap();
    let during = shared.done.lock().unwrap().len();
    shared.stop.store(true, Ordering::Relaxed);
    writers.close();
    writers.wait().await;
    assert!(during > acknowledged.len(), "nothing was written meanwhile");
    acknowledged
}

async fn one_moment(source: Place) {
    let open = source.open().await.unwrap();
    let filled = fill(&open.store).await;
    let first = Everything::of(&open.store).await;
    let shared = Arc::new(Shared {
        ids: Ids::starting_at(1 << 32),
        filled,
        stop: AtomicBool::new(false),
        done: Mutex::default(),
        enough: Notify::new(),
    });
    let file = source.dir.path().join("backup");
    let acknowledged = back_up_beside_writers(&open.store, shared, &source.location, &file).await;
    open.close().await;
    let target = Place::file();
    restore(&target.location, &file, false).await.unwrap();
    assert_eq!(faults(&target).await, Vec::<&str>::new());
    let copy = everything(&target).await;
    let copied: BTreeSet<EventId> = copy.events.iter().map(|event| event.event.id).collect();
    let lost = acknowledged.iter().find(|id| !copied.contains(id));
    assert_eq!(lost, None);
    let written = copy.events.len() - first.events.len();
    assert_eq!(copy.capabilities.len() - first.capabilities.len(), written);
    assert_eq!(copy.outbox.len() - first.outbox.len(), written);
    let numbers = copy.events.iter().map(|event| event.seq);
    assert!(numbers.eq(1..=copy.events.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_beside_writers_is_one_moment() {
    one_moment(Place::file()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_postgres_beside_writers_is_one_moment() {
    one_moment(Place::server().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_is_upgraded_in_a_copy() {
    for target in [Place::file(), Place::server().await] {
        let old = crate::schema::old_file().await;
        let file = old.dir.path().join("fusion.db");
        let bytes = std::fs::read(&file).unwrap();
        let restored = restore(&target.location, &file, false).await.unwrap();
        assert_eq!(restored.upgraded, STEPS[1..]);
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
        assert_eq!(old.files(), ["fusion.db"]);
        assert_eq!(everything(&target).await, everything(&old).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_an_older_sqlite_database_has_the_newest_schema() {
    let old = crate::schema::old_file().await;
    let file = old.dir.path().join("backup");
    backup(&old.location, &file).await.unwrap();
    let copy = Location::File(file, Durability::Full);
    let found = status(&copy).await.unwrap().unwrap();
    assert_eq!(found.schema.missing, Vec::<String>::new());
    let source = status(&old.location).await.unwrap().unwrap();
    assert_eq!(source.schema.missing, STEPS[1..]);
    assert_eq!(found.rows["events"], source.rows["events"]);
}
