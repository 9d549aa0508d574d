//! What people, and programs for them, see of a workspace: nothing through a link, and nothing that by
//! its name holds keys.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::guard::RelativePath;
use super::{EntryKind, FileEntry, FileText, LIST_LIMIT, Refusal, text_of, walk};
use crate::descriptor::open_dir;
use crate::workspace::archive::Exactly;
use crate::{Error, Result, WorkspaceDir};

/// The most bytes that one pack takes.
pub const PACK_LIMIT: u64 = 1024 * 1024 * 1024;

/// Files and folders that hold keys, wherever they are, in lower case; `.env.production` counts as `.env`.
pub(crate) const SECRET: [&str; 14] = [
    ".env",
    ".git",
    ".git-credentials",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".ssh",
    ".aws",
    ".gnupg",
    ".kube",
    "id_rsa",
    "id_ecdsa",
    "id_ed25519",
];

/// The folder at the top that is the engine's.
const PRIVATE: &str = ".agent";

/// Files of a workspace that are to be packed.
#[derive(Debug, Clone)]
pub struct Pack {
    dir: WorkspaceDir,
    entries: Vec<FileEntry>,
}

/// What came into a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Files and folders.
    pub entries: u64,
    /// Links, files with several names, and what vanished or can't be read: they are not in it.
    pub left_out: u64,
}

impl WorkspaceDir {
    /// What is below a folder (`.` is the workspace), sorted by path, at most `limit` and at most
    /// [`LIST_LIMIT`] entries, and whether there is more.
    ///
    /// # Errors
    /// The path is refused, goes through a link, may hold keys, or is no folder.
    pub fn show_tree(&self, path: &str, limit: usize) -> Result<(Vec<FileEntry>, bool)> {
        let start = RelativePath::for_showing(path)?;
        let folder = self.folder_of(&start, start.parts())?;
        let root = Dir::from_std_file(folder.into());
        let limit = limit.min(LIST_LIMIT);
        let (mut entries, mut more) = (Vec::new(), false);
        walk::walk(&root, ".", &mut |mut entry| {
            if start.as_str() != "." {
                entry.path = format!("{}/{}", start.as_str(), entry.path);
            }
            if is_secret(&entry.path) {
                return ControlFlow::Continue(());
            }
            if entries.len() == limit {
                more = true;
                return ControlFlow::Break(());
            }
            entries.push(entry);
            ControlFlow::Continue(())
        })
        .map_err(start.failed("list"))?;
        entries.sort_by(|one: &FileEntry, other| one.path.cmp(&other.path));
        Ok((entries, more))
    }

    /// At most `limit` bytes ([`READ_LIMIT`](crate::READ_LIMIT) at the most) of a text file.
    ///
    /// # Errors
    /// The path is refused, goes through a link, may hold keys, or is no regular file with one name
    /// and UTF-8 content.
    pub fn show_file(&self, path: &str, limit: usize) -> Result<FileText> {
        let target = RelativePath::for_showing(path)?;
        text_of(self.shown_file(&target)?, &target, limit)
    }

    /// What is to be packed of a folder, or of one file. Nothing is read yet.
    ///
    /// # Errors
    /// The path is refused, goes through a link, may hold keys, or there is more than [`LIST_LIMIT`]
    /// entries or [`PACK_LIMIT`] bytes.
    pub fn to_pack(&self, path: &str) -> Result<Pack> {
        let target = RelativePath::for_showing(path)?;
        let entries = match self.show_tree(path, LIST_LIMIT) {
            Ok((_, true)) => return Err(Error::TooManyFiles { limit: LIST_LIMIT }),
            Ok((entries, false)) => entries,
            Err(Error::Refused {
                refusal: Refusal::NotAFolder { .. },
                ..
            }) => vec![self.shown_entry(&target)?],
            Err(error) => return Err(error),
        };
        let size = entries.iter().map(|entry| entry.size).sum::<u64>();
        if size > PACK_LIMIT {
            return Err(target.refused(Refusal::TooMuch { size }));
        }
        Ok(Pack {
            dir: self.clone(),
            entries,
        })
    }

    /// Opens a folder step by step, without following links.
    fn folder_of(&self, target: &RelativePath, folders: &[String]) -> Result<OwnedFd> {
        let mut folder = open_dir(self.dir(), ".").map_err(target.failed("read"))?;
        for name in folders {
            folder = match open_dir(&folder, name.as_str()) {
                Ok(inner) => inner,
                Err(error) => return Err(no_folder(target, &folder, name, error)),
            };
        }
        Ok(folder)
    }

