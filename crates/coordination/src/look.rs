//! Looking into the workspace of an agent, also while it is at work: for people, so through the path
//! guard, never at what may hold keys, and never changing anything.

use std::path::Path;

use fusion_core::{Agent, AgentId, Workspace};
use fusion_persistence::{Page, Reader, Repository as _, WorkspaceFilter};
use fusion_workspaces::{
    Diff, FileEntry, FileText, Options, Owners, Pack, Repository, WorkspaceDir, Workspaces,
};

use crate::coordinator::off_runtime;
use crate::spawn::of_workspace;
use crate::worktrees::{WorktreeRecord, worktree_of};
use crate::{Coordinator, Error, Result};

/// The workspace of an agent, to look into.
#[derive(Debug, Clone)]
pub struct Look {
    agent: Agent,
    workspace: Workspace,
    owners: Owners,
}

impl Look {
    /// Finds the workspace of an agent; nothing of it is opened yet.
    ///
    /// # Errors
    /// There is no such agent, or the store fails.
    pub async fn at(reader: &dyn Reader, owners: Owners, agent: AgentId) -> Result<Self> {
        let agent: Agent = reader.get(agent).await?;
        let filter = WorkspaceFilter {
            agent: Some(agent.id),
        };
        let found: Option<Workspace> = reader.list(&filter, Page::first(1)).await?.pop();
        let workspace =
            found.ok_or_else(|| Error::Broken(format!("agent {} has no workspace", agent.id)))?;
        Ok(Self {
            agent,
            workspace,
            owners,
        })
    }

    /// Whose it is.
    #[must_use]
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// What is below a folder, at most `limit` entries, and whether there is more.
    ///
    /// # Errors
    /// The workspace is gone, or the path is none that is shown.
    pub async fn tree(&self, path: String, limit: usize) -> Result<(Vec<FileEntry>, bool)> {
        self.inside(move |dir| dir.show_tree(&path, limit)).await
    }

    /// At most `limit` bytes of a text file.
    ///
    /// # Errors
    /// As [`tree`](Self::tree), or it is no text file.
    pub async fn file(&self, path: String, limit: usize) -> Result<FileText> {
        self.inside(move |dir| dir.show_file(&path, limit)).await
    }

    /// What is to be packed of a folder, or of one file.
    ///
    /// # Errors
    /// As [`tree`](Self::tree), or it is more than a pack takes.
    pub async fn pack(&self, path: String) -> Result<Pack> {
        self.inside(move |dir| dir.to_pack(&path)).await
    }

    /// What the agent made of its worktree, as it was when its newest step ended: at most `limit` bytes
    /// of it. `None` where it has no worktree.
    ///
    /// # Errors
    /// git fails, or is not there.
    pub async fn diff(&self, limit: usize) -> Result<Option<(WorktreeRecord, Diff)>> {
        let Some(record) = worktree_of(&self.workspace) else {
            return Ok(None);
        };
        let diff = match &record.branch {
            None => Diff::default(),
            Some(branch) => {
                let place = Path::new(&record.repository);
                let root = place.parent().unwrap_or(place);
                let repository = Repository::new(root, &self.agent.id.to_string());
                let diff = repository.diff(branch, limit).await;
                diff.map_err(|source| of_workspace(&self.agent, source))?
            }
        };
        Ok(Some((record, diff)))
    }

    async fn inside<T: Send + 'static>(
        &self,
        look: impl FnOnce(WorkspaceDir) -> fusion_workspaces::Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = Path::new(&self.workspace.root_path);
        // Its user is forgotten with it.
        if !self.workspace.initialized {
            let path = root.to_path_buf();
            let gone = fusion_workspaces::Error::NoWorkspace { path };
            return Err(of_workspace(&self.agent, gone));
        }
        let workspaces = Workspaces::new(Options {
            root: root.parent().unwrap_or(root).to_path_buf(),
            owners: self.owners.clone(),
        });
        let name = self.workspace.dir_name().to_owned();
        let uid = self.workspace.process_uid;
        let looked = off_runtime(move || workspaces.open_beside(&name, uid).and_then(look)).await?;
        looked.map_err(|source| of_workspace(&self.agent, source))
    }
}

impl Coordinator {
    /// Looks into the workspace of an agent.
    ///
    /// # Errors
    /// As [`Look::at`].
    pub async fn look_into(&self, agent: AgentId) -> Result<Look> {
        Look::at(&*self.parts.store, self.options.owners.clone(), agent).await
    }
}
