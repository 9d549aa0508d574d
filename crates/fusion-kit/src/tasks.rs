//! The work of `task`: in this process, or through the server that owns the data directory.

mod held;
mod logs;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use fusion_api::task_views;
use fusion_api_types::api::{Task as TaskView, TaskDetail, TaskTree};
use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::{Content, Log, Progress, TaskQuery, TaskRequest, TaskUpdate, Tasks};
use fusion_coordination::{Ask, MAX_DESCRIPTION, NewTask, RetryTask};
use fusion_core::{Agent, AgentId, Task, TaskId, TaskState};
use fusion_persistence::{Error as StoreError, Page, Reader, Repository, TaskFilter};
use fusion_persistence_sql::Location;
use serde_json::Value;

use crate::agents::find::{find_agent, find_project};
use crate::agents::logs::{Extent, show};
use crate::backend::{LocalBackend, Reading};
use crate::budget;
use crate::config::{ended_badly, no_editor};
use crate::content::text_of;
use crate::data_dir::DataDir;
use crate::find::meant;
use crate::problems;
use crate::system::SystemClock;
use crate::wiring::{self, Engine};

/// Tasks that a prefix is compared with: the newest ones.
const PREFIX_SEARCH: u32 = 10_000;

#[async_trait]
impl Tasks for LocalBackend {
    async fn create_task(&self, request: &TaskRequest) -> Result<TaskDetail, Problem> {
        let description = text_of(&request.description, MAX_DESCRIPTION)?;
        let mut request = request.clone();
        request.project = request
            .project
            .or_else(|| self.config().of_user.project.clone());
        if let Some(remote) = self.remote()? {
            return remote.create_task(&request, description).await;
        }
        let engine = self.engine_for_tasks().await?;
        let made = self.create_on(&engine, &request, description).await;
        engine.close().await;
        made
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<Vec<TaskView>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_tasks(query).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let filter = filter_of(&reading, query).await?;
        let page = Page::first(query.limit);
        let found: Vec<Task> = reading.store().list(&filter, page).await.map_err(read)?;
        Ok(found.into_iter().map(task_views::line).collect())
    }

