//! Storing what a run file has: everything in one commit, as a run that has ended.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use fusion_core::{
    Agent, AgentState, Change, Decision, EventType, Imported, NewEvent, Run, Task, TaskState,
    Timestamp, Workflow, WorkflowState, error_chain,
};
use fusion_persistence::{Batch, Error as StoreError};
use fusion_workspaces::Holding;
use serde_json::json;
use uuid::Uuid;

use super::collect::RunFile;
use super::fault::RunFileFault;
use super::manifest::Origin;
use super::read::{self, Rows};
use crate::coordinator::off_runtime;
use crate::deletions::Until;
use crate::{Ask, Coordinator, Error, Result};

/// What the name of a workflow version begins with that came with a run. No file can name one so.
const FOLDER: &str = "imported/";

/// How often a commit is tried that meets what others store.
const TRIES: u32 = 3;

/// A run that is here now.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The run.
    pub run: Run,
    /// Its steps that ended well.
    pub completed: usize,
    /// How many runs came: this one and those below it.
    pub runs: u64,
    /// Whether it was here before: nothing was stored.
    pub already: bool,
}

impl Coordinator {
    /// Checks a whole run file, and then stores its run and those below it, in one commit. The file must be
    /// one that nobody changes meanwhile. `ask` gets what will be answered.
    ///
    /// # Errors
    /// [`Error::RunFile`] with the reason, or the store or the disk fails: nothing was stored, and no file is
    /// kept for it, but while others keep files all the time.
    pub async fn import_run(
        &self,
        file: File,
        ask: impl Fn(&Import) -> Ask + Send + Sync,
    ) -> Result<Import> {
        // What is being taken out is not here any more.
        self.finish_deletions(Until::Done).await?;
        let mut newly = BTreeSet::new();
        let done = self.try_to_import(Arc::new(file), &mut newly, ask).await;
        let may_be_stored = matches!(
            done,
            Ok(Import { already: false, .. }) | Err(Error::Store(StoreError::OutcomeUnknown))
        );
        if !may_be_stored {
            self.forget_newly(newly).await;
        }
        done
    }

