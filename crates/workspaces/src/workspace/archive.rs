//! Packs a workspace into one file.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptionsExt as _};
use rustix::fs::{AtFlags, FileType, OFlags, statat};
use tar::{Builder, EntryType, Header};

use super::{Workspaces, check_name};
use crate::descriptor::{names_in, open_dir};
use crate::{Error, Result};

impl Workspaces {
    /// Packs a workspace with everything in it into the tar file `to`, which is whole and on the disk
    /// when this returns; its folder is made when it is missing. Links are kept as links and never
    /// followed; pipes, sockets and devices are left out. A file that is there already is taken for
    /// the finished work of an earlier call. The agent's processes must have ended.
    ///
    /// # Errors
    /// There is no workspace, or a step failed: the workspace is as it was.
    pub fn archive(&self, dir_name: &str, to: &Path) -> Result<()> {
        check_name(dir_name)?;
        if to.exists() {
            return Ok(());
        }
        let (root, path) = self.open_root()?;
        let path = path.join(dir_name);
        let top = open_dir(&root, dir_name).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Error::NoWorkspace { path: path.clone() }
            } else {
                Error::io("open the workspace", &path)(error)
            }
        })?;
        pack(&Dir::from_std_file(top.into()), to).map_err(Error::io("archive the workspace", path))
    }
}

fn pack(top: &Dir, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // One name for each archive: what a crash left half written is written over.
    let draft = to.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&draft)?;
    let written = write(top, file).and_then(|()| fs::rename(&draft, to));
    if let Err(error) = written {
        if let Err(left) = fs::remove_file(&draft) {
            tracing::warn!(path = %draft.display(), error = %left, "can't remove an unfinished archive");
        }
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn write(top: &Dir, file: File) -> io::Result<()> {
    let mut tar = Builder::new(BufWriter::new(file));
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        add_folder(&mut tar, top, &folder, &mut pending)?;
    }
    let mut file = tar.into_inner()?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Adds what is directly in a folder; puts the folders in it onto `pending`.
fn add_folder(
    tar: &mut Builder<impl Write>,
    top: &Dir,
    folder: &Path,
    pending: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let dir = if folder.as_os_str().is_empty() {
        open(top, Path::new("."), OFlags::DIRECTORY)?
    } else {
        open(top, folder, OFlags::DIRECTORY)?
    };
    let mut names = names_in(&dir)?;
    names.sort_unstable();
    for name in names {
        let path = folder.join(OsStr::from_bytes(name.to_bytes()));
        let stat = statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let mut header = header(EntryType::Directory, &stat);
                tar.append_data(&mut header, &path, io::empty())?;
                pending.push(path);
            }
            FileType::RegularFile => {
                tar.append_file(&path, &mut open(top, &path, OFlags::NONBLOCK)?)?;
            }
            FileType::Symlink => {
                let target = top.read_link_contents(&path)?;
                tar.append_link(&mut header(EntryType::Symlink, &stat), &path, target)?;
            }
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {}
        }
    }
    Ok(())
}

fn open(top: &Dir, path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | flags;
    let mut options = cap_std::fs::OpenOptions::new();
    options
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    Ok(top.open_with(path, &options)?.into_std())
}

fn header(kind: EntryType, stat: &rustix::fs::Stat) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_size(0);
    header
}
