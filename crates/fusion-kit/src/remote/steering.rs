//! Steering runs on a server.

use std::collections::BTreeMap;

use fusion_api_types::{Problem, RunDetail, RunSummary, api};
use fusion_cli::{AgainRequest, Progress, ResumeRequest};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::Remote;

impl Remote {
    pub(crate) async fn cancel_run(&self, run: &str) -> Result<RunSummary, Problem> {
        let id = self.run_id(Some(run), &[]).await?;
        let path = format!("/runs/{id}/cancel");
        self.client.post(&path, &json!({})).await
    }

    pub(crate) async fn pause_run(&self, run: &str, now: bool) -> Result<RunSummary, Problem> {
        let id = self.run_id(Some(run), &[]).await?;
        let at = if now { "now" } else { "next_step" };
        let pause = api::PauseRun {
            at: Some(at.to_owned()),
        };
        self.client.post(&format!("/runs/{id}/pause"), &pause).await
    }

    /// Lets a run go on and watches it; without one the newest that has not ended. The server goes on
    /// with it when this is stopped.
    pub(crate) async fn resume(
        &self,
        request: &ResumeRequest,
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        let open = ["ready", "running"];
        let id = self.run_id(request.run.as_deref(), &open).await?;
        let resume = api::ResumeRun {
            budget_usd: request.budget_usd.clone(),
            budget_tokens: request.budget_tokens,
            budget_of: request.budget_of.clone(),
            now: Some(request.now),
        };
        let path = format!("/runs/{id}/resume");
        let _: RunSummary = self.client.post(&path, &resume).await?;
        self.watch(&id, progress, stop).await
    }

    /// Makes a new attempt of a run and watches it. The server goes on with it when this is stopped.
    pub(crate) async fn run_again(
        &self,
        request: &AgainRequest,
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        let id = self.run_id(Some(&request.run), &[]).await?;
        let started: api::RunStarted = if request.inputs.is_empty() {
            let retry = api::RetryRun {
                from: request.from.clone(),
                latest: Some(request.latest),
            };
            self.client.post(&format!("/runs/{id}/retry"), &retry).await
        } else {
            let fork = api::ForkRun {
                from: request.from.clone().unwrap_or_default(),
                inputs: self.in_their_types(&id, &request.inputs).await?,
                latest: Some(request.latest),
            };
            self.client.post(&format!("/runs/{id}/fork"), &fork).await
        }?;
        self.watch(&started.run_id, progress, stop).await
    }

    /// Inputs in the types that the workflow of a run declares.
    async fn in_their_types(
        &self,
        run: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Map<String, Value>, Problem> {
        let run: RunDetail = self.client.get(&format!("/runs/{run}"), &[]).await?;
        let is_text = |name: &String| run.inputs.get(name).is_none_or(Value::is_string);
        let typed = given.iter().map(|(name, text)| {
            let value = if is_text(name) {
                None
            } else {
                serde_json::from_str(text).ok()
            };
            let value = value.unwrap_or_else(|| Value::String(text.clone()));
            (name.clone(), value)
        });
        Ok(typed.collect())
    }

    pub(crate) async fn watch_run(
        &self,
        run: Option<&str>,
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        let id = self.run_id(run, &[]).await?;
        self.watch(&id, progress, stop).await
    }
}
