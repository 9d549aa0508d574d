//! Files that the program itself puts into a workspace's `logs/`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::Mode;

use crate::WorkspaceDir;
use crate::descriptor::{Draft, make_dir};
use crate::workspace::make_drafts;

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
}
