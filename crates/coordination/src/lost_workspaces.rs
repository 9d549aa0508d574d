//! Workspaces that are not on this node: restored as the journal has them, or made anew for a step that
//! may begin again.

use std::path::Path;
use std::sync::Arc;

use fusion_core::{
    Agent, Change, Decision, EffectClass, EntryKind, JournalEntry, NamedSnapshot, Recovered,
    Recovery, Task, Workspace, error_chain,
};
use fusion_persistence::{Batch, Repository as _};
use fusion_workspaces::{PutBack, Seat, WorkspaceDir};

use crate::coordinator::off_runtime;
use crate::races::Races;
use crate::shared::KeptWorkspace;
use crate::spawn::text;
use crate::worker::Job;
use crate::worktrees::worktree_of;
use crate::{Coordinator, Error, Result, grants};

/// The one tool that may do its work once only and does it in the workspace alone.
const EDIT: &str = "edit_file";

/// A workspace that an agent is about to work in.
#[derive(Debug, Default)]
pub(crate) struct Entered {
    /// `None` for an agent that has no use for one.
    pub(crate) dir: Option<Arc<WorkspaceDir>>,
    /// It, where snapshots of it are kept.
    pub(crate) kept: Option<KeptWorkspace>,
    /// Nobody has the workspace alone while there is this.
    pub(crate) _seat: Option<Seat>,
    /// It was just restored: what was under way when it was lost is undone in it.
    pub(crate) restored: Option<PutBack>,
}

/// A workspace in its new folder.
struct Regained {
    workspace: Workspace,
    how: Recovery,
    detail: String,
    restored: Option<PutBack>,
}

impl Coordinator {
    /// Opens the workspace of a job's agent. Where it is lost with its node, it is restored from the newest
    /// snapshot, or the task begins again in a new one; `Err` says why neither can be done.
    pub(crate) async fn enter(
        &self,
        job: &mut Job<'_>,
    ) -> Result<std::result::Result<Entered, String>> {
        // Others may have moved it since the plan was read.
        let known = job.plan.workspace(job.agent.id)?;
        let mut workspace = match &self.options.node {
            Some(_) => self.parts.store.get(known.id).await?,
            None => known.clone(),
        };
        let mut restored = None;
        let dir = match self.open_folder(&workspace, true).await? {
            Ok(dir) => dir,
            Err(error) if is_gone(&error) && self.options.node.is_some() => {
                let told = self.of_agent(&job.agent, error);
                let regained = match self.regain(job, &workspace).await? {
                    Ok(regained) => regained,
                    Err(why) => return Ok(Err(format!("{told}; {why}"))),
                };
                restored.clone_from(&regained.restored);
                workspace = self.settle_in(job, regained).await?;
                match self.open_folder(&workspace, true).await? {
                    Ok(dir) => dir,
                    Err(error) => return Ok(Err(self.of_agent(&job.agent, error))),
                }
            }
            Err(error) => return Ok(Err(self.of_agent(&job.agent, error))),
        };
        let dir = Arc::new(grants::bounded(dir, &job.agent));
        let seat = match self.seat_of_step(job, &dir).await? {
            Ok(seat) => seat,
            Err(why) => return Ok(Err(why)),
        };
        let kept = self.kept_workspace(job, &workspace, &dir).await?;
        Ok(Ok(Entered {
            dir: Some(dir),
            kept,
            _seat: seat,
            restored,
        }))
    }

    fn of_agent(&self, agent: &Agent, source: fusion_workspaces::Error) -> String {
        let agent = agent.name.clone();
        error_chain(&Error::Workspace { agent, source })
    }

    /// Makes a folder on this node with what is to be in it; nothing is written to the store.
    async fn regain(
        &self,
        job: &Job<'_>,
        lost: &Workspace,
    ) -> Result<std::result::Result<Regained, String>> {
        let no_snapshot = match self.restored(job, lost).await? {
            Ok(regained) => return Ok(Ok(regained)),
            Err(why) => why,
        };
        if let Some(why) = self.why_not_again(job).await? {
            return Ok(Err(format!(
                "it was not restored: {no_snapshot}; the step does not begin again: {why}"
            )));
        }
        Ok(match self.made_anew(job, lost).await? {
            Ok(workspace) => Ok(Regained {
                workspace,
                how: Recovery::BegunAgain,
                detail: no_snapshot,
                restored: None,
            }),
            Err(why) => Err(format!(
                "it was not restored: {no_snapshot}; it could not be made anew: {why}"
            )),
        })
    }