    async fn show_task(&self, task: &str) -> Result<TaskDetail, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.show_task(task).await;
        }
        let reading = self.reading().await?.ok_or_else(no_tasks)?;
        let found = find_task(reading.store(), reading.data_dir(), task).await?;
        self.detail(reading.store(), found).await
    }

    async fn cancel_task(&self, task: &str, reason: Option<&str>) -> Result<TaskView, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.cancel_task(task, reason).await;
        }
        self.on_one(task, async |engine, task| {
            engine.coordinator().cancel_task(task, reason).await
        })
        .await
    }

    async fn update_task(&self, task: &str, update: &TaskUpdate) -> Result<TaskView, Problem> {
        let limit = match update {
            TaskUpdate::MaxCost(text) => Some(budget::limit(Some(text))?),
            TaskUpdate::Priority(_) => None,
        };
        if let Some(remote) = self.remote()? {
            return remote.update_task(task, update).await;
        }
        let person = self.person();
        self.on_one(task, async |engine, task| {
            let coordinator = engine.coordinator();
            match (update, limit) {
                (TaskUpdate::Priority(priority), _) => {
                    coordinator.prioritise_task(task, *priority).await
                }
                (TaskUpdate::MaxCost(_), limit) => {
                    coordinator
                        .limit_task(task, limit.unwrap_or_default(), &person)
                        .await
                }
            }
        })
        .await
    }

    async fn retry_task(&self, task: &str, instead: Option<&Content>) -> Result<TaskView, Problem> {
        let instead = instead.map(|instead| text_of(instead, MAX_DESCRIPTION));
        let description = instead.transpose()?;
        if let Some(remote) = self.remote()? {
            return remote.retry_task(task, description).await;
        }
        let person = self.person();
        self.on_one(task, async |engine, task| {
            let again = RetryTask {
                by: &person,
                token: None,
                description,
            };
            let ask = |_: &Task| Ask::default();
            engine.coordinator().retry_task(task, again, ask).await
        })
        .await
    }

    async fn retry_edited(&self, task: &str, text: &str) -> Result<TaskView, Problem> {
        let edited = self.config().edited(text, ".md").await?;
        let edited = edited.ok_or_else(no_editor)?;
        if !edited.ended_well {
            return Err(edited.kept(ended_badly().with_help("nothing was done")));
        }
        let instead = Content::Text(edited.text.clone());
        let retried = self.retry_task(task, Some(&instead)).await;
        retried.map_err(|problem| edited.kept(problem))
    }

    async fn wait_for_tasks(
        &self,
        tasks: &[String],
        timeout: Option<Duration>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<TaskView>, Problem> {
        if let Some(remote) = self.remote()? {
            return wait::remotely(&remote, tasks, timeout).await;
        }
        self.reading().await?.ok_or_else(no_tasks)?;
        self.tell_sandbox(progress)?;
        let engine = self.engine_for_tasks().await?;
        let waited = self.wait_on(&engine, tasks, timeout).await;
        engine.close().await;
        waited
    }

    async fn task_logs(
        &self,
        task: &str,
        limit: u32,
        follow: bool,
        log: &mut dyn Log,
    ) -> Result<(), Problem> {
        let extent = Extent {
            limit,
            since: None,
            follow,
        };
        if let Some(remote) = self.log_server(follow)? {
            let mut source = logs::OfServer::new(remote, task, follow).await?;
            return show(&mut source, extent, log).await;
        }
        let reading = self.reading().await?.ok_or_else(no_tasks)?;
        let task = find_task(reading.store(), reading.data_dir(), task).await?;
        let mut source = logs::OfStore::new(reading.store(), task);
        show(&mut source, extent, log).await
    }

    async fn task_tree(&self, task: &str) -> Result<TaskTree, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.task_tree(task).await;
        }
        let reading = self.reading().await?.ok_or_else(no_tasks)?;
        let found = find_task(reading.store(), reading.data_dir(), task).await?;
        let tree = task_views::tree(reading.store(), found).await;
        tree.map_err(read)
    }

    async fn agent_names(&self, tasks: &[TaskView]) -> Result<BTreeMap<String, String>, Problem> {
        let ids = tasks.iter().filter_map(|task| task.agent_id.as_deref());
        let ids: BTreeSet<&str> = ids.collect();
        if let Some(remote) = self.named_remote()? {
            return Ok(remote.agent_names(&ids).await);
        }
        let mut names = BTreeMap::new();
        let Some(reading) = self.reading().await? else {
            return Ok(names);
        };
        let store: &dyn Reader = reading.store();
        for id in ids {
            let Ok(agent) = id.parse::<AgentId>() else {
                continue;
            };
            let found: Option<Agent> = store.find(agent).await.map_err(read)?;
            names.extend(found.map(|agent| (id.to_owned(), agent.name)));
        }
        Ok(names)
    }
}

impl LocalBackend {
    async fn engine_for_tasks(&self) -> Result<Engine, Problem> {
        let registry = self.registry_of(&self.stored_providers().await?);
        self.engine(&self.data_dir()?, registry).await
    }

    /// Does something with one task.
    async fn on_one(
        &self,
        text: &str,
        work: impl AsyncFnOnce(&Engine, TaskId) -> fusion_coordination::Result<Task> + Send,
    ) -> Result<TaskView, Problem> {
        self.reading().await?.ok_or_else(no_tasks)?;
        let data_dir = self.data_dir()?;
        let engine = self.engine_for_tasks().await?;
        let done = match find_task(engine.store(), &data_dir, text).await {
            Ok(task) => work(&engine, task.id)
                .await
                .map_err(|error| problems::of_engine(&error)),
            Err(problem) => Err(problem),
        };
        engine.close().await;
        done.map(task_views::line)
    }

