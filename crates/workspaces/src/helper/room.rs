//! Watches what a command makes its workspace take of the disk.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::sandbox::Resource;
use crate::tree::Processes;
use crate::workspace::usage::{Usage, Walk, free};

/// How many entries are looked at before the life line is looked at again.
const PART: u64 = 20_000;
/// A new look begins so long after the last one, at the latest.
const PAUSE: Duration = Duration::from_secs(2);
/// Looks take at most this part of the time.
const SHARE: u32 = 10;
/// Bytes of a block of a file.
const BLOCK: u64 = 512;

/// Looks again and again, in small parts: at once when the disk has lost much of the room that the
/// workspace has left, else every few seconds.
pub(super) struct Room {
    top: OwnedFd,
    device: u64,
    /// What the workspace may take. One that took more already may not grow.
    limit: Usage,
    began: Instant,
    walk: Option<Walk>,
    /// The last whole look: what was found, and what was free when it began.
    last: Option<(Usage, Usage)>,
    ended: Instant,
    pause: Duration,
    before: Usage,
}

impl Room {
    /// Of the workspace that this process works in. `used` is what it took before, where that is
    /// known.
    pub(super) fn new(quota: Usage, used: Option<Usage>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, ".", flags, Mode::empty())?;
        let now = Instant::now();
        let before = free(&top)?;
        Ok(Self {
            device: fstat(&top)?.st_dev,
            limit: used.map_or(quota, |used| quota.or_more(used)),
            began: now,
            walk: None,
            last: used.map(|used| (used, before)),
            ended: now,
            pause: PAUSE,
            before,
            top,
        })
    }

    /// Goes on looking; says what there is too much of.
    pub(super) fn look(&mut self) -> io::Result<Option<Resource>> {
        let mut walk = match self.walk.take() {
            Some(walk) => walk,
            None if self.is_due()? => {
                self.began = Instant::now();
                self.before = free(&self.top)?;
                Walk::new(&self.top)?
            }
            None => return Ok(None),
        };
        let is_whole = walk.go_on(PART)?;
        let mut found = walk.found();
        if !is_whole && !found.is_over(self.limit) {
            self.walk = Some(walk);
            return Ok(None);
        }
        found = found.plus(self.deleted()?);
        self.ended = Instant::now();
        self.pause = PAUSE.max(self.began.elapsed() * SHARE);
        self.last = Some((found, self.before));
        Ok(over(found, self.limit))
    }

    /// Whether the room that is left may be gone by now.
    fn is_due(&self) -> io::Result<bool> {
        let Some((found, before)) = self.last else {
            return Ok(true);
        };
        let since = self.ended.elapsed();
        let now = free(&self.top)?;
        let lost = |then: u64, now: u64| then.saturating_sub(now);
        let room = |limit: u64, used: u64| limit.saturating_sub(used) / 4;
        let is_less = lost(before.bytes, now.bytes) > room(self.limit.bytes, found.bytes)
            || lost(before.files, now.files) > room(self.limit.files, found.files);
        // Others may be who takes the room: looks never take more than their share of the time.
        Ok(since >= self.pause || is_less && since >= self.pause / SHARE)
    }

    /// What files take that have no name any more and are open still.
    fn deleted(&self) -> io::Result<Usage> {
        let mut known = HashSet::new();
        let mut found = Usage::default();
        for (process, _) in Processes::look()?.descendants() {
            let open = fs::read_dir(format!("/proc/{process}/fd"));
            for entry in open.into_iter().flatten().flatten() {
                let Ok(file) = fs::metadata(entry.path()) else {
                    continue;
                };
                let is_deleted = file.is_file() && file.nlink() == 0 && file.dev() == self.device;
                if is_deleted && known.insert(file.ino()) {
                    found = found.plus(Usage {
                        bytes: file.blocks().saturating_mul(BLOCK),
                        files: 1,
                    });
                }
            }
        }
        Ok(found)
    }
}

fn over(found: Usage, limit: Usage) -> Option<Resource> {
    if found.bytes > limit.bytes {
        return Some(Resource::Disk);
    }
    (found.files > limit.files).then_some(Resource::Files)
}
