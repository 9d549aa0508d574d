//! Removes a tree that its owner may have made as hard to remove as possible.
//!
//! Depth is no limit: folders of folders are first moved up to the top, so that one open
//! descriptor and no recursion are enough for any depth.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::descriptor::{names_in, open_dir};

/// Removes `name` in `parent` with all that is in it. It counts as removed when it is missing.
pub(super) fn tree(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let top = match unlock(parent, name) {
        Ok(()) => open_dir(parent, name)?,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut lifted = 0;
    loop {
        let names = names_in(&top)?;
        if names.is_empty() {
            break;
        }
        for name in &names {
            clear(&top, name, &mut lifted)?;
        }
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Removes one entry of the top. Folders inside it move up to the top.
fn clear(top: &OwnedFd, name: &CStr, lifted: &mut u64) -> io::Result<()> {
    fail::fail_point!("workspaces::removing", |_| std::process::abort());
    if unlink(top.as_fd(), name)? {
        return Ok(());
    }
    unlock(top.as_fd(), name)?;
    let dir = open_dir(top, name)?;
    for child in names_in(&dir)? {
        if !unlink(dir.as_fd(), &child)? {
            // A folder can only be moved by who may write to it.
            unlock(dir.as_fd(), &child)?;
            lift(dir.as_fd(), &child, top.as_fd(), lifted)?;
        }
    }
    Ok(unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

/// Removes anything but a folder; says whether it is gone.
fn unlink(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Moves a folder to a free name in the top.
fn lift(
    parent: BorrowedFd<'_>,
    name: &CStr,
    top: BorrowedFd<'_>,
    lifted: &mut u64,
) -> io::Result<()> {
    loop {
        let target = format!(".fusion-removed-{lifted}");
        *lifted += 1;
        match renameat(parent, name, top, target) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives us every right to a folder that lacks one (module caches are made read-only).
pub(super) fn unlock(
    parent: BorrowedFd<'_>,
    name: impl rustix::path::Arg + Copy,
) -> Result<(), Errno> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory
        || Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU)
    {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty())?;
    // chmod by name would follow a link that was put there since; this name is the descriptor.
    let this = format!("/proc/self/fd/{}", dir.as_raw_fd());
    chmodat(CWD, this, Mode::RWXU, AtFlags::empty())
}
