//! The results in one workspace, copied into another.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, chownat, fchmod, fstat, mkdirat, readlinkat, statat,
    symlinkat,
};
use rustix::io::Errno;

use super::archive::{DEPTH_LIMIT, open_file};
use super::descend::descend;
use super::{WorkspaceDir, make_drafts};
use crate::descriptor::{Draft, give, names_in, open_dir};
use crate::{Error, Result};

/// The folder with an agent's results.
const RESULTS: &str = "projects";

impl WorkspaceDir {
    /// Copies what is in the `projects` folder of another workspace into that of this one; it belongs to
    /// this one's agent then. Links are copied as links; a file that is there already is replaced, so
    /// that a copy that was cut off can be made again. Devices, pipes, sockets, files with several
    /// names that belong to somebody else, and names that are no UTF-8 are left out; gives how many.
    /// Nobody may be at work in either.
    ///
    /// # Errors
    /// A step failed, or folders lie too deep; what was copied until then stays.
    pub fn copy_results_of(&self, from: &Self) -> Result<u64> {
        self.copy(from)
            .map_err(Error::io("copy results into", self.path()))
    }

    fn copy(&self, from: &Self) -> io::Result<u64> {
        let source = open_dir(from.dir(), RESULTS)?;
        let target = open_dir(self.dir(), RESULTS)?;
        let copying = Copying {
            owner: fstat(&source)?.st_uid,
            drafts: make_drafts(self.dir(), self.uid())?,
            uid: self.uid(),
        };
        let mut left_out = 0;
        let mut pending = vec![(PathBuf::new(), 0)];
        while let Some((path, depth)) = pending.pop() {
            if depth > DEPTH_LIMIT {
                let what = format!("folders are more than {DEPTH_LIMIT} deep");
                return Err(io::Error::other(what));
            }
            let (from, to) = (descend(&source, &path)?, descend(&target, &path)?);
            for name in names_in(&from.open)? {
                match copying.entry(&from.open, &to.open, &name)? {
                    Copied::Folder => {
                        let inner = path.join(OsStr::from_bytes(name.to_bytes()));
                        pending.push((inner, depth + 1));
                    }
                    Copied::Whole => {}
                    Copied::LeftOut => left_out += 1,
                }
            }
        }
        Ok(left_out)
    }
}

/// What became of an entry.
enum Copied {
    Whole,
    /// It was made; what is in it comes next.
    Folder,
    LeftOut,
}

struct Copying {
    /// Whose files are copied when they have several names.
    owner: u32,
    drafts: OwnedFd,
    uid: Option<u32>,
}

impl Copying {
    fn entry(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<Copied> {
        let Ok(text) = name.to_str() else {
            return Ok(Copied::LeftOut);
        };
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder(to, name).map(|()| Copied::Folder),
            FileType::Symlink => {
                let target = readlinkat(from, name, [])?;
                self.link(&target, to, name).map(|()| Copied::Whole)
            }
            FileType::RegularFile if stat.st_nlink > 1 && stat.st_uid != self.owner => {
                Ok(Copied::LeftOut)
            }
            FileType::RegularFile => {
                let (mut file, stat) = open_file(from, name)?;
                let mode =
                    Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
                let draft = Draft::copy(self.drafts.as_fd(), &mut file, mode, self.uid)?;
                draft.place_unsynced(to.as_fd(), text)?;
                Ok(Copied::Whole)
            }
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Ok(Copied::LeftOut),
        }
    }

    fn folder(&self, to: &OwnedFd, name: &CStr) -> io::Result<()> {
        match mkdirat(to, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let made = open_dir(to, name)?;
        fchmod(&made, Mode::RWXU)?;
        give(&made, self.uid)
    }

    fn link(&self, target: &CStr, to: &OwnedFd, name: &CStr) -> io::Result<()> {
        match symlinkat(target, to, name) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let Some(uid) = self.uid else {
            return Ok(());
        };
        let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
        Ok(chownat(to, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
