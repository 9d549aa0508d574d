//! Whether tasks that have not ended wait for a person.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fusion_api::task_views;
use fusion_api_types::api::{Task as TaskView, TaskDetail};
use fusion_api_types::{InboxItem, Problem};
use fusion_cli::TaskQuery;
use fusion_core::{RunId, TaskId};
use fusion_persistence::{Repository, TaskReader};

use super::read;
use super::wait::is_final;
use crate::agents::find::parsed;
use crate::remote::Remote;
use crate::wiring::Engine;

/// Tasks that are looked at: those that are waited for, and what they wait for.
const LOOKED_AT: usize = 1_000;

/// Where tasks and what waits for a person are looked at.
#[async_trait]
pub(super) trait Place: Send + Sync {
    async fn inbox(&self) -> Result<Vec<InboxItem>, Problem>;

    async fn detail(&self, task: &str) -> Result<TaskDetail, Problem>;

    async fn tasks_of(&self, run: &str) -> Result<Vec<TaskView>, Problem>;
}

#[async_trait]
impl Place for Engine {
    async fn inbox(&self) -> Result<Vec<InboxItem>, Problem> {
        let inbox = fusion_api::inbox::read(self.store()).await;
        Ok(inbox.map_err(read)?.items)
    }

    async fn detail(&self, task: &str) -> Result<TaskDetail, Problem> {
        let task = self.store().get(parsed::<TaskId>(task)?).await;
        let detail = task_views::detail(self.store(), task.map_err(read)?).await;
        detail.map_err(read)
    }

    async fn tasks_of(&self, run: &str) -> Result<Vec<TaskView>, Problem> {
        let tasks = self.store().tasks_of_run(parsed::<RunId>(run)?).await;
        let tasks = tasks.map_err(read)?.into_iter();
        Ok(tasks.map(task_views::line).collect())
    }
}

#[async_trait]
impl Place for Remote {
    async fn inbox(&self) -> Result<Vec<InboxItem>, Problem> {
        Ok(Self::inbox(self).await?.items)
    }

    async fn detail(&self, task: &str) -> Result<TaskDetail, Problem> {
        self.task(task, 0).await
    }

    async fn tasks_of(&self, run: &str) -> Result<Vec<TaskView>, Problem> {
        let query = TaskQuery {
            run: Some(run.to_owned()),
            limit: u32::try_from(LOOKED_AT).unwrap_or(u32::MAX),
            ..TaskQuery::default()
        };
        self.list_tasks(&query).await
    }
}

/// What a person must say before one of these can end: about it, about a task that it needs, or about
/// the run that its work is. `None` where none of them waits for a person.
pub(super) async fn held_by(
    place: &dyn Place,
    tasks: Vec<String>,
) -> Result<Option<InboxItem>, Problem> {
    let items = place.inbox().await?;
    if items.is_empty() {
        return Ok(None);
    }
    let mut seen = BTreeSet::new();
    let mut left = tasks;
    while let Some(id) = left.pop() {
        if seen.len() == LOOKED_AT || !seen.insert(id.clone()) {
            continue;
        }
        let TaskDetail { task, waits_for } = place.detail(&id).await?;
        if let Some(item) = items.iter().find(|item| holds(item, &task)) {
            return Ok(Some(item.clone()));
        }
        for wait in waits_for {
            left.extend(wait.task_id);
            if let Some(run) = wait.run_id {
                let below = place.tasks_of(&run).await?.into_iter();
                left.extend(below.filter(|task| !is_final(task)).map(|task| task.id));
            }
        }
    }
    Ok(None)
}

/// Whether a task goes on only after this has been dealt with.
fn holds(item: &InboxItem, task: &TaskView) -> bool {
    let is_of_run = item.run.as_deref() == Some(&task.run_id);
    match item.kind.as_str() {
        "approval" => is_of_run && item.name == task.name,
        "paused_run" | "budget" => is_of_run,
        _ => false,
    }
}
