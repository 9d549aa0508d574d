//! What was done on a task, from its journal.

use std::ops::ControlFlow;

use async_trait::async_trait;
use fusion_api_types::api::Task as TaskView;
use fusion_api_types::{AgentLogEntry, Problem};
use fusion_cli::Log;
use fusion_core::Task;
use fusion_persistence::{Reader, Repository};
use tokio::time::sleep;

use super::read;
use super::wait::is_final;
use crate::agents::logs::{LOOK, Reach, Source, listen, view};
use crate::remote::{Listening, Remote};

/// Whether the task has ended: what its journal has then is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    GoesOn,
    Ended,
}

/// The log of a task in a store.
pub(super) struct OfStore<'a> {
    store: &'a dyn Reader,
    task: Task,
    course: Course,
}

impl<'a> OfStore<'a> {
    pub(super) const fn new(store: &'a dyn Reader, task: Task) -> Self {
        Self {
            store,
            task,
            course: Course::GoesOn,
        }
    }
}

#[async_trait]
impl Source for OfStore<'_> {
    async fn entries(&self, _: Reach) -> Result<Vec<(String, AgentLogEntry)>, Problem> {
        let journal = self.store.journal(self.task.id).await.map_err(read)?;
        let entries = journal.iter();
        Ok(entries
            .map(|entry| (entry.id.to_string(), view(&self.task, entry)))
            .collect())
    }

    async fn wait(&mut self, _: &mut dyn Log) -> Result<ControlFlow<()>, Problem> {
        if self.course == Course::Ended {
            return Ok(ControlFlow::Break(()));
        }
        sleep(LOOK).await;
        self.task = self.store.get(self.task.id).await.map_err(read)?;
        if self.task.state.is_final() {
            self.course = Course::Ended;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The log of a task of a server.
pub(super) struct OfServer {
    remote: Remote,
    task: TaskView,
    listening: Listening,
    course: Course,
}

impl OfServer {
    /// A task by its name, its id or the unique beginning of one; with `hears` what is said about it
    /// is told too.
    ///
    /// # Errors
    /// No such task.
    pub(super) async fn new(remote: Remote, text: &str, hears: bool) -> Result<Self, Problem> {
        let task = remote.task(text, 0).await?.task;
        let heard = hears.then(|| ("run_id", task.run_id.clone()));
        Ok(Self {
            listening: remote.listen(heard).await,
            remote,
            task,
            course: Course::GoesOn,
        })
    }
}

#[async_trait]
impl Source for OfServer {
    async fn entries(&self, reach: Reach) -> Result<Vec<(String, AgentLogEntry)>, Problem> {
        let path = format!("/tasks/{}/logs", self.task.id);
        self.remote.log(&path, reach.entries()).await
    }

    async fn wait(&mut self, log: &mut dyn Log) -> Result<ControlFlow<()>, Problem> {
        if self.course == Course::Ended {
            return Ok(ControlFlow::Break(()));
        }
        let id = self.task.id.clone();
        let heard = listen(&mut self.listening, |delta| delta.task_id == id, log).await?;
        self.task = self.remote.task(&id, 0).await?.task;
        if is_final(&self.task) {
            self.course = Course::Ended;
        }
        Ok(heard)
    }
}
