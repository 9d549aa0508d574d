//! The rate at which the store alone takes tasks: what is left of it behind the API is the API's doing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use fusion_core::{
    Actor, ApiTokenId, IdSource, Moment, Pool, PoolTask, RunId, TaskId, Timestamp, Workflow,
    WorkflowId, WorkflowState,
};
use fusion_persistence::{Batch, Store};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use rusqlite::{Connection, OpenFlags};
use serde_json::Map;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// The workflow that the tasks are runs of.
const WORKFLOW: &str = "\
version: 1
name: task
agents: { a: { provider: scripted, model: none.yaml } }
steps:
  - { id: task, agent: a, prompt: Do it. }
";

/// New ids, in the order in which they are made.
#[derive(Debug)]
struct Ids;

impl IdSource for Ids {
    #[expect(clippy::disallowed_methods, reason = "ids of a measurement are random")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "times of a measurement are its own"
)]
fn now() -> Timestamp {
    chrono::Utc::now()
}

/// How long a task of a measurement waits: longer than the measurement, so that nothing but the store is
/// at work.
pub const DELAY: Duration = Duration::from_hours(1);

/// What is asked of a task of a measurement.
pub const ASKED: &str = "Do it.";

/// Tasks a second that so many writers at once have on the disk of a new store, synchronous=FULL: the
/// commit of `POST /tasks` with [`ASKED`] and [`DELAY`], without the API before it. That is the row of a
/// run, the row of its task, an update of it that says until when it waits, and two events: that the task
/// is queued, and who asked for it. [`newest`] shows it.
///
/// # Errors
/// The store can't be made or written.
pub async fn tasks_per_second(database: &Path, writers: usize, time: Duration) -> Result<f64> {
    let writing = TaskTracker::new();
    let location = Location::File(database.to_owned(), Durability::Full);
    let store = Arc::new(SqlStore::open(&location, &writing).await?);
    let workflow = Arc::new(stored_workflow(store.as_ref()).await?);
    let written = Arc::new(AtomicU64::new(0));
    let (began, end) = (Instant::now(), Instant::now() + time);
    let mut work = JoinSet::new();
    for _ in 0..writers {
        let (store, workflow, written) = (
            Arc::clone(&store),
            Arc::clone(&workflow),
            Arc::clone(&written),
        );
        let actor = Actor {
            token: ApiTokenId::from_uuid(Ids.uuid()),
            name: "first".to_owned(),
        };
        work.spawn(async move {
            while Instant::now() < end {
                store.commit(task(&workflow, &actor)).await?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    let took = began.elapsed().as_secs_f64();
    let store = Arc::into_inner(store).context("a writer is left")?;
    store.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let written = written.load(Ordering::Relaxed) as f64;
    Ok(written / took)
}

/// What a database has of its newest task, but for ids and times: the rows of the task and its run, and
/// the last two events.
///
/// # Errors
/// There is none, or the database can't be read.
pub fn newest(database: &Path) -> Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    let task = "SELECT json_array('task', t.name, t.state, t.description, t.priority, t.agent_id,
          t.required_capabilities, t.dependencies, t.input_artifacts, t.not_before IS NULL,
          t.wait_reason, t.version, 'run', r.state, r.standalone, r.inputs, r.total_tasks, r.version)
        FROM tasks t JOIN runs r ON r.id = t.run_id ORDER BY t.id DESC LIMIT 1";
    let events = "SELECT json_array(event_type, severity, source_component, run_id IS NULL,
          (SELECT group_concat(fullkey) FROM json_tree(data)))
        FROM events ORDER BY seq DESC LIMIT 2";
    let mut found = Vec::new();
    for look in [task, events] {
        let mut look = connection.prepare(look)?;
        let rows = look.query_map([], |row| row.get(0))?;
        for row in rows {
            found.push(row?);
        }
    }
    ensure!(found.len() == 3, "no task was stored");
    Ok(found)
}

async fn stored_workflow(store: &SqlStore) -> Result<Workflow> {
    let definition = fusion_workflow_file::parse(WORKFLOW)
        .map_err(|faults| anyhow!("the workflow has faults: {faults:?}"))?;
    let workflow = Workflow {
        id: WorkflowId::from_uuid(Ids.uuid()),
        name: definition.name.clone(),
        description: String::new(),
        definition,
        source: WORKFLOW.to_owned(),
        base_dir: "/".to_owned(),
        state: WorkflowState::Ready,
        created_at: now(),
        project_id: None,
        definition_version: 1,
        version: 1,
    };
    let moment = Moment {
        now: now(),
        ids: &Ids,
    };
    store.commit(Batch::free(workflow.create(moment))).await?;
    Ok(workflow)
}

/// What is written of one task that somebody asked for.
fn task(workflow: &Workflow, actor: &Actor) -> Batch {
    let plan = PoolTask {
        id: TaskId::from_uuid(Ids.uuid()),
        run_id: RunId::from_uuid(Ids.uuid()),
        workflow,
        name: "task".to_owned(),
        description: ASKED.to_owned(),
        inputs: Map::new(),
        pool: Pool {
            project: None,
            is_demanded: false,
        },
        agent: None,
        capabilities: std::iter::empty::<String>().collect(),
        priority: 0,
        dependencies: Vec::new(),
        delay: Some(DELAY),
        limit: fusion_core::Budget::default(),
    };
    let moment = Moment {
        now: now(),
        ids: &Ids,
    };
    let (task, decision) = plan.create(moment);
    let told = actor.changed("created", "task", task.id.uuid(), moment);
    Batch::free(decision.telling(told))
}