    async fn create_on(
        &self,
        engine: &Engine,
        request: &TaskRequest,
        description: String,
    ) -> Result<TaskDetail, Problem> {
        let data_dir = self.data_dir()?;
        let store = engine.store();
        let agent = match &request.agent {
            Some(text) => Some(find_agent(store, &data_dir, text).await?.id),
            None => None,
        };
        let project = match &request.project {
            Some(text) => Some(find_project(store, text).await?.id),
            None => None,
        };
        let mut dependencies = Vec::with_capacity(request.needs.len());
        for text in &request.needs {
            dependencies.push(find_task(store, &data_dir, text).await?.id);
        }
        let inputs = request.inputs.iter();
        let new = NewTask {
            name: request.name.clone(),
            description,
            capabilities: request.capabilities.iter().cloned().collect(),
            agent,
            is_demanded: request.demanded,
            priority: request.priority,
            dependencies,
            inputs: inputs
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect(),
            project,
            delay: delay_of(request),
            timeout: request.timeout,
            max_attempts: request.max_attempts,
            limit: budget::limit(request.max_cost.as_deref())?,
        };
        let made = engine
            .coordinator()
            .create_task(new, |_: &Task| Ask::default());
        let made = made.await.map_err(|error| problems::of_engine(&error))?;
        let made = store.get(made.id).await.map_err(read)?;
        let mut detail = task_views::detail(store, made).await.map_err(read)?;
        if !self.is_shared()? {
            detail.waits_for.push(task_views::no_process());
        }
        Ok(detail)
    }

    /// Whether other processes may host agents of the same store.
    fn is_shared(&self) -> Result<bool, Problem> {
        let location = wiring::location(self.config(), &self.data_dir()?)?;
        Ok(matches!(location, Location::Server(_)))
    }

    /// A task with what it waits for: a process that does it, too.
    async fn detail(&self, store: &dyn Reader, task: Task) -> Result<TaskDetail, Problem> {
        let is_hosted = store.is_worked_on(task.run_id).await.map_err(read)?;
        let waits = task.pool.is_some() && task.state == TaskState::Queued;
        let mut detail = task_views::detail(store, task).await.map_err(read)?;
        if waits && !is_hosted && !self.is_shared()? {
            detail.waits_for.push(task_views::no_process());
        }
        Ok(detail)
    }
}

/// How long nobody is to begin a task.
pub(crate) fn delay_of(request: &TaskRequest) -> Option<Duration> {
    use fusion_core::Clock as _;
    let until = request.after.map(|after| after - SystemClock.now());
    let until = until.and_then(|time| time.to_std().ok());
    request.delay.or(until)
}

async fn filter_of(reading: &Reading, query: &TaskQuery) -> Result<TaskFilter, Problem> {
    let (store, data_dir) = (reading.store(), reading.data_dir());
    let agent = match &query.agent {
        Some(text) => Some(find_agent(store, data_dir, text).await?.id),
        None => None,
    };
    let run = match query.run.as_deref() {
        Some(text) => Some(crate::find::find(store, data_dir, Some(text)).await?.id),
        None => None,
    };
    let pool = match &query.project {
        Some(text) => Some(Some(find_project(store, text).await?.id)),
        None => None,
    };
    let workflow = query.workflow.as_deref().map(str::parse).transpose();
    let workflow = workflow.map_err(|error| {
        let text = format!("--workflow wants the id of a version: {error}");
        Problem::new(ProblemKind::InvalidInput, text)
    })?;
    let states = query.states.iter();
    Ok(TaskFilter {
        states: states
            .filter_map(|state| TaskState::from_text(state))
            .collect(),
        agent,
        workflow,
        run,
        pool,
    })
}

/// A task by its id, its name, or the unique beginning of its id.
pub(crate) async fn find_task(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: &str,
) -> Result<Task, Problem> {
    if let Ok(id) = text.parse::<TaskId>() {
        let found: Option<Task> = store.find(id).await.map_err(read)?;
        return found.ok_or_else(|| no_such_task(data_dir, text));
    }
    let page = Page::first(PREFIX_SEARCH);
    let all: Vec<Task> = store
        .list(&TaskFilter::default(), page)
        .await
        .map_err(read)?;
    let ids = all.iter().map(|task| (task.id, task.name.as_str()));
    let only = meant("tasks", ids, text)?;
    let found = all.into_iter().find(|task| Some(task.id) == only);
    found.ok_or_else(|| no_such_task(data_dir, text))
}

fn no_such_task(data_dir: &DataDir, text: &str) -> Problem {
    let message = format!("there is no task '{text}' in {}", data_dir.path().display());
    let list = data_dir.command("task list");
    Problem::new(ProblemKind::NotFound, message).with_help(format!("see all with: {list}"))
}

pub(crate) fn no_tasks() -> Problem {
    Problem::new(ProblemKind::NotFound, "there are no tasks yet")
        .with_help("ask for one with: fusion-kit task create WHAT")
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}
