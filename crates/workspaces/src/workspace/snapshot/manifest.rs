//! What a snapshot holds, and how it is told whether something changed since.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use crate::Usage;
use crate::descriptor::Draft;

/// The file that is replaced last.
const NAME: &str = "manifest.json";

/// Changes with each start of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Rights of files and folders, in a mode.
const RIGHTS: u32 = 0o777;

/// Everything that was in a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// What it was taken for.
    pub(super) name: String,
    /// The start of the machine: what was written before another one may not be on the disk.
    pub(super) boot: String,
    /// The number of the next copy.
    pub(super) next: u64,
    /// By the path from the workspace's root.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// A file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    Folder {
        mode: u32,
    },
    Link {
        target: String,
    },
    File(Kept),
    /// What can't be copied: a device, a pipe, a socket, a file with several names of somebody else.
    Other,
}

/// A file whose content was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) mode: u32,
    /// When its content changed last: seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    pub(super) stamp: Stamp,
    /// Whether the stamp changes with the next write: not when the clock stood still since the last.
    pub(super) is_sure: bool,
    /// The number of its copy.
    pub(super) copy: u64,
}

/// What changes with every write to a file, and what its user can't set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) file: u64,
    pub(super) size: i64,
    pub(super) changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            file: stat.st_ino,
            size: stat.st_size,
            changed: changed(stat),
        }
    }
}

/// When anything of a file changed last.
pub(super) fn changed(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime, nanoseconds(stat.st_ctime_nsec))
}

/// When its content did.
pub(super) fn modified(stat: &Stat) -> (i64, i64) {
    (stat.st_mtime, nanoseconds(stat.st_mtime_nsec))
}

fn nanoseconds(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or_default()
}

pub(super) const fn rights(stat: &Stat) -> u32 {
    stat.st_mode & RIGHTS
}

impl Manifest {
    pub(super) fn usage(&self) -> Usage {
        self.entries.values().fold(Usage::default(), |sum, entry| {
            let bytes = match entry {
                Entry::File(kept) => u64::try_from(kept.stamp.size).unwrap_or_default(),
                Entry::Folder { .. } | Entry::Link { .. } | Entry::Other => 0,
            };
            sum.plus(Usage { bytes, files: 1 })
        })
    }

    /// The copies that it needs, with their sizes.
    pub(super) fn copies(&self) -> impl Iterator<Item = (u64, i64)> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::File(kept) => Some((kept.copy, kept.stamp.size)),
            Entry::Folder { .. } | Entry::Link { .. } | Entry::Other => None,
        })
    }

    /// Puts it in the place of the one before.
    pub(super) fn place(&self, draft: Draft<'_>, folder: &File) -> io::Result<()> {
        let mut file = io::BufWriter::new(draft.file());
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        drop(file);
        draft.place_unsynced(folder.as_fd(), NAME)
    }
}

/// Where a copy is.
pub(super) fn copy(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

/// The start of the machine.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT)?.trim().to_owned())
}

/// The manifest in a folder, of any name.
pub(super) fn read_any(folder: &Path) -> io::Result<Option<Manifest>> {
    let bytes = match fs::read(folder.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let read: Option<Manifest> = serde_json::from_slice(&bytes).ok();
    let boot = boot()?;
    Ok(read.filter(|manifest| manifest.boot == boot))
}

/// The manifest of this name, if it and all its copies are there.
pub(super) fn read(folder: &Path, name: &str) -> io::Result<Option<Manifest>> {
    let found = read_any(folder)?.filter(|manifest| manifest.name == name);
    let Some(manifest) = found else {
        return Ok(None);
    };
    for (number, size) in manifest.copies() {
        let is_whole = match fs::symlink_metadata(copy(folder, number)) {
            Ok(found) => i64::try_from(found.len()) == Ok(size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_whole {
            return Ok(None);
        }
    }
    Ok(Some(manifest))
}

/// Removes everything in a folder that a manifest does not need.
pub(super) fn tidy(folder: &Path, manifest: Option<&Manifest>) -> io::Result<()> {
    let needed: std::collections::BTreeSet<u64> = manifest
        .map(|manifest| manifest.copies().map(|(number, _)| number).collect())
        .unwrap_or_default();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        let is_needed = match name.parse() {
            Ok(number) => needed.contains(&number),
            Err(_) => manifest.is_some() && name == NAME,
        };
        if !is_needed {
            fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}
