//! Who may be in a workspace at the same time, in whichever process.

use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use super::WorkspaceDir;
use crate::{Error, Result};

/// A seat in a workspace, until it is dropped or its process ends, however that ends.
#[derive(Debug)]
pub struct Seat(OwnedFd);

impl WorkspaceDir {
    /// A seat beside others; `None` while somebody has the workspace alone. Does not wait.
    ///
    /// # Errors
    /// The file system knows no locks, or the folder can't be opened.
    pub fn seat_beside(&self) -> Result<Option<Seat>> {
        self.seat(FlockOperation::NonBlockingLockShared)
    }

    /// The only seat; `None` while anybody has one. Does not wait.
    ///
    /// # Errors
    /// As [`seat_beside`](Self::seat_beside).
    pub fn seat_alone(&self) -> Result<Option<Seat>> {
        self.seat(FlockOperation::NonBlockingLockExclusive)
    }

    fn seat(&self, how: FlockOperation) -> Result<Option<Seat>> {
        // Locks are of an open folder: each seat opens it for itself.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: Errno| Error::io("take a seat in the workspace", &self.path)(error);
        let open = openat(self.dir(), ".", flags, Mode::empty()).map_err(failed)?;
        match flock(&open, how) {
            Ok(()) => Ok(Some(Seat(open))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A process that is just being started may have a copy for a moment.
        flock(&self.0, FlockOperation::Unlock).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn many_sit_beside_each_other_and_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let top = File::open(folder.path()).unwrap().into();
            WorkspaceDir::new(top, folder.path().to_owned(), None)
        };
        let (one, other) = (open(), open());
        let first = one.seat_beside().unwrap();
        let second = other.seat_beside().unwrap();
        assert!(first.is_some() && second.is_some());
        drop(first);
        assert!(one.seat_alone().unwrap().is_none());
        drop(second);
        let alone = one.seat_alone().unwrap();
        assert!(alone.is_some());
        // Also from the same open folder.
        assert!(one.seat_beside().unwrap().is_none());
        assert!(other.seat_alone().unwrap().is_none());
        drop(alone);
        assert!(other.seat_beside().unwrap().is_some());
    }
}
