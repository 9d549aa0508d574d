//! Files that leave a workspace as results, and that come into it from other steps.

use std::fs::File;
use std::os::fd::AsFd;

use super::guard::RelativePath;
use super::{Refusal, replaced};
use crate::descriptor::Draft;
use crate::workspace::make_drafts;
use crate::{Result, WorkspaceDir};

impl WorkspaceDir {
    /// Opens a file that is a result.
    ///
    /// # Errors
    /// The path is refused, leads out, or is no regular file with one name.
    pub(crate) fn open_result(&self, path: &str) -> Result<File> {
        self.open_file(&RelativePath::parse(path)?)
    }

    /// Writes a copy of a file that lies outside: readers see the old content or the new one.
    ///
    /// # Errors
    /// The path is refused or goes through a link, the workspace has no room for it, something else than
    /// a regular file has the name, or a step failed.
    pub(crate) fn place_copy(&self, path: &str, mut from: File) -> Result<()> {
        let target = RelativePath::for_writing(path)?;
        let size = from.metadata().map_err(target.failed("read"))?.len();
        let (folders, name) = target.split()?;
        let parent = self.make_folders(&target, folders)?;
        let (mode, before) = replaced(&target, &parent, name)?;
        if !self.has_room(size, before)? {
            let quota = self.quota();
            return Err(target.refused(Refusal::NoRoom { quota }));
        }
        make_drafts(self.dir(), self.uid())
            .and_then(|drafts| {
                let draft = Draft::copy(drafts.as_fd(), &mut from, mode, self.uid())?;
                draft.place(parent.as_fd(), name)
            })
            .map_err(target.failed("write"))?;
        self.note_write(size, before);
        Ok(())
    }
}
