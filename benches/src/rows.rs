//! The rate at which the store alone takes tasks: what is left of it behind the API is the API's doing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use fusion_core::{
    IdSource, Moment, Pool, PoolTask, RunId, TaskId, Timestamp, Workflow, WorkflowId, WorkflowState,
};
use fusion_persistence::{Batch, Store};
use fusion_persistence_sql::{Durability, Location, SqlStore};
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

/// Tasks a second that so many writers at once have on the disk of a new store: the rows and events of
/// a task that is asked for, synchronous=FULL, without the API before it.
///
/// # Errors
/// The store can't be made or written.
pub async fn tasks_per_second(folder: &Path, writers: usize, time: Duration) -> Result<f64> {
    let writing = TaskTracker::new();
    let location = Location::File(folder.join("rows.db"), Durability::Full);
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
        work.spawn(async move {
            while Instant::now() < end {
                store.commit(task(&workflow)).await?;
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

/// What is written of one task.
fn task(workflow: &Workflow) -> Batch {
    let plan = PoolTask {
        id: TaskId::from_uuid(Ids.uuid()),
        run_id: RunId::from_uuid(Ids.uuid()),
        workflow,
        name: "task".to_owned(),
        description: "Do it.".to_owned(),
        inputs: Map::new(),
        pool: Pool {
            project: None,
            is_demanded: false,
        },
        agent: None,
        capabilities: std::iter::empty::<String>().collect(),
        priority: 0,
        dependencies: Vec::new(),
        delay: None,
    };
    let moment = Moment {
        now: now(),
        ids: &Ids,
    };
    Batch::free(plan.create(moment).1)
}
