//! Tasks on a server.

use std::collections::{BTreeMap, BTreeSet};

use fusion_api_types::Problem;
use fusion_api_types::api::{Health, NewTask, Task, TaskChanges, TaskDetail, TaskRetry, TaskTree};
use fusion_cli::{TaskQuery, TaskRequest, TaskUpdate};
use fusion_core::TaskId;
use serde::Deserialize;
use serde_json::Value;

use super::Remote;
use crate::find::meant;
use crate::tasks::delay_of;

/// Where the tasks are.
const TASKS: &str = "/tasks";

impl Remote {
    pub(crate) async fn create_task(
        &self,
        request: &TaskRequest,
        description: String,
    ) -> Result<TaskDetail, Problem> {
        let mut dependencies = Vec::with_capacity(request.needs.len());
        for text in &request.needs {
            dependencies.push(self.task_id(text).await?);
        }
        let inputs = request.inputs.iter();
        let new = NewTask {
            name: request.name.clone(),
            description,
            required_capabilities: request.capabilities.clone(),
            priority: request.priority,
            dependencies,
            input_artifacts: inputs
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect(),
            agent: request.agent.clone(),
            demanded: request.demanded,
            project: request.project.clone(),
            delay_seconds: delay_of(request)
                .map(|delay| delay.as_millis().div_ceil(1_000))
                .map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX)),
            timeout_seconds: request.timeout.map(|timeout| timeout.as_secs()),
            max_attempts: request.max_attempts,
            max_cost_usd: request.max_cost.clone(),
        };
        let made: Task = self.client.post(TASKS, &new).await?;
        self.task(&made.id, 0).await
    }

    pub(crate) async fn list_tasks(&self, query: &TaskQuery) -> Result<Vec<Task>, Problem> {
        let mut wanted: Vec<(&str, String)> = query
            .states
            .iter()
            .map(|state| ("state", (*state).to_owned()))
            .collect();
        let named = [
            ("agent_id", "/agents", "agents", &query.agent),
            ("project_id", "/projects", "projects", &query.project),
        ];
        for (field, path, list, text) in named {
            if let Some(text) = text {
                wanted.push((field, self.id_or_name(path, list, text).await?));
            }
        }
        if let Some(run) = &query.run {
            wanted.push(("run_id", self.id("/runs", "runs", run).await?));
        }
        wanted.extend(query.workflow.clone().map(|id| ("workflow_id", id)));
        self.rows(TASKS, "tasks", &wanted, query.limit as usize)
            .await
    }

    /// The id of what has this name, or whose id begins so.
    pub(crate) async fn id_or_name(
        &self,
        path: &str,
        list: &str,
        text: &str,
    ) -> Result<String, Problem> {
        if text.parse::<TaskId>().is_ok() {
            return Ok(text.to_lowercase());
        }
        let rows: Vec<Named> = self.rows(path, list, &[], super::PREFIX_SEARCH).await?;
        let ids = rows.iter().map(|row| (row.id.as_str(), row.name.as_str()));
        let found = meant(list, ids, text)?;
        found
            .map(str::to_owned)
            .ok_or_else(|| super::none_of(list, text))
    }

    pub(crate) async fn task_id(&self, text: &str) -> Result<String, Problem> {
        self.id_or_name(TASKS, "tasks", text).await
    }

    /// The names of agents by their ids, as far as the server tells them.
    pub(crate) async fn agent_names(&self, ids: &BTreeSet<&str>) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for id in ids {
            let agent = self.agent(id).await.ok();
            names.extend(agent.map(|agent| ((*id).to_owned(), agent.name)));
        }
        names
    }

    pub(crate) async fn show_task(&self, text: &str) -> Result<TaskDetail, Problem> {
        self.task(text, 0).await
    }

    /// A task, once it has ended or so many seconds have passed.
    pub(crate) async fn task(&self, text: &str, wait: u64) -> Result<TaskDetail, Problem> {
        let id = self.task_id(text).await?;
        let wait = [("wait", wait.to_string())];
        self.client.get(&format!("{TASKS}/{id}"), &wait).await
    }

    pub(crate) async fn cancel_task(
        &self,
        text: &str,
        reason: Option<&str>,
    ) -> Result<Task, Problem> {
        let id = self.task_id(text).await?;
        let changes = TaskChanges {
            state: Some("cancelled".to_owned()),
            reason: reason.map(str::to_owned),
            ..TaskChanges::default()
        };
        self.client.patch(&format!("{TASKS}/{id}"), &changes).await
    }

    pub(crate) async fn update_task(
        &self,
        text: &str,
        update: &TaskUpdate,
    ) -> Result<Task, Problem> {
        let id = self.task_id(text).await?;
        let mut changes = TaskChanges::default();
        match update {
            TaskUpdate::Priority(priority) => changes.priority = Some(*priority),
            TaskUpdate::MaxCost(usd) => changes.max_cost_usd = Some(usd.clone()),
        }
        self.client.patch(&format!("{TASKS}/{id}"), &changes).await
    }

    pub(crate) async fn retry_task(
        &self,
        text: &str,
        description: Option<String>,
    ) -> Result<Task, Problem> {
        let id = self.task_id(text).await?;
        if description.is_some() {
            let what = "no other words for a task: it would be asked for with the old ones";
            self.client.expect(Health::RETRY_DESCRIPTION, what).await?;
        }
        let again = TaskRetry { description };
        self.client
            .post(&format!("{TASKS}/{id}/retry"), &again)
            .await
    }

    pub(crate) async fn task_tree(&self, text: &str) -> Result<TaskTree, Problem> {
        let id = self.task_id(text).await?;
        self.client
            .get(&format!("{TASKS}/{id}/dependencies"), &[])
            .await
    }
}

/// What rows have that people name.
#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}
