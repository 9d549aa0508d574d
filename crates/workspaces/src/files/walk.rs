//! Goes through the files of a workspace.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, FileType, OFlags, statat};

use crate::descriptor::names_in;

/// What a name in a workspace stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link, wherever it leads.
    Link,
    /// A pipe, socket or device, or a name that is not UTF-8: not for the file tools.
    Other,
}

impl EntryKind {
    pub(super) fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Self::Other,
        }
    }

    /// The kind in a few words, with its article.
    pub(super) const fn described(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a folder",
            Self::Link => "a symbolic link",
            Self::Other => "a pipe, socket or device",
        }
    }
}

/// One name in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// From the workspace's root, with `/` between the parts.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a regular file, else 0.
    pub size: u64,
}

/// Shows every entry below `start` to `visit` until it breaks: a folder's entries sorted by
/// name, then what is in its folders. Folders that vanish or can't be opened on the way are
/// passed over; only `start` must be a folder.
pub(super) fn walk(
    root: &Dir,
    start: &str,
    visit: &mut dyn FnMut(FileEntry) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut entries = entries_of(root, start)?;
    let mut pending = Vec::new();
    loop {
        let folders = entries
            .iter()
            .rev()
            .filter(|entry| entry.kind == EntryKind::Directory && !is_private(&entry.path));
        pending.extend(folders.map(|entry| entry.path.clone()));
        for entry in entries {
            if visit(entry).is_break() {
                return Ok(());
            }
        }
        entries = match pending.pop() {
            Some(folder) => entries_of(root, &folder).unwrap_or_default(),
            None => return Ok(()),
        };
    }
}

fn is_private(path: &str) -> bool {
    path == ".agent" || path == ".git" || path.ends_with("/.git")
}

/// What is directly in a folder, sorted by name.
fn entries_of(root: &Dir, folder: &str) -> io::Result<Vec<FileEntry>> {
    let flags = i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let dir: File = root.open_with(folder, &options)?.into_std();
    let mut entries = Vec::new();
    for name in names_in(&dir)? {
        // Gone since it was read.
        let Ok(stat) = statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let kind = match name.to_str() {
            Ok(_) => EntryKind::of(FileType::from_raw_mode(stat.st_mode)),
            Err(_) => EntryKind::Other,
        };
        let name = name.to_string_lossy();
        entries.push(FileEntry {
            path: if folder == "." {
                name.into_owned()
            } else {
                format!("{folder}/{name}")
            },
            kind,
            size: match kind {
                EntryKind::File => u64::try_from(stat.st_size).unwrap_or_default(),
                EntryKind::Directory | EntryKind::Link | EntryKind::Other => 0,
            },
        });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}
