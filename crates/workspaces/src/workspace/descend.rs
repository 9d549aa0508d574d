//! Folders in folders, by descriptors: of any depth, without following links, also those that their
//! own user has closed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, chmod, fstat, openat};
use rustix::io::Errno;

use crate::descriptor::open_dir;

/// An open folder. One that its own user had closed is closed again with this value.
pub(super) struct Folder {
    pub(super) open: OwnedFd,
    _closed: Option<Closed>,
}

/// Opens a folder below the top, a step at a time and without following links.
pub(super) fn descend(top: &OwnedFd, path: &Path) -> io::Result<Folder> {
    let mut folder = Folder {
        open: open_dir(top, ".")?,
        _closed: None,
    };
    for name in path.components() {
        folder = step(&folder, Path::new(&name))?;
    }
    Ok(folder)
}

/// Opens the folder that a path ends with, in the one above it.
pub(super) fn step(above: &Folder, path: &Path) -> io::Result<Folder> {
    let name = path.file_name().unwrap_or_default();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (open, closed) = open_though_closed(&above.open, name, flags)?;
    Ok(Folder {
        open,
        _closed: closed,
    })
}

/// Whether a path is directly in this folder. By their bytes: neither has a part that says nothing.
pub(super) fn is_in(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (path.as_os_str().as_bytes(), folder.as_os_str().as_bytes());
    let name = match path.strip_prefix(folder) {
        Some(name) if folder.is_empty() => Some(name),
        Some(name) => name.strip_prefix(b"/"),
        None => None,
    };
    name.is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
}

/// An entry whose rights left its own user out; they are as before when this is dropped.
pub(super) struct Closed {
    handle: OwnedFd,
    usual: Mode,
}

impl Closed {
    fn open(handle: OwnedFd) -> io::Result<Self> {
        let usual = Mode::from_raw_mode(fstat(&handle)?.st_mode);
        chmod(number(&handle), Mode::RWXU)?;
        Ok(Self { handle, usual })
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        if let Err(error) = chmod(number(&self.handle), self.usual) {
            tracing::warn!(%error, "can't close a file or folder again");
        }
    }
}

/// A descriptor as a name: another name could have become a link since.
fn number(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

/// Opens an entry of our own user, also one whose rights leave even that user out.
pub(super) fn open_though_closed(
    folder: &OwnedFd,
    name: &OsStr,
    flags: OFlags,
) -> io::Result<(OwnedFd, Option<Closed>)> {
    match openat(folder, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        outcome => return Ok((outcome?, None)),
    }
    let handle = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let closed = Closed::open(openat(folder, name, handle, Mode::empty())?)?;
    Ok((openat(folder, name, flags, Mode::empty())?, Some(closed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_folder_directly_above_it_only() {
        let is_in = |path, folder| is_in(Path::new(path), Path::new(folder));
        assert!(is_in("a", "") && is_in("a/b", "a"));
        assert!(!is_in("a/b", "") && !is_in("a/b/c", "a") && !is_in("ab/c", "a") && !is_in("", ""));
    }
}
