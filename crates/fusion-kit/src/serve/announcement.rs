//! The file that tells commands which server owns a data directory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind, ServerReady};

use crate::data_dir::DataDir;

/// An announcement that is there until it is withdrawn. After a crash it stays; it counts only while
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

    pub(super) fn withdraw(self) {
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
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&fresh).and_then(|mut open| {
        open.write_all(bytes)?;
        // Whatever the umask says.
        open.set_permissions(Permissions::from_mode(mode))?;
        open.sync_all()
    });
    written
        .and_then(|()| fs::rename(&fresh, file))
        .inspect_err(|_| {
            fs::remove_file(&fresh).ok();
        })
}

pub(super) fn unwritable(file: &Path, error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("can't write {}: {error}", file.display()),
    )
}
