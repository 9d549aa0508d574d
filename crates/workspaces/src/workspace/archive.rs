//! A workspace as one file, so that its folder can be removed and nothing is lost.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, OFlags, Stat, fstat, readlinkat, statat};
use tar::{Builder, EntryType, Header};

use super::descend::{Folder, descend, is_in, open_though_closed, step};
use super::{DRAFTS, WorkspaceDir, Workspaces};
use crate::descriptor::{Draft, names_in, open_dir};
use crate::{Error, Result};

/// How deep folders in folders are followed: each is opened from the top, step by step.
pub(super) const DEPTH_LIMIT: usize = 2_000;
/// How many archives of one workspace there may be.
const COPIES: u32 = 1_000;
/// How many names of what was left out are told.
const TOLD: usize = 100;

/// A workspace that was packed into one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it is: a tar file that only the user of this program may read.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// How many files, links and folders are in it.
    pub entries: u64,
    /// What is not in it, and can't be: devices, pipes, sockets, and names of files that belong
    /// to somebody else. At most a hundred names.
    pub left_out: Vec<PathBuf>,
}

impl Workspaces {
    /// Packs a workspace into a new file `<dir_name>.tar` in the folder `into` (made when it is
    /// missing, closed to others); a file that is there already is kept, and the new one gets
    /// a number. Links are packed as links. When this returns well the file is on the disk, with
    /// all that belongs to the agent's user in it. The agent's processes must have ended.
    ///
    /// # Errors
    /// There is no such workspace, it does not belong to `uid`, `into` is in it, something
    /// changed meanwhile, or a step failed; then there is no new file.
    pub fn archive(&self, dir_name: &str, uid: Option<u32>, into: &Path) -> Result<Archive> {
        let workspace = self.open(dir_name, uid)?;
        let failed = Error::io("archive the workspace into", into);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(into);
        let place = made.and_then(|()| into.canonicalize());
        let place = match place {
            Ok(place) if place.starts_with(workspace.path()) => {
                return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
            }
            Ok(place) => place,
            Err(error) => return Err(failed(error)),
        };
        pack(&workspace, dir_name, &place).map_err(failed)
    }
}

fn pack(workspace: &WorkspaceDir, dir_name: &str, place: &Path) -> io::Result<Archive> {
    let folder = File::open(place)?;
    let draft = Draft::create(folder.as_fd())?;
    let top = open_dir(workspace.dir(), ".")?;
    let owner = fstat(&top)?.st_uid;
    let mut packing = Packing {
        owner,
        tar: Builder::new(io::BufWriter::new(draft.file().try_clone()?)),
        names: HashMap::new(),
        entries: 0,
        left_out: Vec::new(),
    };
    packing.everything(&top)?;
    let Packing {
        tar,
        entries,
        left_out,
        ..
    } = packing;
    tar.into_inner()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    let bytes = draft.file().metadata()?.len();
    let name = place_free(draft, folder.as_fd(), dir_name)?;
    Ok(Archive {
        path: place.join(name),
        bytes,
        entries,
        left_out,
    })
}

/// Gives the file the first name that no archive has.
fn place_free(mut draft: Draft<'_>, folder: BorrowedFd<'_>, stem: &str) -> io::Result<String> {
    for number in 1..=COPIES {
        let name = match number {
            1 => format!("{stem}.tar"),
            number => format!("{stem}-{number}.tar"),
        };
        match draft.place_new(folder, &name) {
            Ok(()) => return Ok(name),
            Err((back, error)) if error.kind() == io::ErrorKind::AlreadyExists => draft = back,
            Err((_, error)) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "there are {COPIES} archives of it already"
    )))
}

struct Packing {
    /// Whose files are packed when they have several names.
    owner: u32,
    tar: Builder<io::BufWriter<File>>,
    /// Where a file with several names is in the archive.
    names: HashMap<(u64, u64), PathBuf>,
    entries: u64,
    left_out: Vec<PathBuf>,
}

