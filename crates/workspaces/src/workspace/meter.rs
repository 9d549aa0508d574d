//! Keeps a workspace within its quota.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::WorkspaceDir;
use super::usage::{Usage, Walk, free};
use crate::descriptor::open_dir;
use crate::{Error, Result};

const MIB: u64 = 1024 * 1024;
/// What a workspace may take when nobody says otherwise.
pub(crate) const USUAL: Usage = Usage {
    bytes: 8192 * MIB,
    files: 500_000,
};
/// After this long a figure that may be old is.
const LASTS: Duration = Duration::from_secs(60);

/// What a workspace may take, and what it took when somebody looked.
#[derive(Debug)]
pub(crate) struct Meter {
    quota: Usage,
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    usage: Usage,
    /// What was free on the disk then.
    free: Usage,
    at: Instant,
    /// Commands ran since.
    is_old: bool,
}

impl Meter {
    pub(crate) const fn new(quota: Usage) -> Self {
        Self {
            quota,
            known: Mutex::new(None),
        }
    }

    /// What was found last, if it is still true as far as that matters: when nothing but the file
    /// tools wrote since, or the whole disk has not lost a quarter of the room that was left.
    fn still(&self, top: &OwnedFd) -> Option<Usage> {
        let known = (*self.lock())?;
        if !known.is_old {
            return Some(known.usage);
        }
        let now = free(top).ok()?;
        let (usage, before) = (known.usage, known.free);
        let lost = |then: u64, now: u64| then.saturating_sub(now);
        let room = |limit: u64, used: u64| limit.saturating_sub(used) / 4;
        let is_true = known.at.elapsed() < LASTS
            && lost(before.bytes, now.bytes) <= room(self.quota.bytes, usage.bytes)
            && lost(before.files, now.files) <= room(self.quota.files, usage.files);
        is_true.then_some(usage)
    }

    fn note(&self, usage: Usage, free: Usage) {
        *self.lock() = Some(Known {
            usage,
            free,
            at: Instant::now(),
            is_old: false,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        // Each change is one assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkspaceDir {
    /// The same workspace with another bound on what it takes of the disk.
    #[must_use]
    pub fn with_quota(self, quota: Usage) -> Self {
        Self {
            meter: Meter::new(quota).into(),
            ..self
        }
    }

    /// What it may take of the disk.
    #[must_use]
    pub fn quota(&self) -> Usage {
        self.meter.quota
    }

    /// Looks at everything in it.
    ///
    /// # Errors
    /// A folder can't be read.
    pub fn measure(&self) -> Result<Usage> {
        let failed = Error::io("measure the workspace", self.path());
        let measured = self.top().and_then(|top| {
            let free = free(&top)?;
            let usage = Walk::whole(&top)?;
            self.meter.note(usage, free);
            Ok(usage)
        });
        measured.map_err(failed)
    }

    /// What it takes, looked up again only where the figure known may be wrong by much, or is too
    /// much: something may have been removed.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let known = self.top().ok().and_then(|top| self.meter.still(&top));
        match known {
            Some(known) if !known.is_over(self.quota()) => Ok(known),
            Some(_) | None => self.measure(),
        }
    }

    /// Whether there is room for a file of so many bytes in place of one of so many.
    pub(crate) fn has_room(&self, size: u64, before: Option<u64>) -> Result<bool> {
        let more = Usage {
            bytes: size.saturating_sub(before.unwrap_or_default()),
            files: u64::from(before.is_none()),
        };
        if more == Usage::default() {
            return Ok(true);
        }
        if !self.usage()?.plus(more).is_over(self.quota()) {
            return Ok(true);
        }
        Ok(!self.measure()?.plus(more).is_over(self.quota()))
    }

    /// A file of so many bytes was written in place of one of so many.
    pub(crate) fn note_write(&self, size: u64, before: Option<u64>) {
        if let Some(known) = &mut *self.meter.lock() {
            let bytes = known.usage.bytes.saturating_add(size);
            known.usage.bytes = bytes.saturating_sub(before.unwrap_or_default());
            known.usage.files += u64::from(before.is_none());
        }
    }

    /// A command ran: what is known may be old.
    pub(crate) fn note_command(&self) {
        if let Some(known) = &mut *self.meter.lock() {
            known.is_old = true;
        }
    }

    fn top(&self) -> std::io::Result<OwnedFd> {
        open_dir(self.dir(), ".")
    }
}
