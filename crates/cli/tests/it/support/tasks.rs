//! What the fake backend says of tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_api_types::api::{Task, TaskDetail, TaskTree};
use fusion_cli::{Content, Log, Progress, TaskQuery, TaskRequest, TaskUpdate, Tasks};

use super::Fake;

#[async_trait]
impl Tasks for Fake {
    async fn create_task(&self, request: &TaskRequest) -> Result<TaskDetail, Problem> {
        self.report(format!("{request:?}"))
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<Vec<Task>, Problem> {
        self.report(format!("{query:?}"))
    }

    async fn show_task(&self, task: &str) -> Result<TaskDetail, Problem> {
        self.report(format!("show {task}"))
    }

    async fn cancel_task(&self, task: &str, reason: Option<&str>) -> Result<Task, Problem> {
        let reason = reason.map_or_else(String::new, |reason| format!(" because {reason}"));
        self.report(format!("cancel {task}{reason}"))
    }

    async fn update_task(&self, task: &str, update: &TaskUpdate) -> Result<Task, Problem> {
        self.report(format!("update {task} {update:?}"))
    }

    async fn retry_task(&self, task: &str, instead: Option<&Content>) -> Result<Task, Problem> {
        let instead = instead.map_or_else(String::new, |instead| format!(" {instead:?}"));
        self.report(format!("retry {task}{instead}"))
    }

    async fn retry_edited(&self, task: &str, text: &str) -> Result<Task, Problem> {
        self.report(format!("retry {task} edited {text}"))
    }

    async fn wait_for_tasks(
        &self,
        tasks: &[String],
        timeout: Option<Duration>,
        _: &mut dyn Progress,
    ) -> Result<Vec<Task>, Problem> {
        self.report(format!("wait {tasks:?} {timeout:?}"))
    }

    async fn task_logs(
        &self,
        task: &str,
        limit: u32,
        follow: bool,
        log: &mut dyn Log,
    ) -> Result<(), Problem> {
        self.logged(format!("task logs {task} {limit} {follow}"), log)
    }

    async fn agent_names(&self, _: &[Task]) -> Result<BTreeMap<String, String>, Problem> {
        let writer = "019ab3c4-0000-7000-8000-00000000000b";
        Ok([(writer.to_owned(), "writer".to_owned())].into())
    }

    async fn task_tree(&self, task: &str) -> Result<TaskTree, Problem> {
        self.report(format!("deps {task}"))
    }
}
