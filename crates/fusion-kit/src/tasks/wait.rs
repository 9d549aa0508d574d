//! Waiting until tasks have ended, and doing them meanwhile where no server does.

use std::time::Duration;

use fusion_api::task_views;
use fusion_api_types::api::{Task as TaskView, TaskDetail};
use fusion_api_types::{InboxItem, Problem, ProblemKind};
use fusion_core::{Task, TaskId};
use fusion_persistence::Repository;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::held::held_by;
use super::{find_task, read};
use crate::backend::LocalBackend;
use crate::problems;
use crate::remote::Remote;
use crate::signals::stop_on_signal;
use crate::wiring::Engine;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// How long a server may wait before it answers, in seconds.
const WAIT: u64 = 20;

impl LocalBackend {
    /// Hosts the agents until all tasks have ended, time is up or a signal comes.
    pub(super) async fn wait_on(
        &self,
        engine: &Engine,
        texts: &[String],
        timeout: Option<Duration>,
    ) -> Result<Vec<TaskView>, Problem> {
        let data_dir = self.data_dir()?;
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            ids.push(find_task(engine.store(), &data_dir, text).await?.id);
        }
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        engine.spawn(stop_on_signal(stop.clone(), ended.clone()));
        let hosting = {
            let (coordinator, ended) = (engine.coordinator().clone(), ended.clone());
            engine.spawn(async move { coordinator.host_pool(&ended).await })
        };
        let looked = look(engine, &ids, timeout, &stop).await;
        ended.cancel();
        let hosted = hosting.await.map_err(|error| {
            let text = format!("the engine broke off: {error}");
            Problem::new(ProblemKind::Internal, text)
        })?;
        hosted.map_err(|error| problems::of_engine(&error))?;
        looked
    }
}

/// Looks until all have ended.
async fn look(
    engine: &Engine,
    ids: &[TaskId],
    timeout: Option<Duration>,
    stop: &CancellationToken,
) -> Result<Vec<TaskView>, Problem> {
    let give_up = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let mut tasks = Vec::with_capacity(ids.len());
        for id in ids {
            let task: Task = engine.store().get(*id).await.map_err(read)?;
            tasks.push(task);
        }
        let left = tasks.iter().filter(|task| !task.state.is_final()).count();
        if left == 0 || stop.is_cancelled() {
            return Ok(tasks.into_iter().map(task_views::line).collect());
        }
        if give_up.is_some_and(|give_up| Instant::now() >= give_up) {
            let open = tasks.iter().filter(|task| !task.state.is_final());
            let open = open.map(|task| task.id.to_string()).collect();
            return Err(time_is_up(left, held_by(engine, open).await?));
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn time_is_up(left: usize, held: Option<InboxItem>) -> Problem {
    let tasks = if left == 1 { "task has" } else { "tasks have" };
    let text = format!("time is up: {left} {tasks} not ended");
    if let Some(item) = held {
        let text = format!(
            "{text}: '{}' waits for a person: {}",
            item.name, item.message
        );
        return Problem::new(ProblemKind::Held, text)
            .with_help("see what to do with: fusion-kit inbox");
    }
    Problem::new(ProblemKind::Timeout, text)
        .with_help("see why with: fusion-kit task get ID; wait longer with --timeout")
}

/// The same where a server does the work.
pub(super) async fn remotely(
    remote: &Remote,
    texts: &[String],
    timeout: Option<Duration>,
) -> Result<Vec<TaskView>, Problem> {
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let signals = TaskTracker::new();
    signals.spawn(stop_on_signal(stop.clone(), ended.clone()));
    let give_up = timeout.map(|timeout| Instant::now() + timeout);
    let waited = until_ended(remote, texts, give_up, &stop).await;
    ended.cancel();
    waited
}

async fn until_ended(
    remote: &Remote,
    texts: &[String],
    give_up: Option<Instant>,
    stop: &CancellationToken,
) -> Result<Vec<TaskView>, Problem> {
    let mut tasks = Vec::with_capacity(texts.len());
    for text in texts {
        tasks.push(remote.task(text, 0).await?.task);
    }
    for index in 0..tasks.len() {
        while let Some(task) = tasks.get_mut(index).filter(|task| !is_final(task)) {
            let left = give_up.map(|give_up| give_up.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                let open = tasks.iter().filter(|task| !is_final(task));
                let open: Vec<String> = open.map(|task| task.id.clone()).collect();
                return Err(time_is_up(open.len(), held_by(remote, open).await?));
            }
            let wait = left.map_or(WAIT, |left| left.as_secs().clamp(1, WAIT));
            let id = task.id.clone();
            let detail: TaskDetail = tokio::select! {
                detail = remote.task(&id, wait) => detail?,
                () = stop.cancelled() => return Ok(tasks),
            };
            *task = detail.task;
        }
    }
    Ok(tasks)
}

pub(super) fn is_final(task: &TaskView) -> bool {
    matches!(task.state.as_str(), "completed" | "failed" | "cancelled")
}
