//! Runs on a server.

use fusion_api_types::{Problem, RunDetail, RunSummary, api};
use fusion_cli::{Progress, RunQuery, RunRequest};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Remote;
use super::listening::Heard;
use crate::files::{read_file, typed_inputs};
use crate::find::no_runs;
use crate::problems;

/// How long the server may wait for the end of a run before it answers, in seconds, where nobody
/// watches.
const WAIT: u64 = 20;

/// What a run is started with; a server that does not know limits gets none.
pub(super) fn started_with(
    inputs: Map<String, Value>,
    max_cost: Option<&str>,
) -> api::StartWorkflow {
    api::StartWorkflow {
        inputs,
        max_cost_usd: max_cost.map(str::to_owned),
    }
}

impl Remote {
    pub(crate) async fn list_runs(&self, query: &RunQuery) -> Result<Vec<RunSummary>, Problem> {
        let states = query.states.iter();
        let mut wanted: Vec<(&str, String)> =
            states.map(|state| ("state", (*state).to_owned())).collect();
        wanted.push(("standalone", false.to_string()));
        wanted.extend(query.workflow.clone().map(|name| ("workflow", name)));
        if let Some(parent) = &query.parent {
            let parent = match parent.as_str() {
                "none" => parent.clone(),
                text => self.id("/runs", "runs", text).await?,
            };
            wanted.push(("parent", parent));
        }
        let limit = query.limit as usize;
        self.rows("/runs", "runs", &wanted, limit).await
    }

    pub(crate) async fn show_run(&self, run: Option<&str>) -> Result<RunDetail, Problem> {
        let id = self.run_id(run, &[]).await?;
        self.client.get(&format!("/runs/{id}"), &[]).await
    }

    /// The id of a run; without one the newest in one of these states.
    pub(crate) async fn run_id(
        &self,
        run: Option<&str>,
        states: &[&'static str],
    ) -> Result<String, Problem> {
        if let Some(text) = run {
            return self.id("/runs", "runs", text).await;
        }
        let newest = RunQuery {
            states: states.to_vec(),
            workflow: None,
            parent: Some("none".to_owned()),
            limit: 1,
        };
        let newest = self.list_runs(&newest).await?.into_iter().next();
        Ok(newest.ok_or_else(no_runs)?.id)
    }

    /// Stores the file, starts it and watches it. The server goes on with it when this is stopped.
    pub(crate) async fn run(
        &self,
        request: &RunRequest,
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        let file = read_file(&request.file)?;
        let inputs = typed_inputs(&file.definition, &request.inputs)
            .map_err(|faults| problems::of_inputs(&faults))?;
        let name = &file.definition.name;
        let project_id = self.project_of_text(name, &file.source).await?;
        let new = api::NewWorkflow {
            project_id,
            source: Some(file.source),
            base_dir: Some(file.base_dir.display().to_string()),
            ..api::NewWorkflow::default()
        };
        let workflow: api::Workflow = self.client.post("/workflows", &new).await?;
        let path = format!("/workflows/{}/start", workflow.id);
        let started: api::RunStarted = self
            .client
            .post(&path, &started_with(inputs, request.max_cost.as_deref()))
            .await?;
        self.begun(&started.run_id, request.detach, (progress, stop))
            .await
    }

    /// A run that was begun: at once where it is left to the server, else at its end.
    pub(super) async fn begun(
        &self,
        run: &str,
        is_left: bool,
        (progress, stop): (&mut dyn Progress, &CancellationToken),
    ) -> Result<RunDetail, Problem> {
        if is_left {
            return self.client.get(&format!("/runs/{run}"), &[]).await;
        }
        self.watch(run, progress, stop).await
    }

    /// Tells how a run goes until it ends.
    pub(crate) async fn watch(
        &self,
        run: &str,
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        let path = format!("/runs/{run}");
        let wait = if progress.is_shown() {
            Vec::new()
        } else {
            vec![("wait", WAIT.to_string())]
        };
        let heard = progress.is_shown().then(|| ("run_id", run.to_owned()));
        let mut listening = self.listen(heard).await;
        loop {
            let look = async {
                let detail: RunDetail = self.client.get(&path, &wait).await?;
                Ok::<_, Problem>(detail)
            };
            let detail = tokio::select! {
                detail = look => detail?,
                () = stop.cancelled() => return self.client.get(&path, &[]).await,
            };
            progress.update(&listening.add_to(&detail));
            if detail.summary.is_final() || stop.is_cancelled() {
                return Ok(detail);
            }
            while listening.next(stop).await == Heard::Words {
                progress.update(&listening.add_to(&detail));
            }
        }
    }
}
