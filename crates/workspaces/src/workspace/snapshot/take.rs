//! Takes a snapshot.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;

use super::super::archive::{DEPTH_LIMIT, open_file};
use super::super::descend::{Folder, descend, is_in, step};
use super::manifest::{Entry, Kept, Manifest, Stamp, boot, changed, copy, modified, rights, tidy};
use super::{LEFT_ALONE, manifest};
use crate::descriptor::{Draft, names_in, open_dir};
use crate::{Usage, WorkspaceDir};

pub(super) enum Outcome {
    Whole(Manifest),
    Left(String),
}

/// Why the walk ended early.
enum Stop {
    Why(String),
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Failed(error.into())
    }
}

/// Takes a snapshot under a name; `before` is the last one, if this process took it.
pub(super) fn take(
    folder: &Path,
    workspace: &WorkspaceDir,
    (name, limit): (&str, Usage),
    before: Option<Manifest>,
) -> io::Result<Outcome> {
    let before = match before {
        Some(before) => before,
        None => first(folder)?,
    };
    let open = File::open(folder)?;
    // Its time is the file system's own at the beginning.
    let draft = Draft::create(open.as_fd())?;
    let mut taking = Taking {
        folder: &open,
        owner: fstat(workspace.dir())?.st_uid,
        begun: changed(&fstat(draft.file())?),
        new: Manifest {
            name: name.to_owned(),
            boot: boot()?,
            next: before.next,
            ..Manifest::default()
        },
        before,
        usage: Usage::default(),
        limit,
    };
    match taking.everything(&open_dir(workspace.dir(), ".")?) {
        Ok(()) => {}
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Why(why)) => {
            drop(draft);
            // The one before is of no use any more.
            fs::remove_dir_all(folder)?;
            return Ok(Outcome::Left(why));
        }
    }
    let Taking { new, before, .. } = taking;
    new.place(draft, &open)?;
    let needed: BTreeSet<u64> = new.copies().map(|(number, _)| number).collect();
    for (number, _) in before.copies() {
        if !needed.contains(&number) {
            fs::remove_file(copy(folder, number))?;
        }
    }
    Ok(Outcome::Whole(new))
}

/// What an earlier process left, without what nothing needs.
fn first(folder: &Path) -> io::Result<Manifest> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let found = manifest::read_any(folder)?;
    tidy(folder, found.as_ref())?;
    Ok(found.unwrap_or_default())
}

struct Taking<'a> {
    /// Where copies go.
    folder: &'a File,
    /// Whose files are copied when they have several names.
    owner: u32,
    begun: (i64, i64),
    before: Manifest,
    new: Manifest,
    usage: Usage,
    limit: Usage,
}

impl Taking<'_> {
    /// One folder is open at a time.
    fn everything(&mut self, top: &OwnedFd) -> Result<(), Stop> {
        let mut pending = vec![(PathBuf::new(), 0)];
        let mut last: Option<(PathBuf, Folder)> = None;
        while let Some((path, depth)) = pending.pop() {
            if depth > DEPTH_LIMIT {
                return Err(Stop::Why(format!(
                    "folders are more than {DEPTH_LIMIT} deep"
                )));
            }
            let folder = match &last {
                Some((above, folder)) if is_in(&path, above) => step(folder, &path)?,
                Some(_) | None => descend(top, &path)?,
            };
            for name in names_in(&folder.open)? {
                let text = name
                    .to_str()
                    .map_err(|_| Stop::Why("the name of a file is not UTF-8".to_owned()))?;
                if depth == 0 && LEFT_ALONE.contains(&text) {
                    continue;
                }
                let inner = path.join(text);
                if self.entry(&folder.open, &name, &inner)? {
                    pending.push((inner, depth + 1));
                }
            }
            last = Some((path, folder));
        }
        Ok(())
    }

    /// Takes one entry; says whether it is a folder.
    fn entry(&mut self, folder: &OwnedFd, name: &CStr, path: &Path) -> Result<bool, Stop> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let key = path.display().to_string();
        let entry = match kind(&stat, self.owner) {
            FileType::Directory => Entry::Folder {
                mode: rights(&stat),
            },
            FileType::Symlink => Entry::Link {
                target: readlinkat(folder, name, [])?
                    .into_string()
                    .map_err(|_| Stop::Why("the target of a link is not UTF-8".to_owned()))?,
            },
            FileType::RegularFile => Entry::File(self.file(folder, name, (&key, &stat))?),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Entry::Other,
        };
        let is_folder = matches!(entry, Entry::Folder { .. });
        self.count(Usage { bytes: 0, files: 1 })?;
        self.new.entries.insert(key, entry);
        Ok(is_folder)
    }

    /// Copies a file, unless the snapshot before has it as it is.
    fn file(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        (path, stat): (&str, &Stat),
    ) -> Result<Kept, Stop> {
        let bytes = u64::try_from(stat.st_size).unwrap_or_default();
        self.count(Usage { bytes, files: 0 })?;
        if let Some(Entry::File(kept)) = self.before.entries.get(path)
            && kept.is_sure
            && kept.stamp == Stamp::of(stat)
        {
            return Ok(kept.clone());
        }
        let (mut file, _) = open_file(folder, name)?;
        let number = self.new.next;
        self.new.next += 1;
        let copied = Draft::copy(
            self.folder.as_fd(),
            &mut file,
            Mode::RUSR | Mode::WUSR,
            None,
        )?;
        copied.place_unsynced(self.folder.as_fd(), &number.to_string())?;
        // Opening it may have changed its rights for a moment.
        let now = fstat(&file)?;
        Ok(Kept {
            mode: rights(&now),
            modified: modified(&now),
            stamp: Stamp::of(&now),
            is_sure: changed(&now) < self.begun,
            copy: number,
        })
    }

    fn count(&mut self, more: Usage) -> Result<(), Stop> {
        self.usage = self.usage.plus(more);
        if !self.usage.is_over(self.limit) {
            return Ok(());
        }
        let Usage { bytes, files } = self.limit;
        Err(Stop::Why(format!(
            "the workspace has more than {} MiB or {files} files",
            bytes >> 20
        )))
    }
}

/// What an entry is, as far as it can be copied.
pub(super) fn kind(stat: &Stat, owner: u32) -> FileType {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let is_file = kind == FileType::RegularFile;
    if is_file && stat.st_nlink > 1 && stat.st_uid != owner {
        FileType::Unknown
    } else {
        kind
    }
}