    /// The workspace as the newest snapshot has it; `Err` says why not.
    async fn restored(
        &self,
        job: &Job<'_>,
        lost: &Workspace,
    ) -> Result<std::result::Result<Regained, String>> {
        let Some(snapshots) = self.snapshots_of(&job.agent) else {
            return Ok(Err("no shared folder is configured".to_owned()));
        };
        if job.plan.folders.are_shared(&job.agent) {
            let why = "no snapshots are kept of a workspace in which other steps run commands";
            return Ok(Err(why.to_owned()));
        }
        let name = match self.parts.store.snapshot_of(lost.id).await? {
            Some(NamedSnapshot::Kept(name)) => name,
            Some(NamedSnapshot::Missing(why)) => {
                return Ok(Err(format!("there is no snapshot of it: {why}")));
            }
            None => return Ok(Err("there is no snapshot of it".to_owned())),
        };
        let workspace = self.in_new_folder(lost);
        let restore = {
            let workspaces = self.workspaces_of(&workspace);
            let workspace = workspace.clone();
            let name = name.clone();
            move || {
                let dir = workspaces.create(
                    workspace.dir_name(),
                    workspace.process_uid,
                    &workspace.agent_config,
                    &workspace.environment_variables,
                )?;
                snapshots.restore(&name, &dir)
            }
        };
        match off_runtime(restore).await? {
            Ok(restored) => {
                self.take_repository(job, &workspace).await;
                Ok(Ok(Regained {
                    detail: format!("snapshot {name}, {} entries", restored.restored),
                    workspace,
                    how: Recovery::Restored,
                    restored: Some(restored),
                }))
            }
            Err(error) => {
                self.remove_folder(&workspace).await;
                Ok(Err(error_chain(&error)))
            }
        }
    }

    /// Work on a worktree is taken into a repository of this node at the step's end.
    async fn take_repository(&self, job: &Job<'_>, workspace: &Workspace) {
        let Some(record) = worktree_of(workspace) else {
            return;
        };
        let repository = self.repository_of(job.agent.id);
        let taken = repository
            .take(Path::new(&record.source), &record.base)
            .await;
        if let Err(error) = taken {
            let error = error_chain(&error);
            tracing::warn!(error, agent.id = %job.agent.id, "the repository of a restored worktree is not here");
        }
    }

    /// The workspace as it was when the agent was made; `Err` says why it can't be.
    async fn made_anew(
        &self,
        job: &Job<'_>,
        lost: &Workspace,
    ) -> Result<std::result::Result<Workspace, String>> {
        let mut workspace = self.in_new_folder(lost);
        let workflow = &job.plan.workflow;
        let base_dir = Path::new(&workflow.base_dir);
        let made = match self.make_workspace(&workspace).await? {
            Ok(()) => self.copy_results(&job.agent, &workspace).await?,
            failed => failed,
        };
        let made = match (made, workflow.definition.agent_of(&job.agent.name)) {
            (Err(source), _) => Err(self.of_agent(&job.agent, source)),
            (Ok(()), None) => Ok(()),
            (Ok(()), Some((_, spec))) => {
                let furnish = self.furnish_workspace(&job.agent, spec, base_dir, &mut workspace);
                match furnish.await {
                    Err(error @ Error::Workspace { .. }) => Err(error_chain(&error)),
                    furnished => Ok(furnished?),
                }
            }
        };
        if made.is_err() {
            self.remove_folder(&workspace).await;
        }
        Ok(made.map(|()| workspace))
    }

    /// A folder of a name that no other ever had: what a node has left is not taken for the newest.
    fn in_new_folder(&self, lost: &Workspace) -> Workspace {
        let name = self.parts.ids.uuid().to_string();
        let folder = self.options.workspaces_root.join(name);
        lost.clone().moved_to(text(&folder))
    }

    async fn remove_folder(&self, workspace: &Workspace) {
        let workspaces = self.workspaces_of(workspace);
        let name = workspace.dir_name().to_owned();
        if let Ok(Err(error)) = off_runtime(move || workspaces.remove(&name)).await {
            let path = &workspace.root_path;
            tracing::warn!(%error, path, "a workspace could not be removed");
        }
    }

