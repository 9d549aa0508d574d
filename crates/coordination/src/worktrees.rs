//! What is in an agent's workspace at first, and what becomes of its worktree: each step's work is
//! taken into a repository of the engine, as a branch that nobody deletes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fusion_agents::{Ending, JournalRefused};
use fusion_core::{
    Agent, AgentId, AgentSpec, Change, Decision, EventType, NewEvent, Severity, Workspace,
    WorkspaceSpec, error_chain,
};
use fusion_persistence::{Batch, Repository as _};
use fusion_workspaces::{Launcher, Repository, WorkspaceDir, Worktree};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::coordinator::off_runtime;
use crate::spawn::{of_workspace, text};
use crate::worker::Job;
use crate::{Coordinator, Error, Result};

/// Where the record of a workspace tells of its worktree.
const KEY: &str = "worktree";

/// The revision of a worktree that names none.
const CHECKED_OUT: &str = "HEAD";

/// What the record of a workspace tells of its worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorktreeRecord {
    /// The repository that it came from.
    pub source: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that this was.
    pub base: String,
    /// Its folder, in `projects/`.
    pub folder: String,
    /// The engine's repository, from which the work can be fetched.
    pub repository: String,
    /// The branch with the newest work that was taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Why the newest work is not in that branch, when it could not be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The worktree of a workspace, when it has one.
#[must_use]
pub fn worktree_of(workspace: &Workspace) -> Option<WorktreeRecord> {
    let told = workspace.agent_config.get(KEY)?.clone();
    serde_json::from_value(told).ok()
}

/// A spec whose paths are absolute: a relative one starts from `base_dir`.
pub(crate) fn placed(spec: WorkspaceSpec, base_dir: &Path) -> WorkspaceSpec {
    let at = |path: String| text(&base_dir.join(path));
    match spec {
        WorkspaceSpec::Directory { template } => WorkspaceSpec::Directory {
            template: template.map(at),
        },
        WorkspaceSpec::Worktree {
            repository,
            revision,
        } => WorkspaceSpec::Worktree {
            repository: at(repository),
            revision,
        },
    }
}

impl Coordinator {
    /// Puts into a new workspace what its agent is to find there, and notes in its record where that
    /// came from. Done again after a crash it does the same.
    pub(crate) async fn furnish_workspace(
        &self,
        agent: &Agent,
        spec: &AgentSpec,
        base_dir: &Path,
        workspace: &mut Workspace,
    ) -> Result<()> {
        match placed(spec.workspace.clone(), base_dir) {
            WorkspaceSpec::Directory { template: None } => Ok(()),
            WorkspaceSpec::Directory {
                template: Some(template),
            } => {
                let dir = self.opened_workspace(agent, workspace).await?;
                let launcher = self.parts.launcher.clone();
                let launcher = launcher.hiding([self.options.workspaces_root.clone()]);
                let plant = move || {
                    let template = launcher.admit(Path::new(&template))?;
                    dir.plant(&template)
                };
                let planted = off_runtime(plant).await?;
                planted.map_err(|source| of_workspace(agent, source))
            }
            WorkspaceSpec::Worktree {
                repository,
                revision,
            } => {
                let revision = revision.unwrap_or_else(|| CHECKED_OUT.to_owned());
                let sown = self.sow(agent, &repository, revision, workspace).await?;
                let record = sown.map_err(|source| of_workspace(agent, source))?;
                note(workspace, &record);
                Ok(())
            }
        }
    }

    async fn sow(
        &self,
        agent: &Agent,
        source: &str,
        revision: String,
        workspace: &Workspace,
    ) -> Result<fusion_workspaces::Result<WorktreeRecord>> {
        let dir = self.opened_workspace(agent, workspace).await?;
        let launcher = match self.launcher_of(agent) {
            Ok(launcher) => launcher,
            Err(error) => return Ok(Err(error)),
        };
        let repository = self.repository_of(agent.id);
        let base = match repository.take(Path::new(source), &revision).await {
            Ok(base) => base,
            Err(error) => return Ok(Err(error)),
        };
        let record = WorktreeRecord {
            source: source.to_owned(),
            revision,
            base,
            folder: folder_of(source),
            repository: text(repository.path()),
            branch: None,
            fault: None,
        };
        let sown = repository.sow(&at(&record, agent), &dir, &launcher).await;
        Ok(sown.map(|()| record))
    }

