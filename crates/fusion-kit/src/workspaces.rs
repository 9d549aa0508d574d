//! The work of `workspace`: looking into what agents have, also while they are at work.

mod merge;
mod work;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use async_trait::async_trait;
use fusion_api::workspace_views as views;
use fusion_api_types::{
    Problem, ProblemKind, WorkspaceDiff, WorkspaceExport, WorkspaceFile, WorkspaceLine,
    WorkspaceTree,
};
use fusion_cli::AgentFiles;
use fusion_coordination::Look;
use fusion_persistence::{Page, Repository, WorkspaceFilter};

use crate::agents::{find_agent, no_agents};
use crate::backend::LocalBackend;
use crate::{problems, wiring};

#[async_trait]
impl AgentFiles for LocalBackend {
    async fn list_workspaces(&self, limit: u32) -> Result<Vec<WorkspaceLine>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_workspaces(limit).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let read = |error: fusion_persistence::Error| problems::of_store(&error);
        let page = Page::first(limit);
        let rows = reading
            .store()
            .list(&WorkspaceFilter::default(), page)
            .await;
        let mut lines = Vec::new();
        for row in rows.map_err(read)? {
            let agent = reading.store().get(row.agent_id).await.map_err(read)?;
            lines.push(views::line(&agent, &row));
        }
        Ok(lines)
    }

    async fn workspace_tree(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceTree, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.workspace_tree(agent, path, limit).await;
        }
        let look = self.look(agent).await?;
        told(views::tree(&look, path, limit).await)
    }

    async fn workspace_file(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceFile, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.workspace_file(agent, path, limit).await;
        }
        let look = self.look(agent).await?;
        told(views::file(&look, path, limit).await)
    }

    async fn workspace_diff(&self, agent: &str) -> Result<WorkspaceDiff, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.workspace_diff(agent).await;
        }
        let look = self.look(agent).await?;
        told(views::diff(&look).await)?.ok_or_else(|| {
            let text = views::no_worktree(&look.agent().name);
            Problem::new(ProblemKind::Conflict, text)
        })
    }

    async fn export_workspace(
        &self,
        agent: &str,
        path: &str,
        to: &Path,
    ) -> Result<WorkspaceExport, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.export_workspace(agent, path, to).await;
        }
        let look = self.look(agent).await?;
        let pack = told(look.pack(path.to_owned()).await)?;
        let mut made = NewFile::make(to)?;
        let file = made.file()?;
        let written = tokio::task::spawn_blocking(move || pack.write(BufWriter::new(file)));
        let written = written.await.map_err(io::Error::other).and_then(|it| it);
        written.map_err(|error| made.failed(&error))?;
        made.finished(look.agent().id.to_string())
    }
}

impl LocalBackend {
    async fn look(&self, agent: &str) -> Result<Look, Problem> {
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let found = find_agent(reading.store(), reading.data_dir(), agent).await?;
        let owners = wiring::owners(self.config())?;
        told(Look::at(reading.store(), owners, found.id).await)
    }
}

fn told<T>(looked: fusion_coordination::Result<T>) -> Result<T, Problem> {
    looked.map_err(|error| problems::of_engine(&error))
}

/// A file that was not there before, and goes again unless it is finished.
pub(crate) struct NewFile<'a> {
    path: &'a Path,
    file: File,
    is_whole: bool,
}

impl<'a> NewFile<'a> {
    pub(crate) fn make(path: &'a Path) -> Result<Self, Problem> {
        Self::create(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                let text = format!("{} is there already", path.display());
                Problem::new(ProblemKind::Conflict, text).with_help("name another with --to FILE")
            } else {
                unwritten(path, &error)
            }
        })
    }

    /// The same, its error told by whoever asks.
    pub(crate) fn create(path: &'a Path) -> io::Result<Self> {
        Ok(Self {
            path,
            file: File::create_new(path)?,
            is_whole: false,
        })
    }

    /// The same file, to write on another thread.
    pub(crate) fn file(&self) -> Result<File, Problem> {
        let file = self.file.try_clone();
        file.map_err(|error| self.failed(&error))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Problem {
        unwritten(self.path, error)
    }

    /// All of it is there.
    pub(crate) fn finished(&mut self, agent: String) -> Result<WorkspaceExport, Problem> {
        Ok(WorkspaceExport {
            agent,
            file: self.path.display().to_string(),
            bytes: self.whole()?,
        })
    }

    /// All of it is there: so many bytes.
    pub(crate) fn whole(&mut self) -> Result<u64, Problem> {
        let metadata = self.file.metadata();
        let bytes = metadata.map_err(|error| self.failed(&error))?.len();
        self.is_whole = true;
        Ok(bytes)
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = fs::remove_file(self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "can't remove an unfinished file");
        }
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Problem {
    let text = format!("{} can't be written: {error}", path.display());
    Problem::new(ProblemKind::Unavailable, text)
}
