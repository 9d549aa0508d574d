//! Single steps below an open directory. None of them follows a symbolic link, so a name that
//! was swapped in the meantime makes a step fail instead of leading it elsewhere.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, fstat, fsync, mkdirat,
    openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;

/// How many left-over temporary files of one folder are stepped over.
const DRAFT_NAMES: u32 = 1_000;

/// Opens a folder that is directly in `parent`.
pub(crate) fn open_dir(parent: impl AsFd, name: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Opens a folder that is directly in `parent`, made with mode 0700 when it is missing.
/// Says whether it was made. In both cases it belongs to `uid` afterwards.
pub(crate) fn make_dir(
    parent: impl AsFd,
    name: &str,
    uid: Option<u32>,
) -> io::Result<(OwnedFd, bool)> {
    let (dir, made) = enter_dir(parent, name, uid)?;
    give(&dir, uid)?;
    Ok((dir, made))
}

/// The same, but a folder that was there stays whose it is.
pub(crate) fn enter_dir(
    parent: impl AsFd,
    name: &str,
    uid: Option<u32>,
) -> io::Result<(OwnedFd, bool)> {
    let made = match mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let dir = open_dir(parent, name)?;
    if made {
        fail::fail_point!("workspaces::folder_made", |_| std::process::abort());
        // The umask may have taken rights away.
        fchmod(&dir, Mode::RWXU)?;
        give(&dir, uid)?;
    }
    Ok((dir, made))
}

/// The same, made in `drafts` and moved to its place when it belongs to `uid`: a death on the way
/// leaves no folder there that the agent can't use.
pub(crate) fn enter_dir_by(
    drafts: impl Fn() -> io::Result<OwnedFd>,
    parent: &OwnedFd,
    name: &str,
    uid: Option<u32>,
) -> io::Result<OwnedFd> {
    match open_dir(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let drafts = drafts()?;
    let draft = DraftDir::make(&drafts, uid)?;
    let flags = RenameFlags::NOREPLACE;
    match renameat_with(&drafts, &draft.name, parent, name, flags) {
        // Somebody else made it meanwhile.
        Err(Errno::EXIST) => {}
        // Not every file system can do that.
        Err(Errno::INVAL | Errno::NOSYS) => return Ok(enter_dir(parent, name, uid)?.0),
        placed => placed?,
    }
    open_dir(parent, name)
}

/// A new folder that has no name yet under which anyone looks for it. It goes with this value,
/// unless it was moved away.
struct DraftDir<'a> {
    folder: &'a OwnedFd,
    name: String,
}

impl<'a> DraftDir<'a> {
    /// With mode 0700, of this user.
    fn make(folder: &'a OwnedFd, uid: Option<u32>) -> io::Result<Self> {
        let name = free_name(|name| mkdirat(folder, name, Mode::RWXU))?.0;
        let draft = Self { folder, name };
        let dir = open_dir(folder, &draft.name)?;
        fail::fail_point!("workspaces::folder_made", |_| std::process::abort());
        // The umask may have taken rights away.
        fchmod(&dir, Mode::RWXU)?;
        give(&dir, uid)?;
        Ok(draft)
    }
}

impl Drop for DraftDir<'_> {
    fn drop(&mut self) {
        match unlinkat(self.folder, &self.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => {
                tracing::warn!(folder = self.name, %error, "can't remove an unfinished folder");
            }
        }
    }
}

/// Takes the first name for something unfinished that nothing has.
fn free_name<T>(take: impl Fn(&str) -> Result<T, Errno>) -> io::Result<(String, T)> {
    for number in 0..DRAFT_NAMES {
        let name = format!(".fusion-draft-{number}");
        match take(&name) {
            Ok(taken) => return Ok((name, taken)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other(
        "the folder is full of unfinished files named .fusion-draft-*",
    ))
}

/// Everything that is directly in a folder, in no order.
pub(crate) fn names_in(dir: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A file that is being written and has no name that anyone reads yet.
/// Dropped before [`Draft::place`] it is removed. A crash leaves it, so it is written in a folder
/// where it is not taken for a result and is cleared away later.
pub(crate) struct Draft<'a> {
    folder: BorrowedFd<'a>,
    name: String,
    file: File,
    placed: bool,
}

impl<'a> Draft<'a> {
    /// Writes `bytes` to a new file in `folder`.
    pub(crate) fn write(
        folder: BorrowedFd<'a>,
        bytes: &[u8],
        mode: Mode,
        uid: Option<u32>,
    ) -> io::Result<Self> {
        Self::copy(folder, &mut &*bytes, mode, uid)
    }

    /// Writes what `from` gives to a new file in `folder`.
    pub(crate) fn copy(
        folder: BorrowedFd<'a>,
        from: &mut impl Read,
        mode: Mode,
        uid: Option<u32>,
    ) -> io::Result<Self> {
        let mut draft = Self::create(folder)?;
        io::copy(from, &mut draft.file)?;
        fchmod(&draft.file, mode)?;
        give(&draft.file, uid)?;
        Ok(draft)
    }

    /// Gives the file its name in `parent`, in place of whatever file had it: readers see the
    /// old content or the new one. When this returns well both are on the disk.
    pub(crate) fn place(self, parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        self.place_unsynced(parent, name)?;
        Ok(fsync(parent)?)
    }

    /// The same without waiting for the disk: for what may be lost with the power.
    pub(crate) fn place_unsynced(mut self, parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        renameat(self.folder, &self.name, parent, name)?;
        self.placed = true;
        Ok(())
    }

    /// The file, for what is too long to be held in memory.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file a name that nothing has yet, else fails with `AlreadyExists` and gives the
    /// draft back. When this returns well both are on the disk.
    pub(crate) fn place_new(
        mut self,
        parent: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), (Self, io::Error)> {
        let renamed = self.file.sync_all().and_then(|()| {
            let flags = RenameFlags::NOREPLACE;
            Ok(renameat_with(self.folder, &self.name, parent, name, flags)?)
        });
        match renamed {
            Ok(()) => self.placed = true,
            Err(error) => return Err((self, error)),
        }
        match fsync(parent) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error.into())),
        }
    }

    /// An empty file in `folder`, open to its owner only.
    pub(crate) fn create(folder: BorrowedFd<'a>) -> io::Result<Self> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let (name, file) = free_name(|name| openat(folder, name, flags, mode))?;
        Ok(Self {
            folder,
            name,
            file: file.into(),
            placed: false,
        })
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        if let Err(error) = unlinkat(self.folder, &self.name, AtFlags::empty()) {
            tracing::warn!(file = self.name, %error, "can't remove an unfinished file");
        }
    }
}

/// Makes an open file or folder belong to `uid` and the group of the same number.
pub(crate) fn give(file: impl AsFd, uid: Option<u32>) -> io::Result<()> {
    if let Some(uid) = uid
        && fstat(&file)?.st_uid != uid
    {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
    }
    Ok(())
}