    /// What follows each work on a task: what it made of a worktree is taken in, and what its
    /// workspace takes is measured.
    pub(crate) async fn take_stock(
        &self,
        job: &Job<'_>,
        ending: &std::result::Result<Ending, JournalRefused>,
        dir: Option<&Arc<WorkspaceDir>>,
        launcher: &Launcher,
    ) -> Result<()> {
        if let Some(dir) = dir {
            self.reap_step(job, ending, dir, launcher).await?;
            self.forget_snapshot(job, ending).await?;
        }
        self.note_usage(job, dir).await
    }

    /// Takes what a step made of its agent's worktree in. Work that can't be taken in stays in the
    /// workspace; the workspace's record and an event say so.
    async fn reap_step(
        &self,
        job: &Job<'_>,
        ending: &std::result::Result<Ending, JournalRefused>,
        dir: &WorkspaceDir,
        launcher: &Launcher,
    ) -> Result<()> {
        let is_done = is_done(ending);
        let (agent, task) = (&job.agent, &job.task);
        let workspace = job.plan.workspace(agent.id)?;
        let Some(record) = worktree_of(workspace).filter(|_| is_done) else {
            return Ok(());
        };
        let message = format!("{}: {}", agent.name, task.name);
        let branch = branch_of(&agent.name, &format!("{}-{}", task.name, tail(&task.id)));
        let to = (branch.as_str(), message.as_str());
        let taken = self
            .repository_of(agent.id)
            .reap(&at(&record, agent), to, dir, launcher)
            .await;
        match taken {
            Ok(false) => Ok(()),
            Ok(true) => {
                let newest = |record: &mut WorktreeRecord| {
                    record.branch = Some(branch.clone());
                    record.fault = None;
                };
                self.note_work(workspace, newest, None).await
            }
            Err(error) => {
                let why = error_chain(&error).replace('\n', "; ");
                tracing::warn!(error = why, agent.id = %agent.id, "the work on a worktree is not taken in");
                let told = self.told_of_loss(job, &why);
                let newest = |record: &mut WorktreeRecord| record.fault = Some(why.clone());
                self.note_work(workspace, newest, Some(told)).await
            }
        }
    }

    fn told_of_loss(&self, job: &Job<'_>, why: &str) -> NewEvent {
        let (agent, task) = (&job.agent, &job.task);
        let message = format!(
            "what {} did in its worktree for '{}' is not taken in: {why}",
            agent.name, task.name
        );
        let mut event = agent.event(
            self.moment(),
            EventType::AgentError,
            Some(task.run_id),
            message,
        );
        if let Value::Object(data) = &mut event.data {
            data.insert("task_id".to_owned(), json!(task.id));
        }
        event.severity(Severity::Warning)
    }

    /// Takes what is in a worktree in before its workspace is removed; says in which branch it is, when it
    /// was in none.
    pub(crate) async fn reap_last(
        &self,
        agent: &Agent,
        workspace: &Workspace,
    ) -> Result<Option<String>> {
        let branch = branch_of(&agent.name, &format!("end-{}", tail(&agent.id)));
        let message = format!("{}: what was left", agent.name);
        let taken = self.reap_into(agent, workspace, (&branch, &message)).await;
        let commit = match taken {
            // It was removed before a crash.
            Err(Error::Workspace {
                source: fusion_workspaces::Error::NoWorkspace { .. },
                ..
            }) => {
                let repository = self.repository_of(agent.id);
                match worktree_of(workspace) {
                    Some(_) => repository
                        .tip(&branch)
                        .await
                        .map_err(|source| of_workspace(agent, source))?,
                    None => None,
                }
            }
            taken => taken?.1,
        };
        let known = worktree_of(workspace).and_then(|record| record.branch);
        let known = match known {
            Some(known) => {
                let tip = self.repository_of(agent.id).tip(&known).await;
                tip.map_err(|source| of_workspace(agent, source))?
            }
            None => None,
        };
        Ok((commit.is_some() && commit != known).then_some(branch))
    }

    /// Takes what is in a worktree into a branch; says where that branch was before, and where it is now.
    /// Nothing is done where there is no worktree.
    pub(crate) async fn reap_into(
        &self,
        agent: &Agent,
        workspace: &Workspace,
        (branch, message): (&str, &str),
    ) -> Result<(Option<String>, Option<String>)> {
        let Some(record) = worktree_of(workspace) else {
            return Ok((None, None));
        };
        let failed = |source| of_workspace(agent, source);
        let dir = self.opened_workspace(agent, workspace).await?;
        let launcher = self.launcher_of(agent).map_err(failed)?;
        let repository = self.repository_of(agent.id);
        let before = repository.tip(branch).await.map_err(failed)?;
        let (at, to) = (at(&record, agent), (branch, message));
        let taken = repository.reap(&at, to, &dir, &launcher).await;
        taken.map_err(failed)?;
        let now = repository.tip(branch).await.map_err(failed)?;
        Ok((before, now))
    }

