//! `verify --deep`: a few words of each provider, and a workflow of one step from end to end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fusion_api_types::{CheckView, MessageView, Problem, ProblemKind, RunDetail};
use fusion_cli::{Backend, Progress, RunRequest};
use fusion_core::ProviderConfig;
use tempfile::TempDir;

use super::ask;
use super::named::Named;
use crate::backend::LocalBackend;
use crate::config::Config;

/// The workflow that is tried: an agent of a script writes a file, which a command then looks at.
const WORKFLOW: &str = "\
version: 1
name: trial
agents:
  trial: { provider: scripted, model: answers.yaml, tools: [files, shell] }
steps:
  - id: write
    agent: trial
    prompt: Write a file.
    verify:
      - grep -qx ready projects/trial.txt
    timeout: 60s
";

/// What its agent answers.
const ANSWERS: &str = "\
version: 1
steps:
  write:
    - tool_calls: [{ name: run_command, arguments: { command: 'echo ready > projects/trial.txt' } }]
    - text: It is written.
";

impl LocalBackend {
    /// Whether a model of a provider answers.
    pub(crate) async fn try_provider(&self, row: &ProviderConfig) -> CheckView {
        let named = Named::Stored(Box::new(row.clone()));
        let tried = Box::pin(ask::test(self, &named, None)).await.map(|test| {
            let tokens = test.usage.input_tokens + test.usage.output_tokens;
            let (ms, cost) = (test.latency_ms, test.usage.cost_usd);
            format!(
                "{} answered in {ms} ms, {tokens} tokens, ${cost}",
                test.answered
            )
        });
        view(format!("trial of provider {}", row.name), tried)
    }

    /// Runs a workflow of one step in a throw-away data directory, with the settings of this machine but
    /// for where things are stored.
    pub(crate) async fn try_workflow(&self) -> CheckView {
        let tried = Box::pin(self.tried_workflow()).await;
        view("trial run".to_owned(), tried)
    }

    async fn tried_workflow(&self) -> Result<String, Problem> {
        let folder = folder().map_err(|error| {
            let text = format!("a folder for the trial can't be made: {error}");
            Problem::new(ProblemKind::Unavailable, text)
                .with_help("is there room, and may TMPDIR be written to?")
        })?;
        let data_dir = folder.path().join("data");
        let backend = Self::new(throw_away(self.config()), Some(data_dir), None);
        let request = RunRequest {
            file: folder.path().join("trial.yaml"),
            inputs: [].into(),
            max_cost: None,
            detach: false,
        };
        let run = backend.run(&request, &mut Unseen).await?;
        judged(&run)
    }
}

/// The folder of a trial, gone when this is dropped.
fn folder() -> io::Result<TempDir> {
    let folder = TempDir::new()?;
    // As root, agents have users of their own, who must get through to their workspaces.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
    let write = |name: &str, text: &str| fs::write(Path::new(folder.path()).join(name), text);
    write("trial.yaml", WORKFLOW)?;
    write("answers.yaml", ANSWERS)?;
    Ok(folder)
}

fn throw_away(of_user: &Config) -> Config {
    let mut config = of_user.clone();
    config.database_url = None;
    config.redis_url = None;
    config.server_url = None;
    config.workspaces_root = None;
    config.node.shared.place = None;
    config
}

fn judged(run: &RunDetail) -> Result<String, Problem> {
    let summary = &run.summary;
    if summary.state == "completed" {
        let took = summary.completed_at.map(|end| end - summary.created_at);
        let ms = took.map_or(0, |took| took.num_milliseconds());
        return Ok(format!("a workflow of one step ran to its end in {ms} ms"));
    }
    let why = summary.error.as_deref().unwrap_or("it was stopped");
    let text = format!("a workflow of one step is {}: {why}", summary.state);
    Err(Problem::new(ProblemKind::Internal, text)
        .with_help("the check 'sandbox' and the log (-v) tell more"))
}

fn view(name: String, tried: Result<String, Problem>) -> CheckView {
    match tried {
        Ok(note) => CheckView {
            name,
            note: Some(note),
            fault: None,
            help: None,
        },
        Err(problem) => CheckView {
            name,
            note: None,
            fault: Some(problem.message),
            help: problem.help,
        },
    }
}

/// Nobody watches a trial.
struct Unseen;

impl Progress for Unseen {
    fn update(&mut self, _: &RunDetail) {}

    fn is_shown(&self) -> bool {
        false
    }

    fn message(&mut self, _: &MessageView) {}

    fn notice(&mut self, _: &str) {}
}
