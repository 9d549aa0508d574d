//! The port behind `task`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use fusion_api_types::Problem;
use fusion_api_types::api::{Task, TaskDetail, TaskTree};

use super::{Content, Log, Progress};

/// A task that is asked for, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRequest {
    /// What is asked.
    pub description: Content,
    /// Its name.
    pub name: Option<String>,
    /// What an agent must be able to do.
    pub capabilities: Vec<String>,
    /// Name or id of the agent that is to do it.
    pub agent: Option<String>,
    /// Nobody else may.
    pub demanded: bool,
    /// Higher first.
    pub priority: i32,
    /// Ids or unique prefixes of tasks that must end well before it.
    pub needs: Vec<String>,
    /// What it is given, by name.
    pub inputs: BTreeMap<String, String>,
    /// Name or id of the project whose share it uses.
    pub project: Option<String>,
    /// How long nobody is to begin it.
    pub delay: Option<Duration>,
    /// When it may be begun.
    pub after: Option<DateTime<Utc>>,
    /// What it may take.
    pub timeout: Option<Duration>,
    /// How often it is tried in all.
    pub max_attempts: Option<u32>,
    /// US dollars that it may cost at most, as typed.
    pub max_cost: Option<String>,
}

/// What is to be changed of a task: one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskUpdate {
    /// Higher first.
    Priority(i32),
    /// US dollars that it may cost in all, as typed.
    MaxCost(String),
}

/// Which tasks are meant, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Names of states.
    pub states: Vec<&'static str>,
    /// Name or id of the agent.
    pub agent: Option<String>,
    /// Id of a version of a workflow.
    pub workflow: Option<String>,
    /// Id or unique prefix of the run.
    pub run: Option<String>,
    /// Name or id of the project.
    pub project: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Looks after tasks. A task is named by its id or the unique beginning of one.
#[async_trait]
pub trait Tasks {
    /// Stores a task of its own.
    ///
    /// # Errors
    /// It is not as it must be, or something that it names does not exist; nothing was stored.
    async fn create_task(&self, request: &TaskRequest) -> Result<TaskDetail, Problem>;

    /// Tasks, newest first.
    ///
    /// # Errors
    /// What is asked for does not exist, or the data directory can't be read.
    async fn list_tasks(&self, query: &TaskQuery) -> Result<Vec<Task>, Problem>;

    /// A task, and why it waits.
    ///
    /// # Errors
    /// No such task.
    async fn show_task(&self, task: &str) -> Result<TaskDetail, Problem>;

    /// Cancels a task; the reason stays with it.
    ///
    /// # Errors
    /// No such task, or it has ended.
    async fn cancel_task(&self, task: &str, reason: Option<&str>) -> Result<Task, Problem>;

    /// Changes a task.
    ///
    /// # Errors
    /// No such task, or it has ended; a priority: it does not wait; a cost: it is a step of a workflow.
    async fn update_task(&self, task: &str, update: &TaskUpdate) -> Result<Task, Problem>;

    /// Asks again for what a task was to do that ended badly, or for what is said instead; gives the new
    /// one.
    ///
    /// # Errors
    /// No such task, it is a step of a workflow, or it did not end badly.
    async fn retry_task(&self, task: &str, instead: Option<&Content>) -> Result<Task, Problem>;

    /// Opens what a task was to do in the editor of whoever calls, waits for its end, and asks again for
    /// what was written.
    ///
    /// # Errors
    /// As [`retry_task`](Self::retry_task); there is no editor, it did not end well, or what was written is
    /// no text. What was written is kept then, and the problem says where.
    async fn retry_edited(&self, task: &str, text: &str) -> Result<Task, Problem>;

    /// Waits until all these tasks have ended, and works on them where no server does.
    ///
    /// # Errors
    /// No such task, or time was up.
    async fn wait_for_tasks(
        &self,
        tasks: &[String],
        timeout: Option<Duration>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Task>, Problem>;

    /// Shows what was done on a task, the newest `limit` entries; with `follow` what is done from then
    /// on too, until the task has ended.
    ///
    /// # Errors
    /// No such task.
    async fn task_logs(
        &self,
        task: &str,
        limit: u32,
        follow: bool,
        log: &mut dyn Log,
    ) -> Result<(), Problem>;

    /// What a task needs and what needs it.
    ///
    /// # Errors
    /// No such task.
    async fn task_tree(&self, task: &str) -> Result<TaskTree, Problem>;

    /// The names of the agents that have these tasks, by their ids; of one that is not there any more
    /// none is told.
    ///
    /// # Errors
    /// They can't be read.
    async fn agent_names(&self, tasks: &[Task]) -> Result<BTreeMap<String, String>, Problem>;
}
