//! A workspace and a scripted model for each test.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fusion_agents::{Ending, JournalRefused, Ports, Runtime, TaskBrief};
use fusion_core::{AgentId, Clock, IdSource, JournalEntry, RunId, TaskId, Timestamp, ToolGroup};
use fusion_web::{Hosts, NoPage, Page, Web};
use fusion_workspaces::{Launcher, Options, Owners, WorkspaceDir, Workspaces};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::journal::Memory;
use crate::model::Model;

const FIRST_UID: u32 = 220_000;

/// Stands in for the helper process, which is the binary's: counts its starts in the file `$0`,
/// gives out `projects/output`, and says that the command ended with 0 when `projects/a.txt` is
/// there, else with 1.
const HELPER: &str = r#"
    head -c 4 > /dev/null
    echo started >> "$0"
    if [ -e projects/a.txt ]; then code=0; else code=1; fi
    if [ -e projects/output ]; then cat projects/output >&2; fi
    echo "the command says $code" >&2
    printf '{"sandbox":{"sandbox":"on","layers":[]},"report":{"Exited":{"code":%d}}}' $code
"#;

pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) workspace: Arc<WorkspaceDir>,
    ids: Arc<Ids>,
}

impl Place {
    /// A place whose model gives these answers.
    pub(crate) fn new(answers: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let script = json!({ "version": 1, "steps": { "work": answers } });
        fs::write(folder.path().join("model.yaml"), script.to_string()).unwrap();
        let owners = Owners::of_this_process(FIRST_UID..=FIRST_UID);
        let uid = matches!(owners, Owners::Range(_)).then_some(FIRST_UID);
        let root = folder.path().join("workspaces");
        let workspaces = Workspaces::new(Options { root, owners });
        let _prepared = workspaces.preflight().unwrap();
        let name = Uuid::nil().to_string();
        let workspace = workspaces
            .create(&name, uid, &json!({}), &BTreeMap::new())
            .unwrap();
        Self {
            folder,
            workspace: Arc::new(workspace),
            ids: Arc::default(),
        }
    }

    /// A step that may do everything and hands in a `summary`.
    pub(crate) fn brief(&self) -> TaskBrief {
        let model = self.folder.path().canonicalize().unwrap();
        TaskBrief {
            task_id: TaskId::from_uuid(Uuid::from_u128(1)),
            run_id: RunId::from_uuid(Uuid::from_u128(2)),
            agent_id: AgentId::from_uuid(Uuid::from_u128(2)),
            step: "work".into(),
            workflow: "book".into(),
            agent: "writer".into(),
            instructions: "You write.".into(),
            model: model.join("model.yaml").to_str().unwrap().to_owned(),
            prompt: "Write.".into(),
            peers: vec!["reviewer".into()],
            tools: ToolGroup::ALL.to_vec(),
            hosts: Hosts::try_from(vec!["docs.rs".to_owned()]).unwrap(),
            max_turns: 5,
            max_repeats: 6,
            context_tokens: 128_000,
            max_tokens: None,
            temperature: None,
            provider_options: Map::new(),
            output_schema: Some(json!({
                "type": "object",
                "properties": { "summary": { "type": "string", "maxLength": 100 } },
                "required": ["summary"],
                "additionalProperties": false,
            })),
            verify: Vec::new(),
            command_timeout: Duration::from_secs(20),
            renewal: 1,
            journal_from: 0,
        }
    }

    pub(crate) async fn run(
        &self,
        brief: &TaskBrief,
        model: &Arc<Model>,
        journal: &Memory,
        cancel: &CancellationToken,
    ) -> Result<Ending, JournalRefused> {
        let starts = self.starts_file().into_os_string();
        let helper = vec!["/bin/sh".into(), "-c".into(), HELPER.into(), starts];
        let runtime = Runtime {
            provider: Arc::<Model>::clone(model),
            workspace: Some(Arc::clone(&self.workspace)),
            undo: None,
            launcher: Launcher::new(helper),
            web: Arc::new(Pages),
            clock: Arc::new(Midnight),
            ids: Arc::<Ids>::clone(&self.ids),
            ends: cancel.clone(),
            pause: CancellationToken::new(),
        };
        let ports = Ports {
            journal,
            mailbox: journal,
        };
        runtime.run(brief, journal.entries(), ports, cancel).await
    }

    /// Runs a step from its beginning to its end.
    pub(crate) async fn finish(&self, brief: &TaskBrief) -> Finished {
        let (model, journal) = (Arc::<Model>::default(), Memory::default());
        let ending = self
            .run(brief, &model, &journal, &CancellationToken::new())
            .await
            .unwrap();
        Finished::new(ending, &model, &journal)
    }

    /// How often a command was started.
    pub(crate) fn starts(&self) -> usize {
        fs::read_to_string(self.starts_file())
            .unwrap_or_default()
            .lines()
            .count()
    }

    fn starts_file(&self) -> PathBuf {
        self.folder.path().join("starts")
    }
}

/// A task that has ended.
pub(crate) struct Finished {
    /// Its outputs, or why it failed and the way out.
    pub(crate) ending: Result<Value, (String, Option<String>)>,
    pub(crate) journal: Vec<JournalEntry>,
    pub(crate) model: Arc<Model>,
}

impl Finished {
    pub(crate) fn new(ending: Ending, model: &Arc<Model>, journal: &Memory) -> Self {
        let (ending, unrecorded) = match ending {
            Ending::Completed {
                outputs,
                unrecorded,
            } => (Ok(outputs), unrecorded),
            Ending::Failed {
                failure,
                unrecorded,
            } => (Err((failure.message, failure.help)), unrecorded),
            Ending::Unserved { .. } | Ending::Interrupted { .. } => panic!("it has not ended"),
        };
        Self {
            ending,
            journal: journal.closed(&unrecorded),
            model: Arc::clone(model),
        }
    }

    /// What the model got to read of the n-th effect.
    pub(crate) fn content(&self, effect: usize) -> &str {
        let outcome = self.journal[effect - 1].outcome.as_ref().unwrap();
        outcome["content"].as_str().unwrap()
    }
}

pub(crate) fn calls(calls: &[(&str, Value)]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(name, arguments)| json!({ "name": name, "arguments": arguments }))
        .collect();
    json!({ "tool_calls": calls })
}

pub(crate) fn done() -> Value {
    calls(&[("finish", json!({ "summary": "Done." }))])
}

/// A web in which each page says where it is.
#[derive(Debug)]
struct Pages;

#[async_trait]
impl Web for Pages {
    async fn fetch(&self, url: &str, is_raw: bool, hosts: &Hosts) -> Result<Page, NoPage> {
        if !url.starts_with("https://docs.rs/") {
            return Err(NoPage(format!(
                "{url} is not granted; granted are: {hosts}"
            )));
        }
        let lines = (0..6_000)
            .map(|line| format!("{line:05}\n"))
            .collect::<String>();
        Ok(Page {
            url: url.to_owned(),
            status: if url.ends_with("missing") { 404 } else { 200 },
            content_type: "text/html".to_owned(),
            text: if url.ends_with("long") {
                lines
            } else {
                format!("raw: {is_raw}")
            },
            is_cut: url.ends_with("long"),
        })
    }
}

#[derive(Debug)]
struct Midnight;

impl Clock for Midnight {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

#[derive(Debug, Default)]
struct Ids(AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 10)
    }
}