    /// Writes where the workspace is now and how the task goes on, in one commit.
    async fn settle_in(&self, job: &mut Job<'_>, regained: Regained) -> Result<Workspace> {
        let (moment, store) = (self.moment(), &self.parts.store);
        let node = self.options.node.as_ref();
        let recovered = Recovered {
            how: regained.how,
            node: node.map(|node| node.name.clone()).unwrap_or_default(),
            at: moment.now,
            detail: regained.detail,
        };
        let journal = store.journal(job.task.id).await?;
        let last = journal.last().map_or(0, |entry| entry.seq);
        let mut task = job.task.clone();
        task.recover(recovered.clone(), last);
        let told = task.told_of_recovery(&recovered, &job.agent.name, moment);
        let mut races = Races::new();
        loop {
            let mut agent: Agent = store.get(job.agent.id).await?;
            let now: Workspace = store.get(regained.workspace.id).await?;
            let mut moved = now.moved_to(regained.workspace.root_path.clone());
            moved
                .agent_config
                .clone_from(&regained.workspace.agent_config);
            agent.workspace_path.clone_from(&moved.root_path);
            let decision = Decision::default()
                .with(Change::update(task.clone()))
                .with(Change::update(agent.clone()))
                .with(Change::update(moved.clone()))
                .telling(told.clone());
            match self.commit(Batch::fenced(job.fence, decision)).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(error) => return Err(error),
                Ok(()) => {
                    task.version += 1;
                    agent.version += 1;
                    moved.version += 1;
                    (job.task, job.agent) = (task, agent);
                    return Ok(moved);
                }
            }
        }
    }

    /// Why a task can't begin again in a new workspace: something of it would be done twice, or what was
    /// done there before is gone. `None` where it can.
    async fn why_not_again(&self, job: &Job<'_>) -> Result<Option<String>> {
        let (agent, task) = (&job.agent, &job.task);
        if agent.is_standing() {
            return Ok(Some("its agent keeps what it works on".to_owned()));
        }
        if task.course.rounds > 0 || task.course.failures > 0 {
            let why = "a round or an attempt of it before has left its work there";
            return Ok(Some(why.to_owned()));
        }
        let tasks = self.parts.store.tasks_of_run(task.run_id).await?;
        let earlier = tasks
            .iter()
            .find(|other| other.id != task.id && has_worked(job, other));
        if let Some(earlier) = earlier {
            return Ok(Some(format!("'{}' has left its work there", earlier.name)));
        }
        let journal = self.parts.store.journal(task.id).await?;
        let is_confined = self.is_confined(agent);
        let reached = journal
            .iter()
            .find(|entry| !is_repeatable(entry, is_confined));
        Ok(reached.map(|entry| {
            let name = &entry.name;
            format!(
                "entry {} of its journal, {name}, may have reached more than its workspace",
                entry.seq
            )
        }))
    }
}

/// Whether another task may have left something in the workspace of a job's agent.
fn has_worked(job: &Job<'_>, other: &Task) -> bool {
    let agent = job.agent.id;
    let is_its_own = other.agent_id == Some(agent) || other.course.handed_on.contains(&agent);
    let step = job.plan.step(other.step_id()).ok();
    let command = step.and_then(|step| step.command.as_ref());
    let is_shared = command.is_some_and(|command| command.shared_with.is_some());
    other.attempts > 0 && (is_its_own || is_shared && job.plan.folders.are_shared(&job.agent))
}

/// Whether nothing outside of a workspace can tell whether an effect happened once or twice.
fn is_repeatable(entry: &JournalEntry, is_confined: bool) -> bool {
    match (entry.kind, entry.effect) {
        (EntryKind::Inbox, _) | (_, EffectClass::Committed) => false,
        (_, EffectClass::Read | EffectClass::ModelTurn | EffectClass::ConfinedWrite) => true,
        (_, EffectClass::Once) => is_confined || entry.name == EDIT,
    }
}

/// Whether a workspace, or the folder that it was in, is not on this machine.
fn is_gone(error: &fusion_workspaces::Error) -> bool {
    use std::error::Error as _;
    if matches!(error, fusion_workspaces::Error::NoWorkspace { .. }) {
        return true;
    }
    let source = error.source();
    let source = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound)
}
