//! Who keeps files and who removes them, in whichever process: a file is kept before it is named, and in
//! between nobody may take it for one that nobody names.

use std::fs::{self, File};
use std::io;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Artifacts;

/// The file that is locked.
const LOCK: &str = "lock";

/// Held until it is dropped or its process ends, however that ends.
#[derive(Debug)]
pub struct Holding(File);

impl Artifacts {
    /// For who keeps files, until what names them is committed. Waits for who removes some. `None` where the
    /// file system knows no locks: nobody removes anything there.
    ///
    /// # Errors
    /// The folder can't be made, or the lock can't be had: then nothing may be kept.
    pub fn hold(&self) -> io::Result<Option<Holding>> {
        let file = self.lock()?;
        loop {
            match flock(&file, FlockOperation::LockShared) {
                Ok(()) => return Ok(Some(Holding(file))),
                Err(Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// For who removes files: `None` while anybody keeps some. Does not wait.
    ///
    /// # Errors
    /// The file system knows no locks, or the folder can't be made.
    pub fn alone(&self) -> io::Result<Option<Holding>> {
        let file = self.lock()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Holding(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a kept file that nobody names, for who is alone; says whether it was there.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&self, sha256: &str, _alone: &Holding) -> io::Result<bool> {
        if !fusion_core::is_hash(sha256) {
            return Ok(false);
        }
        match fs::remove_file(self.place_of(sha256)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(&self.root)?;
        let place = self.root.join(LOCK);
        // NFS gives a shared lock to who may read only, and one of its own to who may write.
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        options.open(place)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // A process that is just being started may have a copy for a moment.
        flock(&self.0, FlockOperation::Unlock).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_removed_only_while_nobody_keeps_any() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Artifacts::new(folder.path().join("artifacts"));
        let one = kept.keep_copy(&mut &b"one"[..]).unwrap().sha256;
        let (first, second) = (kept.hold().unwrap().unwrap(), kept.hold().unwrap().unwrap());
        assert!(kept.alone().unwrap().is_none());
        drop(first);
        assert!(kept.alone().unwrap().is_none());
        drop(second);
        let alone = kept.alone().unwrap().unwrap();
        assert!(kept.alone().unwrap().is_none());
        assert!(kept.remove(&one, &alone).unwrap());
        assert!(!kept.remove(&one, &alone).unwrap());
        assert!(!kept.remove("../lock", &alone).unwrap());
        assert!(kept.open(&one).unwrap().is_none());
        drop(alone);
        drop(kept.hold().unwrap().unwrap());
        // A content that was removed is kept anew.
        kept.keep_copy(&mut &b"one"[..]).unwrap();
        assert!(kept.open(&one).unwrap().is_some());
    }
}
