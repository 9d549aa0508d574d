//! Puts a workspace back.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fstat,
    futimens, readlinkat, renameat, statat, symlinkat,
};

use super::super::archive::open_file;
use super::super::descend::descend;
use super::super::remove;
use super::super::{WorkspaceDir, make_drafts};
use super::manifest::{Entry, Kept, Manifest, Stamp, copy, modified, rights};
use super::take::kind;
use super::{LEFT_ALONE, PutBack};
use crate::descriptor::{Draft, enter_dir, make_dir, names_in, open_dir};

/// Bytes that are compared at once.
const CHUNK: usize = 64 * 1024;

pub(super) fn put_back(
    folder: &Path,
    workspace: &WorkspaceDir,
    manifest: &Manifest,
) -> io::Result<PutBack> {
    let top = open_dir(workspace.dir(), ".")?;
    let mut work = Work {
        folder,
        workspace,
        manifest,
        owner: fstat(&top)?.st_uid,
        aside: format!("undone-{}", manifest.name),
        right: BTreeSet::new(),
        done: PutBack::default(),
        top,
    };
    work.clear_away()?;
    work.make_again()?;
    work.set_rights()?;
    Ok(work.done)
}

struct Work<'a> {
    /// The snapshot's.
    folder: &'a Path,
    workspace: &'a WorkspaceDir,
    manifest: &'a Manifest,
    owner: u32,
    /// The folder, in `logs`, of what is in the way.
    aside: String,
    /// What is as it was.
    right: BTreeSet<&'a str>,
    done: PutBack,
    top: OwnedFd,
}

