//! The file that tells commands which server owns a data directory.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind, ServerReady};

use crate::data_dir::DataDir;

/// An announcement that is there until this is dropped. After a crash it stays; it counts only while
/// its process owns the directory.
#[derive(Debug)]
pub(crate) struct Announcement {
    file: PathBuf,
}

impl Announcement {
    /// Writes it for all who may read the directory's secrets: the user alone.
    pub(super) fn write(data_dir: &DataDir, server: &ServerReady) -> Result<Self, Problem> {
        let file = data_dir.announcement();
        let text = serde_json::to_vec(server).unwrap_or_default();
        write_whole(&file, &text).map_err(|error| unwritable(&file, &error))?;
        Ok(Self { file })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::warn!(%error, "the announcement of the server stays behind");
        }
    }
}

/// Writes a file that only the user can read: whole, or not at all.
pub(super) fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_as(file, bytes, 0o600)
}

/// The same with other rights.
pub(crate) fn write_whole_as(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    // With a name that nobody can have put there before.
    let mut fresh = tempfile::Builder::new()
        .suffix(".new")
        .tempfile_in(folder)?;
    fresh.write_all(bytes)?;
    // Whatever the umask says.
    let rights = Permissions::from_mode(mode);
    fresh.as_file().set_permissions(rights)?;
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    Ok(())
}

pub(super) fn unwritable(file: &Path, error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("can't write {}: {error}", file.display()),
    )
}
