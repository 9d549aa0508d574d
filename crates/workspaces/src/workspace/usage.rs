//! How much of the disk a workspace takes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, fstat, fstatvfs, statat};
use serde::{Deserialize, Serialize};

use super::descend::{Folder, descend, is_in, step};
use crate::descriptor::names_in;

/// Bytes of a block, as the system counts what a file takes.
const BLOCK: u64 = 512;

/// Room on the disk and number of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes on the disk, by whole blocks: a file with holes takes what is written of it.
    pub bytes: u64,
    /// Files, folders and links; a file with several names is one.
    pub files: u64,
}

impl Usage {
    /// Whether either is more than here.
    #[must_use]
    pub const fn is_over(self, limit: Self) -> bool {
        self.bytes > limit.bytes || self.files > limit.files
    }

    /// The larger of each.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            files: self.files.max(other.files),
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }
}

/// What is free where a folder is.
pub(crate) fn free(folder: impl AsFd) -> io::Result<Usage> {
    let found = fstatvfs(folder)?;
    Ok(Usage {
        bytes: found.f_bfree.saturating_mul(found.f_frsize),
        files: found.f_ffree,
    })
}

/// A look at everything in a workspace that can be taken in parts. What is mounted in it, and what
/// vanishes meanwhile, is not counted.
pub(crate) struct Walk {
    top: OwnedFd,
    device: u64,
    pending: Vec<PathBuf>,
    last: Option<(PathBuf, Folder)>,
    /// Files with several names that were counted.
    known: HashSet<u64>,
    found: Usage,
}

impl Walk {
    pub(crate) fn new(top: &OwnedFd) -> io::Result<Self> {
        let stat = fstat(top)?;
        let mut walk = Self {
            top: top.try_clone()?,
            device: stat.st_dev,
            pending: vec![PathBuf::new()],
            last: None,
            known: HashSet::new(),
            found: Usage::default(),
        };
        walk.count(stat.st_blocks);
        Ok(walk)
    }

    /// Everything at once.
    pub(crate) fn whole(top: &OwnedFd) -> io::Result<Usage> {
        let mut walk = Self::new(top)?;
        while !walk.go_on(u64::MAX)? {}
        Ok(walk.found)
    }

    /// Looks at whole folders until at least so many entries were seen; says whether that was all.
    pub(crate) fn go_on(&mut self, entries: u64) -> io::Result<bool> {
        let enough = self.found.files.saturating_add(entries);
        while self.found.files < enough {
            let Some(path) = self.pending.pop() else {
                return Ok(true);
            };
            match self.enter(&path) {
                Ok(folder) => {
                    self.folder(&folder, &path)?;
                    self.last = Some((path, folder));
                }
                // Gone, closed or something else by now.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.pending.is_empty())
    }

    /// What was found so far.
    pub(crate) const fn found(&self) -> Usage {
        self.found
    }

    fn enter(&self, path: &Path) -> io::Result<Folder> {
        match &self.last {
            Some((above, folder)) if is_in(path, above) => step(folder, path),
            Some(_) | None => descend(&self.top, path),
        }
    }

    fn folder(&mut self, folder: &Folder, path: &Path) -> io::Result<()> {
        for name in names_in(&folder.open)? {
            let Ok(stat) = statat(&folder.open, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.st_dev != self.device {
                continue;
            }
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_folder {
                self.pending
                    .push(path.join(OsStr::from_bytes(name.to_bytes())));
            } else if stat.st_nlink > 1 && !self.known.insert(stat.st_ino) {
                continue;
            }
            self.count(stat.st_blocks);
        }
        Ok(())
    }

    fn count(&mut self, blocks: i64) {
        let blocks = u64::try_from(blocks).unwrap_or_default();
        self.found = self.found.plus(Usage {
            bytes: blocks.saturating_mul(BLOCK),
            files: 1,
        });
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    ) || error.raw_os_error() == Some(nix::libc::ELOOP)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn what_is_on_the_disk_is_counted_once_and_in_parts_as_at_once() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path();
        let empty = Walk::whole(&File::open(top).unwrap().into()).unwrap();
        assert_eq!(empty.files, 1);
        for folder in ["a", "a/b", "c"] {
            fs::create_dir(top.join(folder)).unwrap();
        }
        fs::write(top.join("a/b/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(top.join("a/b/file"), top.join("c/same")).unwrap();
        let holes = File::create(top.join("holes")).unwrap();
        holes.set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/", top.join("link")).unwrap();
        let open = OwnedFd::from(File::open(top).unwrap());
        let whole = Walk::whole(&open).unwrap();
        // The top, three folders, two files and a link.
        assert_eq!(whole.files, 7);
        assert!((100_000..10_000_000).contains(&whole.bytes), "{whole:?}");
        let mut parts = Walk::new(&open).unwrap();
        let mut steps = 1;
        while !parts.go_on(1).unwrap() {
            steps += 1;
        }
        assert_eq!(parts.found(), whole);
        assert!(steps > 1, "{steps}");
    }
}