    async fn try_to_import(
        &self,
        file: Arc<File>,
        newly: &mut BTreeSet<String>,
        ask: impl Fn(&Import) -> Ask + Send + Sync,
    ) -> Result<Import> {
        // Until the run that names them is committed, nobody removes its files.
        let mut held = None;
        let mut tries = 0;
        loop {
            tries += 1;
            // Read again for each try: to keep them would take twice the memory.
            let (of_file, now) = (Arc::clone(&file), self.parts.clock.now());
            let (rows, _) = off_runtime(move || read::rows(&of_file, now)).await??;
            if let Some(import) = self.there(&rows).await? {
                self.remember(ask(&import)).await?;
                return Ok(import);
            }
            let sha256 = rows.file.clone();
            let (import, decision) = self.to_import(rows).await?;
            if held.is_none() {
                held = Some(self.keep_all(&file, sha256, newly).await?);
            }
            let place = ("run", import.run.id.uuid());
            let batch = ask(&import).batch("imported", decision, place, self.moment());
            let done = self.commit(batch).await;
            fail::fail_point!("coordination::import_unheard", |_| Err(
                StoreError::OutcomeUnknown.into()
            ));
            match done {
                Ok(()) => return Ok(import),
                // Somebody else imports it, or a run of the same workflow.
                Err(error) if error.is_taken() && tries < TRIES => {}
                Err(error) if error.is_taken() => {
                    return Err(there("a part of the run", import.run.id.uuid()));
                }
                Err(Error::Store(StoreError::Corrupt { .. })) => {
                    let why = "it has values that can't be stored";
                    return Err(RunFileFault::unsound(why).into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Under a key, what is answered is remembered also where there is nothing to do.
    async fn remember(&self, ask: Ask) -> Result<()> {
        let Some(idempotency) = ask.idempotency else {
            return Ok(());
        };
        let batch = Batch {
            idempotency: Some(idempotency),
            ..Batch::free(Decision::default())
        };
        self.commit(batch).await
    }

    async fn keep_all(
        &self,
        file: &Arc<File>,
        sha256: String,
        newly: &mut BTreeSet<String>,
    ) -> Result<Option<Holding>> {
        let (of_file, kept) = (Arc::clone(file), self.kept());
        let (new, done) = off_runtime(move || {
            let mut new = BTreeSet::new();
            let held = kept.hold().map_err(RunFileFault::from);
            let done = held.and_then(|held| {
                read::keep(&of_file, &sha256, &kept, &mut new)?;
                Ok(held)
            });
            (new, done)
        })
        .await?;
        newly.extend(new);
        Ok(done?)
    }

    /// Takes away what no run here names.
    async fn forget_newly(&self, newly: BTreeSet<String>) {
        // Where a run named them that was deleted since, who looks for its files says so.
        let newly = newly.into_iter().map(|file| (file, None)).collect();
        if let Err(error) = self.forget_unnamed(&newly, Until::Done).await {
            let error = error_chain(&error);
            tracing::warn!(error, "files of an import that was refused are still kept");
        }
    }

    /// The run as it is here, where it is the same.
    async fn there(&self, rows: &Rows) -> Result<Option<Import>> {
        let id = rows.manifest.run;
        let here: Option<Run> = self.parts.store.find(id).await?;
        let Some(run) = here else {
            return Ok(None);
        };
        let other = || RunFileFault::There {
            what: "run",
            id: id.to_string(),
        };
        let content = match &run.imported {
            Some(imported) => imported.content.clone(),
            None => self.content_of(&run).await?.ok_or_else(other)?,
        };
        if content != rows.manifest.content() {
            return Err(other().into());
        }
        Ok(Some(Import {
            completed: completed(rows),
            run,
            runs: rows.manifest.runs,
            already: true,
        }))
    }

    /// What an export of a run of this store would say was done; `None` where there is none.
    async fn content_of(&self, run: &Run) -> Result<Option<String>> {
        let origin = Origin {
            machine: String::new(),
            program: String::new(),
        };
        let beside = self.options.archives_root.parent();
        let spool = beside.unwrap_or_else(|| Path::new("."));
        let kept = self.kept();
        let store = self.parts.store.as_ref();
        let at = (&origin, self.parts.clock.now());
        match RunFile::collect(store, &kept, run.id, at, spool).await {
            Ok(file) => Ok(file.content().map(str::to_owned)),
            Err(Error::RunFile(RunFileFault::NotEnded { .. } | RunFileFault::OfStep { .. })) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Everything that is stored.
    async fn to_import(&self, rows: Rows) -> Result<(Import, Decision)> {
        let moment = self.moment();
        let imported = marked(&rows, moment.now);
        let completed = completed(&rows);
        let manifest = rows.manifest;
        let runs = rows.runs.into_iter().map(|run| Run {
            imported: Some(imported.clone()),
            ..run
        });
        let runs: Vec<Run> = runs.collect();
        let run = runs.iter().find(|run| run.id == manifest.run).cloned();
        let run = run.ok_or_else(|| RunFileFault::unsound("the run itself is missing"))?;
        let mut decision = Decision::default();
        let changes = &mut decision.changes;
        for workflow in rows.workflows {
            changes.extend(self.version_to_import(workflow).await?);
        }
        changes.extend(runs.into_iter().map(Change::create));
        for agent in rows.agents {
            changes.extend(self.agent_to_import(agent).await?);
        }
        let tasks = rows.tasks.into_iter().map(|task| Task {
            // One that was cancelled still says what it waited for.
            waiting: None,
            ..task
        });
        changes.extend(tasks.map(Change::create));
        changes.extend(rows.journal.into_iter().map(Change::BeginEntry));
        changes.extend(rows.approvals.into_iter().map(Change::create));
        let told = format!(
            "run of {} imported from {}",
            run.workflow_name, imported.machine
        );
        let event = NewEvent::of_run(moment, EventType::RecordChanged, run.id, told);
        let event = event.data(json!({
            "run_id": run.id, "workflow": run.workflow_name, "runs": manifest.runs,
            "exported_at": imported.exported_at, "file": imported.file,
        }));
        let import = Import {
            completed,
            run,
            runs: manifest.runs,
            already: false,
        };
        Ok((import, decision.telling(event)))
    }

    /// A version under a name that nothing else has, unless it is here.
    async fn version_to_import(&self, workflow: Workflow) -> Result<Option<Change>> {
        let here: Option<Workflow> = self.parts.store.find(workflow.id).await?;
        let Some(here) = here else {
            return Ok(Some(Change::create(Workflow {
                name: format!("{FOLDER}{}", workflow.id),
                base_dir: String::new(),
                state: WorkflowState::Ready,
                project_id: None,
                ..workflow
            })));
        };
        if here.source == workflow.source && here.definition == workflow.definition {
            return Ok(None);
        }
        Err(there("workflow", workflow.id.uuid()))
    }

    /// An agent that has ended, with the record of a workspace that was never made. A standing one may have
    /// come with another of its runs.
    async fn agent_to_import(&self, agent: Agent) -> Result<Vec<Change>> {
        let here: Option<Agent> = self.parts.store.find(agent.id).await?;
        match here {
            Some(here) if agent.run_id.is_none() && here.is_imported() => {
                return Ok(Vec::new());
            }
            Some(_) => return Err(there("agent", agent.id.uuid())),
            None => {}
        }
        let mut workspace = self.workspace(agent.id);
        workspace.mark_imported();
        let mut ended = Agent {
            state: AgentState::Terminated,
            workspace_path: workspace.root_path.clone(),
            provider_id: None,
            project_id: None,
            ..agent
        };
        ended.mark_imported();
        Ok(vec![Change::create(ended), Change::create(workspace)])
    }
}

/// Refuses a workflow version that came with a run: its file and its folder are elsewhere.
///
/// # Errors
/// [`Error::OfImported`].
pub fn expect_own(workflow: &str) -> Result<()> {
    if workflow.starts_with(FOLDER) {
        let workflow = workflow.to_owned();
        return Err(Error::OfImported { workflow });
    }
    Ok(())
}

fn marked(rows: &Rows, now: Timestamp) -> Imported {
    let manifest = &rows.manifest;
    Imported {
        at: now,
        exported_at: manifest.exported_at,
        machine: manifest.machine.clone(),
        program: manifest.program.clone(),
        content: manifest.content(),
        file: rows.file.clone(),
    }
}

fn there(what: &'static str, id: Uuid) -> Error {
    let id = id.to_string();
    RunFileFault::There { what, id }.into()
}

fn completed(rows: &Rows) -> usize {
    let of_it = rows.tasks.iter();
    let ended = of_it.filter(|task| task.run_id == rows.manifest.run);
    ended
        .filter(|task| task.state == TaskState::Completed)
        .count()
}