impl Packing {
    /// One folder is open at a time, so the number of descriptors is no limit to the depth.
    fn everything(&mut self, top: &OwnedFd) -> io::Result<()> {
        let drafts = Path::new(".agent").join(DRAFTS);
        let mut pending = vec![(PathBuf::new(), 0)];
        let mut last: Option<(PathBuf, Folder)> = None;
        while let Some((path, depth)) = pending.pop() {
            let folder = match &last {
                Some((above, folder)) if is_in(&path, above) => step(folder, &path)?,
                Some(_) | None => descend(top, &path)?,
            };
            if depth > DEPTH_LIMIT {
                let what = format!("folders are more than {DEPTH_LIMIT} deep");
                return Err(io::Error::other(what));
            }
            let mut names = names_in(&folder.open)?;
            names.sort();
            for name in names.iter().rev() {
                let inner = path.join(OsStr::from_bytes(name.to_bytes()));
                let stat = statat(&folder.open, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                if is_folder && inner != drafts {
                    pending.push((inner, depth + 1));
                }
            }
            for name in &names {
                let inner = path.join(OsStr::from_bytes(name.to_bytes()));
                if inner != drafts {
                    self.entry(&folder.open, name, inner)?;
                }
            }
            last = Some((path, folder));
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, name: &CStr, path: PathBuf) -> io::Result<()> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let mut header = header_of(&stat, EntryType::Directory, 0)?;
                self.tar.append_data(&mut header, path, io::empty())?;
            }
            FileType::Symlink => {
                let target = OsString::from_vec(readlinkat(folder, name, [])?.into_bytes());
                let mut header = header_of(&stat, EntryType::Symlink, 0)?;
                self.tar.append_link(&mut header, path, target)?;
            }
            FileType::RegularFile if stat.st_nlink > 1 && stat.st_uid != self.owner => {
                self.leave_out(path);
                return Ok(());
            }
            FileType::RegularFile => self.file(folder, name, path)?,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                self.leave_out(path);
                return Ok(());
            }
        }
        self.entries += 1;
        Ok(())
    }

    fn file(&mut self, folder: &OwnedFd, name: &CStr, path: PathBuf) -> io::Result<()> {
        let (file, stat) = open_file(folder, name)?;
        if stat.st_nlink > 1 {
            if let Some(first) = self.names.get(&(stat.st_dev, stat.st_ino)) {
                let mut header = header_of(&stat, EntryType::Link, 0)?;
                return self.tar.append_link(&mut header, path, first);
            }
            self.names.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        let size = u64::try_from(stat.st_size).map_err(io::Error::other)?;
        let mut header = header_of(&stat, EntryType::Regular, size)?;
        let whole = Exactly { file, left: size };
        self.tar.append_data(&mut header, path, whole)
    }

    fn leave_out(&mut self, path: PathBuf) {
        if self.left_out.len() < TOLD {
            self.left_out.push(path);
        }
    }
}

/// As many bytes as were announced: an archive with fewer could not be read.
pub(crate) struct Exactly {
    pub(crate) file: File,
    pub(crate) left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let room = buffer.len().min(most);
        let read = match buffer.get_mut(..room) {
            Some(buffer) if room > 0 => self.file.read(buffer)?,
            Some(_) | None => return Ok(0),
        };
        if read == 0 {
            let what = "a file became shorter while it was archived";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left = self
            .left
            .saturating_sub(u64::try_from(read).unwrap_or_default());
        Ok(read)
    }
}

fn header_of(stat: &Stat, kind: EntryType, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_size(size);
    Ok(header)
}

/// Opens what was a regular file a moment ago.
pub(super) fn open_file(folder: &OwnedFd, name: &CStr) -> io::Result<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (file, closed) = open_though_closed(folder, OsStr::from_bytes(name.to_bytes()), flags)?;
    drop(closed);
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok((file.into(), stat))
    } else {
        Err(io::Error::other("a file became something else meanwhile"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_one_that_grew_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        let read = |left| {
            let mut whole = Exactly {
                file: File::open(&path).unwrap(),
                left,
            };
            let mut bytes = Vec::new();
            let outcome = whole.read_to_end(&mut bytes).map_err(|error| error.kind());
            (bytes, outcome)
        };
        assert_eq!(read(3), (b"123".to_vec(), Ok(3)));
        assert_eq!(read(5), (b"12345".to_vec(), Ok(5)));
        let short = Err(io::ErrorKind::UnexpectedEof);
        assert_eq!(read(6), (b"12345".to_vec(), short));
    }
}