impl<'a> Work<'a> {
    /// Moves everything away that was not there or was something else.
    fn clear_away(&mut self) -> io::Result<()> {
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let folder = descend(&self.top, &path)?;
            for name in names_in(&folder.open)? {
                let text = name.to_str().unwrap_or_default();
                if path.as_os_str().is_empty() && LEFT_ALONE.contains(&text) {
                    continue;
                }
                let inner = path.join(text);
                let known = self
                    .manifest
                    .entries
                    .get_key_value(inner.to_str().unwrap_or_default());
                let Some((key, entry)) = known.filter(|_| !text.is_empty()) else {
                    self.move_away(&folder.open, &name, &path)?;
                    continue;
                };
                if !self.is_as_it_was(&folder.open, &name, entry)? {
                    self.move_away(&folder.open, &name, &path)?;
                    continue;
                }
                self.right.insert(key);
                if matches!(entry, Entry::Folder { .. }) {
                    pending.push(inner);
                }
            }
        }
        Ok(())
    }

    fn is_as_it_was(&self, folder: &OwnedFd, name: &CStr, entry: &Entry) -> io::Result<bool> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = kind(&stat, self.owner);
        Ok(match entry {
            // Its rights are set at the end.
            Entry::Folder { .. } => kind == FileType::Directory,
            Entry::Link { target } => {
                kind == FileType::Symlink
                    && readlinkat(folder, name, [])?.to_bytes() == target.as_bytes()
            }
            Entry::File(kept) => {
                kind == FileType::RegularFile && self.is_same(folder, name, (&stat, kept))?
            }
            // Nothing was copied, so it is left whatever it is now.
            Entry::Other => !matches!(
                kind,
                FileType::Directory | FileType::Symlink | FileType::RegularFile
            ),
        })
    }

    fn is_same(
        &self,
        folder: &OwnedFd,
        name: &CStr,
        (stat, kept): (&Stat, &Kept),
    ) -> io::Result<bool> {
        if kept.is_sure && Stamp::of(stat) == kept.stamp {
            return Ok(true);
        }
        if stat.st_size != kept.stamp.size || rights(stat) != kept.mode {
            return Ok(false);
        }
        let (now, _) = open_file(folder, name)?;
        let then = File::open(copy(self.folder, kept.copy))?;
        // A file that was written anew with the same content has another time: builds look at it.
        Ok(modified(stat) == kept.modified && have_the_same(now, then)?)
    }

    /// Moves an entry to `logs`, under its path.
    fn move_away(&mut self, folder: &OwnedFd, name: &CStr, path: &Path) -> io::Result<()> {
        let uid = self.workspace.uid();
        let (logs, _) = make_dir(&self.top, "logs", uid)?;
        let (mut to, _) = enter_dir(&logs, &self.aside, uid)?;
        for part in path.iter().filter_map(|part| part.to_str()) {
            (to, _) = enter_dir(&to, part, uid)?;
        }
        // Moved away before a crash and made anew: both are kept.
        let mut free = name.to_owned();
        let mut number = 1;
        while statat(&to, &free, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            number += 1;
            let mut text = name.to_bytes().to_vec();
            text.extend_from_slice(format!(".{number}").as_bytes());
            free = std::ffi::CString::new(text)?;
        }
        unlock(folder)?;
        // Only who may write to a folder can move it.
        remove::unlock(folder.as_fd(), name)?;
        renameat(folder, name, &to, &free)?;
        self.done.moved += 1;
        self.done.moved_to = Some(format!("logs/{}", self.aside));
        Ok(())
    }

    /// Makes everything that is missing. The paths are in their order: a folder before what is in it.
    fn make_again(&mut self) -> io::Result<()> {
        let drafts = make_drafts(self.workspace.dir(), self.workspace.uid())?;
        let manifest = self.manifest;
        for (path, entry) in &manifest.entries {
            if self.right.contains(path.as_str()) || matches!(entry, Entry::Other) {
                continue;
            }
            let path = Path::new(path);
            let parent = descend(&self.top, path.parent().unwrap_or_else(|| Path::new("")))?;
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            unlock(&parent.open)?;
            self.make(&drafts, &parent.open, (name, entry))?;
            self.done.restored += 1;
        }
        Ok(())
    }

    fn make(
        &self,
        drafts: &OwnedFd,
        parent: &OwnedFd,
        (name, entry): (&str, &Entry),
    ) -> io::Result<()> {
        let uid = self.workspace.uid();
        match entry {
            Entry::Folder { .. } => enter_dir(parent, name, uid).map(|_| ()),
            Entry::Link { target } => {
                symlinkat(target, parent, name)?;
                let Some(uid) = uid else {
                    return Ok(());
                };
                let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
                Ok(chownat(
                    parent,
                    name,
                    user,
                    group,
                    AtFlags::SYMLINK_NOFOLLOW,
                )?)
            }
            Entry::File(kept) => {
                let mut from = File::open(copy(self.folder, kept.copy))?;
                let mode = Mode::from_raw_mode(kept.mode);
                let draft = Draft::copy(drafts.as_fd(), &mut from, mode, uid)?;
                futimens(draft.file(), &times(kept.modified))?;
                draft.place_unsynced(parent.as_fd(), name)
            }
            Entry::Other => Ok(()),
        }
    }

    /// Sets the rights of all folders, those deepest first.
    fn set_rights(&self) -> io::Result<()> {
        for (path, entry) in self.manifest.entries.iter().rev() {
            let Entry::Folder { mode } = entry else {
                continue;
            };
            let folder = descend(&self.top, Path::new(path))?;
            let open = folder.open.try_clone()?;
            // It may be closed again with this.
            drop(folder);
            if rights(&fstat(&open)?) != *mode {
                fchmod(&open, Mode::from_raw_mode(*mode))?;
            }
        }
        Ok(())
    }
}

/// Makes sure that entries of a folder can be moved; its rights are set at the end.
fn unlock(folder: &OwnedFd) -> io::Result<()> {
    if !Mode::from_raw_mode(fstat(folder)?.st_mode).contains(Mode::RWXU) {
        fchmod(folder, Mode::RWXU)?;
    }
    Ok(())
}

fn times((seconds, nanoseconds): (i64, i64)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Whether two files have the same content.
fn have_the_same(one: File, other: File) -> io::Result<bool> {
    let (mut one, mut other) = (io::BufReader::new(one), io::BufReader::new(other));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        let most = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        one.by_ref().take(most).read_to_end(&mut left)?;
        other.by_ref().take(most).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
