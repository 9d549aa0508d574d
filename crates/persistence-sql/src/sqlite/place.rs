//! Where a SQLite file may lie.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fusion_persistence::{Error, Result};

/// File systems over a network, by the numbers of `statfs(2)`. Their locks do not hold across
/// machines, and SQLite's WAL needs memory that all its processes share.
const NETWORK: [(u64, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
];

/// Refuses a file on a network file system.
pub(super) fn refuse_network(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    // A folder that can't be looked at can't be opened either: the next step says why.
    let Ok(found) = rustix::fs::statfs(folder) else {
        return Ok(());
    };
    let magic = u64::from_ne_bytes(found.f_type.to_ne_bytes()) & 0xffff_ffff;
    match network_name(magic) {
        None => Ok(()),
        Some(name) => Err(Error::Unusable {
            reason: format!(
                "{} is on a network file system ({name}), where SQLite's locks do not hold: put the data \
                 directory on a local disk, or use PostgreSQL (DATABASE_URL)",
                folder.display()
            ),
        }),
    }
}

fn network_name(magic: u64) -> Option<&'static str> {
    NETWORK
        .iter()
        .find(|(number, _)| *number == magic)
        .map(|(_, name)| *name)
}

/// The path without links: a file that is reached by two paths must have one lock.
pub(super) fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    }
}

/// Takes the right to be the only process that writes to a database, until the answer is dropped.
/// The lock is on a file beside the database: closing any handle on the database itself would give
/// up SQLite's own locks.
pub(super) fn own(path: &Path) -> Result<File> {
    let lock = beside(path, "-lock");
    let failed = |error: std::io::Error| Error::Unusable {
        reason: format!(
            "the file {} can't be opened for writing ({error}): check its permissions, or use another --data-dir",
            lock.display()
        ),
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&lock)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Unusable {
            reason: format!(
                "another process works with the database {}: wait until it is done, or stop it",
                path.display()
            ),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Whether a process has that right now.
pub(crate) fn is_owned(path: &Path) -> bool {
    let Ok(lock) = File::open(beside(&real(path), "-lock")) else {
        return false;
    };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Whether the last process did not close the database: its WAL is still there.
pub(super) fn was_left_open(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{network_name, refuse_network};

    #[test]
    fn file_systems_over_a_network_are_known_by_their_number() {
        let ext4 = 0xef53;
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xff53_4d42), Some("CIFS"));
        assert_eq!(network_name(ext4), None);
    }

    #[test]
    fn a_local_folder_is_taken() {
        refuse_network(Path::new("/proc/self/fusion.db")).unwrap();
        refuse_network(&std::env::temp_dir().join("fusion.db")).unwrap();
    }
}
