//! What a workspace was like before a command, so that one whose outcome a crash took can be undone.
//!
//! A snapshot is a manifest and a copy of each file, in a folder of this program that no agent reaches.
//! The next one copies only what changed since; the manifest is replaced last and in one step, so there
//! is always a whole snapshot or none.

pub(crate) mod depot;
mod manifest;
mod put_back;
pub(crate) mod shared;
mod take;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use self::manifest::Manifest;
use super::{Usage, WorkspaceDir};
use crate::{Error, Result};

/// The most that a snapshot may hold.
pub(crate) const LIMIT: Usage = Usage {
    bytes: 32 * 1024 * 1024,
    files: 4_000,
};

/// What is left as it is, at the top of a workspace: homes, temporary files and outputs of commands.
const LEFT_ALONE: [&str; 2] = [".agent", "logs"];

/// The snapshot of one workspace. Every method blocks.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    limit: Usage,
    known: Mutex<Option<Manifest>>,
}

/// What came of taking a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is there; it has so much.
    Whole(Usage),
    /// There is none, and why.
    Left(String),
}

/// What was done to put a workspace back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// Files, links and folders that were made again.
    pub restored: u64,
    /// Files, links and folders that were moved away.
    pub moved: u64,
    /// Where they are, from the workspace's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
}

impl Snapshot {
    /// That of the workspace of this name, in a folder of snapshots; nothing is made yet. `bytes` is
    /// the most that it may hold, 32 MiB without it.
    #[must_use]
    pub fn new(root: &Path, dir_name: &str, bytes: Option<u64>) -> Self {
        Self {
            folder: root.join(dir_name),
            limit: Usage {
                bytes: bytes.unwrap_or(LIMIT.bytes),
                files: LIMIT.files,
            },
            known: Mutex::new(None),
        }
    }

    /// Takes a snapshot under a name, in place of the one before. Nobody may be at work in the
    /// workspace.
    ///
    /// # Errors
    /// Something can't be read or written. There may be no snapshot then.
    pub fn take(&self, workspace: &WorkspaceDir, name: &str) -> Result<Taken> {
        let mut known = self.known();
        let taken = take::take(&self.folder, workspace, (name, self.limit), known.take());
        let taken = taken.map_err(Error::io("take a snapshot of", workspace.path()))?;
        match taken {
            take::Outcome::Whole(manifest) => {
                let usage = manifest.usage();
                *known = Some(manifest);
                Ok(Taken::Whole(usage))
            }
            take::Outcome::Left(why) => Ok(Taken::Left(why)),
        }
    }

    /// Makes the workspace what it was when the snapshot of this name was taken, but for `.agent` and
    /// `logs`. What is in the way is moved to a folder in `logs`: nothing is deleted. `None` when there
    /// is no such snapshot, or when the machine started anew since. Cut off, it can be done again.
    ///
    /// # Errors
    /// Something can't be read, moved or made; the workspace may be half put back then.
    pub fn put_back(&self, workspace: &WorkspaceDir, name: &str) -> Result<Option<PutBack>> {
        let failed = || Error::io("put back what was in", workspace.path());
        let manifest = manifest::read(&self.folder, name).map_err(failed())?;
        let Some(manifest) = manifest else {
            return Ok(None);
        };
        put_back::put_back(&self.folder, workspace, &manifest)
            .map(Some)
            .map_err(failed())
    }

    /// Removes it; it is no fault when there is none.
    ///
    /// # Errors
    /// Something of it can't be removed.
    pub fn discard(&self) -> Result<()> {
        *self.known() = None;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove the snapshot", &self.folder)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Manifest>> {
        // Each change is one assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