    /// Writes into the record of a workspace what became of its newest work, and tells of it.
    pub(crate) async fn note_work(
        &self,
        known: &Workspace,
        newest: impl Fn(&mut WorktreeRecord) + Send + Sync,
        told: Option<NewEvent>,
    ) -> Result<()> {
        loop {
            let mut workspace: Workspace = self.parts.store.get(known.id).await?;
            let Some(mut record) = worktree_of(&workspace) else {
                return Ok(());
            };
            newest(&mut record);
            note(&mut workspace, &record);
            let mut decision = Decision::default().with(Change::update(workspace));
            decision.events.extend(told.clone());
            match self.commit(Batch::free(decision)).await {
                // Somebody else wrote it at the same time.
                Err(error) if error.is_conflict() => {}
                outcome => return outcome,
            }
        }
    }

    pub(crate) fn repository_of(&self, agent: AgentId) -> Repository {
        Repository::new(&self.repositories(), &agent.to_string())
    }

    /// The folder of the engine's repositories: beside that of the archives.
    fn repositories(&self) -> PathBuf {
        let archives = &self.options.archives_root;
        archives.with_file_name("repositories")
    }

    pub(crate) async fn opened_workspace(
        &self,
        agent: &Agent,
        workspace: &Workspace,
    ) -> Result<WorkspaceDir> {
        let (workspaces, uid) = (self.workspaces_of(workspace), workspace.process_uid);
        let name = workspace.dir_name().to_owned();
        let opened = off_runtime(move || workspaces.open_beside(&name, uid)).await?;
        let opened = opened.map_err(|source| of_workspace(agent, source))?;
        Ok(crate::grants::bounded(opened, agent))
    }
}

/// Whether work on a task came to its end.
pub(crate) const fn is_done(ending: &std::result::Result<Ending, JournalRefused>) -> bool {
    matches!(ending, Ok(Ending::Completed { .. } | Ending::Failed { .. }))
}

fn note(workspace: &mut Workspace, record: &WorktreeRecord) {
    if let Value::Object(config) = &mut workspace.agent_config {
        config.insert(KEY.to_owned(), json!(record));
    }
}

/// Notes the branch with the newest work in the record of a workspace.
pub(crate) fn note_newest(workspace: &mut Workspace, branch: &str) {
    if let Some(mut record) = worktree_of(workspace) {
        record.branch = Some(branch.to_owned());
        record.fault = None;
        note(workspace, &record);
    }
}

/// The branch for what no step made.
pub(crate) fn own_branch(agent: &Agent) -> String {
    branch_of(&agent.name, &format!("work-{}", tail(&agent.id)))
}

fn at(record: &WorktreeRecord, agent: &Agent) -> Worktree {
    Worktree {
        folder: record.folder.clone(),
        author: agent.name.clone(),
        base: record.base.clone(),
        branch: branch_of(&agent.name, "work"),
    }
}

/// The name of a repository's folder without what is no part of a name.
fn folder_of(source: &str) -> String {
    let name = Path::new(source).file_name();
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let name = name.strip_suffix(".git").unwrap_or(&name);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().take(100).map(plain).collect();
    if name.is_empty() || name.starts_with('-') {
        "repository".to_owned()
    } else {
        name
    }
}

/// `fusion/AGENT-TASK`, without what no branch may have.
fn branch_of(agent: &str, what: &str) -> String {
    format!("fusion/{agent}-{what}").replace('.', "-")
}

/// The end of an id, which differs from one made at the same time.
fn tail(id: &impl ToString) -> String {
    let id = id.to_string();
    id.rsplit('-').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_folders_and_branches_that_git_takes() {
        assert_eq!(folder_of("/a/site.git"), "site");
        assert_eq!(folder_of("/a/my site.v2/"), "my_site_v2");
        assert_eq!(folder_of("/"), "repository");
        assert_eq!(folder_of("/a/-x"), "repository");
        assert_eq!(branch_of("a..b", "step.1-0f"), "fusion/a--b-step-1-0f");
        assert_eq!(tail(&"0192-aa-bb"), "bb");
    }
}
