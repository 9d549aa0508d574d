//! Fills a new workspace with a copy of a folder.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, openat, readlinkat, symlinkat,
};
use rustix::io::Errno;

use super::Refusal;
use super::guard::RelativePath;
use crate::descriptor::{Draft, names_in, open_dir};
use crate::workspace::make_drafts;
use crate::{Error, Result, WorkspaceDir};

/// How deep folders in folders are copied.
const DEPTH: usize = 100;

/// A folder of the template that is still to be copied.
struct Pending {
    open: OwnedFd,
    /// Its names, from the workspace's root.
    place: Vec<String>,
}

impl WorkspaceDir {
    /// Copies everything that is in a folder into `projects/`: files with their rights to be run,
    /// folders, and links as links, which are never followed. Files that are there are replaced.
    ///
    /// # Errors
    /// It is no folder, something in it is neither file, folder nor link or can't be read, a name
    /// in it is not UTF-8, folders are too deep, or the workspace has no room for all.
    pub fn plant(&self, template: &Path) -> Result<()> {
        let failed = Error::io("use as a template", template);
        let open = File::open(template).and_then(|folder| open_dir(folder, "."));
        let open = open.map_err(failed)?;
        let place = vec!["projects".to_owned()];
        let mut pending = VecDeque::from([Pending { open, place }]);
        while let Some(folder) = pending.pop_front() {
            let failed = || Error::io("copy the template", template);
            for name in names_in(&folder.open).map_err(failed())? {
                let name = name
                    .to_str()
                    .map_err(|_| strange(template, "a name in it is not UTF-8"))?;
                let mut place = folder.place.clone();
                place.push(name.to_owned());
                if place.len() > DEPTH {
                    return Err(strange(template, "folders in it are too deep"));
                }
                pending.extend(self.plant_one(&folder, name, place, template)?);
            }
        }
        Ok(())
    }

    /// Copies one entry; gives it back when it is a folder.
    fn plant_one(
        &self,
        folder: &Pending,
        name: &str,
        place: Vec<String>,
        template: &Path,
    ) -> Result<Option<Pending>> {
        let failed = || Error::io("copy the template", template.join(name));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = match openat(&folder.open, name, flags, Mode::empty()) {
            // A link.
            Err(Errno::LOOP) => {
                self.plant_link(folder, name, &place).map_err(failed())?;
                return Ok(None);
            }
            open => open.map_err(std::io::Error::from).map_err(failed())?,
        };
        let stat = fstat(&open)
            .map_err(std::io::Error::from)
            .map_err(failed())?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                self.make_folders(&RelativePath::parse(&place.join("/"))?, &place)?;
                Ok(Some(Pending { open, place }))
            }
            FileType::RegularFile => self.plant_file(open.into(), &stat, &place).map(|()| None),
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(strange(
                &template.join(name),
                "it is no file, folder or link",
            )),
        }
    }

    fn plant_file(&self, mut file: File, stat: &Stat, place: &[String]) -> Result<()> {
        let target = RelativePath::parse(&place.join("/"))?;
        let (folders, name) = target.split()?;
        let parent = self.make_folders(&target, folders)?;
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if !self.has_room(size, None)? {
            let quota = self.quota();
            return Err(target.refused(Refusal::NoRoom { quota }));
        }
        let runs = Mode::from_raw_mode(stat.st_mode) & Mode::XUSR;
        let mode = Mode::RUSR | Mode::WUSR | runs;
        make_drafts(self.dir(), self.uid())
            .and_then(|drafts| {
                let draft = Draft::copy(drafts.as_fd(), &mut file, mode, self.uid())?;
                draft.place_unsynced(parent.as_fd(), name)
            })
            .map_err(target.failed("write"))?;
        self.note_write(size, None);
        Ok(())
    }

    fn plant_link(&self, folder: &Pending, name: &str, place: &[String]) -> std::io::Result<()> {
        let target = readlinkat(&folder.open, name, [])?;
        let mut parent = open_dir(self.dir(), ".")?;
        for part in place.iter().take(place.len().saturating_sub(1)) {
            parent = open_dir(&parent, part.as_str())?;
        }
        match symlinkat(target, &parent, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(uid) = self.uid() {
            let (owner, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            chownat(
                &parent,
                name,
                Some(owner),
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
        }
        Ok(())
    }
}

fn strange(path: &Path, why: &str) -> Error {
    Error::io("copy the template", path)(std::io::Error::other(why.to_owned()))
}
