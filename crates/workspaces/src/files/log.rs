//! Files that the program itself puts into a workspace's `logs/`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use std::path::Path;

use rustix::fs::Mode;

use super::guard::RelativePath;
use crate::descriptor::{Draft, make_dir};
use crate::workspace::make_drafts;
use crate::{Error, Result, WorkspaceDir};

impl WorkspaceDir {
    /// Puts the content of a file into `logs/` under a new name or in the place of an old one, and
    /// gives its path from the workspace's root. It is not waited for the disk.
    pub(crate) async fn keep_log(&self, name: String, mut content: File) -> io::Result<String> {
        let (top, uid) = (self.dir().try_clone()?, self.uid());
        let keep = move || {
            let drafts = make_drafts(&top, uid)?;
            let (logs, _) = make_dir(&top, "logs", uid)?;
            let draft = Draft::copy(drafts.as_fd(), &mut content, Mode::RUSR | Mode::WUSR, uid)?;
            draft.place_unsynced(logs.as_fd(), &name)?;
            Ok(format!("logs/{name}"))
        };
        tokio::task::spawn_blocking(keep)
            .await
            .map_err(io::Error::other)?
    }

    /// Puts a file into `.agent`, under a new name or in the place of an old one.
    pub(crate) fn put_private(&self, name: &str, mut content: File) -> Result<()> {
        let placed = make_drafts(self.dir(), self.uid()).and_then(|drafts| {
            let (agent, _) = make_dir(self.dir(), ".agent", self.uid())?;
            let rights = Mode::RUSR | Mode::WUSR;
            let draft = Draft::copy(drafts.as_fd(), &mut content, rights, self.uid())?;
            draft.place_unsynced(agent.as_fd(), name)
        });
        placed.map_err(Error::io("write to the workspace", self.path()))
    }

    /// Copies a file of `.agent` to a place outside of the workspace; says whether there is one.
    ///
    /// # Errors
    /// It is not a regular file with one name, it has more bytes than the workspace may take, or a
    /// step failed.
    pub(crate) fn take_private(&self, name: &str, to: &Path) -> Result<bool> {
        let path = RelativePath::parse(&format!(".agent/{name}"))?;
        let file = match self.open_file(&path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(false);
            }
            file => file?,
        };
        let failed = || Error::io("write", to);
        let limit = self.quota().bytes;
        let mut copy = File::create(to).map_err(failed())?;
        let copied = io::copy(&mut file.take(limit.saturating_add(1)), &mut copy);
        if copied.map_err(failed())? > limit {
            return Err(failed()(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        Ok(true)
    }
}