    /// Opens a regular file with one name. What is checked is the open descriptor.
    fn shown_file(&self, target: &RelativePath) -> Result<File> {
        let (folders, name) = target.split()?;
        let folder = self.folder_of(target, folders)?;
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Err(target.refused(Refusal::Link)),
            Err(error) => return Err(target.failed("read")(error.into())),
        };
        let metadata = file.metadata().map_err(target.failed("read"))?;
        if !metadata.is_file() {
            let kind = EntryKind::of(FileType::from_raw_mode(metadata.mode()));
            return Err(target.refused(Refusal::NotAFile { kind }));
        }
        if metadata.nlink() > 1 {
            return Err(target.refused(Refusal::HardLinked));
        }
        Ok(file)
    }

    fn shown_entry(&self, target: &RelativePath) -> Result<FileEntry> {
        let file = self.shown_file(target)?;
        let size = file.metadata().map_err(target.failed("read"))?.len();
        Ok(FileEntry {
            path: target.as_str().to_owned(),
            kind: EntryKind::File,
            size,
        })
    }
}

impl Pack {
    /// Writes a tar file: paths from the top of the workspace, plain rights, no owners.
    ///
    /// # Errors
    /// What is written to refuses, a file became shorter meanwhile, or all together became longer than
    /// [`PACK_LIMIT`]: what was written is no whole file.
    pub fn write(&self, to: impl Write) -> io::Result<Packed> {
        let mut tar = Builder::new(to);
        let mut packed = Packed {
            entries: 0,
            left_out: 0,
        };
        let mut room = PACK_LIMIT;
        for entry in &self.entries {
            let is_in = match entry.kind {
                EntryKind::Directory => {
                    let mut header = header(EntryType::Directory, 0, 0o755);
                    tar.append_data(&mut header, &entry.path, io::empty())?;
                    true
                }
                EntryKind::File => self.append(&mut tar, &entry.path, &mut room)?,
                EntryKind::Link | EntryKind::Other => false,
            };
            *(if is_in {
                &mut packed.entries
            } else {
                &mut packed.left_out
            }) += 1;
        }
        tar.into_inner()?.flush()?;
        Ok(packed)
    }

    /// Says whether the file is in it.
    fn append(
        &self,
        tar: &mut Builder<impl Write>,
        path: &str,
        room: &mut u64,
    ) -> io::Result<bool> {
        let file = RelativePath::for_showing(path).and_then(|it| self.dir.shown_file(&it));
        let Ok(file) = file else { return Ok(false) };
        let metadata = file.metadata()?;
        let size = metadata.len();
        *room = room
            .checked_sub(size)
            .ok_or_else(|| io::Error::other("the files became longer than one pack may be"))?;
        let mode = if metadata.mode() & 0o100 == 0 {
            0o644
        } else {
            0o755
        };
        let mut header = header(EntryType::Regular, size, mode);
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
        tar.append_data(&mut header, path, Exactly { file, left: size })?;
        Ok(true)
    }
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    // Empty fields are no numbers to some readers.
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// Why a part of a path could not be entered.
fn no_folder(target: &RelativePath, parent: &OwnedFd, name: &str, error: io::Error) -> Error {
    let kind = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| EntryKind::of(FileType::from_raw_mode(stat.st_mode)));
    match kind {
        Ok(EntryKind::Link) => target.refused(Refusal::Link),
        Ok(kind @ (EntryKind::File | EntryKind::Other)) => target.refused(Refusal::NotAFolder {
            folder: name.to_owned(),
            kind,
        }),
        Ok(EntryKind::Directory) | Err(_) => target.failed("read")(error),
    }
}

/// Whether a path is not shown.
pub(super) fn is_secret(path: &str) -> bool {
    let mut parts = path.split('/');
    let is_private = parts
        .clone()
        .next()
        .is_some_and(|top| top.eq_ignore_ascii_case(PRIVATE));
    is_private
        || parts.any(|part| {
            let part = part.to_ascii_lowercase();
            SECRET.contains(&part.as_str()) || part.starts_with(".env.")
        })
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn what_holds_keys_by_its_name_is_secret_wherever_it_is() {
        for path in [
            ".env",
            ".ENV",
            "projects/site/.env.local",
            ".agent",
            ".agent/home/x",
            "projects/.git/config",
            "a/.ssh/known_hosts",
            "a/id_rsa",
        ] {
            assert!(is_secret(path), "{path}");
        }
        for path in [
            ".",
            "projects/.agent/x",
            "projects/env",
            "a.env",
            ".environment",
            ".gitignore",
            "logs/1.log",
        ] {
            assert!(!is_secret(path), "{path}");
        }
    }
}
