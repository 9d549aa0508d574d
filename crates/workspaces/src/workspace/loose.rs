//! Workspaces that belong to no agent: for commands that a person runs as an agent would.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, fstat, openat, statat};
use rustix::process::geteuid;
use tempfile::TempDir;

use super::{WorkspaceDir, remove};
use crate::descriptor::{give, make_dir, names_in, open_dir};
use crate::{Error, Owners, Result, choose_uid};

/// What a folder must be below to be given to an agent: never one of these itself.
const NEVER_GIVEN: usize = 3;

/// A workspace that is made for one use and goes with this value.
#[derive(Debug)]
pub struct Scratch {
    dir: WorkspaceDir,
    folder: TempDir,
}

impl Scratch {
    /// Makes one in the machine's folder for temporary files. As root, `seed` picks its user.
    ///
    /// # Errors
    /// There is no room or no right to, or the owners don't fit the user of this process.
    pub fn new(owners: &Owners, seed: u128) -> Result<Self> {
        let uid = user(owners, seed)?;
        let place = std::env::temp_dir();
        let failed = |error| Error::io("make a workspace in", &place)(error);
        let folder = tempfile::Builder::new()
            .prefix("fusion-kit-")
            .tempdir()
            .map_err(failed)?;
        // Other users may pass through, not list.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).map_err(failed)?;
        let path = folder.path().canonicalize().map_err(failed)?;
        let parent: OwnedFd = File::open(&path).map_err(failed)?.into();
        let (top, _) = make_dir(&parent, "workspace", uid).map_err(failed)?;
        complete(&top, uid).map_err(failed)?;
        let dir = WorkspaceDir::new(top, path.join("workspace"), uid);
        Ok(Self { dir, folder })
    }

    /// The workspace.
    #[must_use]
    pub const fn dir(&self) -> &WorkspaceDir {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A command may have closed folders; the rest of the removal can't deal with that.
        let removed = File::open(self.folder.path())
            .and_then(|folder| remove::tree(folder.as_fd(), "workspace"));
        if let Err(error) = removed {
            tracing::warn!(%error, path = %self.folder.path().display(), "can't remove a workspace");
        }
    }
}

impl WorkspaceDir {
    /// Takes any folder as a workspace; `.agent` with its folders `home` and `tmp` is made in it.
    ///
    /// As an ordinary user the folder must be that user's. As root, commands run as the folder's
    /// owner; a folder that belongs to root is given away with everything of root in it, to the
    /// user that `seed` picks.
    ///
    /// # Errors
    /// It is no folder, it belongs to somebody else, it is one that is never given away, or it
    /// can't be used.
    pub fn adopt(path: &Path, owners: &Owners, seed: u128) -> Result<Self> {
        let failed = |error: io::Error| Error::io("use as a workspace", path)(error);
        let path = path.canonicalize().map_err(failed)?;
        if path.to_str().is_none() {
            return Err(Error::RootNotText { path });
        }
        let parent = path.parent().zip(path.file_name());
        let (parent, name) = parent.ok_or_else(|| Error::NeverGiven { path: path.clone() })?;
        let parent: OwnedFd = File::open(parent).map_err(failed)?.into();
        let top = open_dir(&parent, name).map_err(failed)?;
        let owner = fstat(&top).map_err(io::Error::from).map_err(failed)?.st_uid;
        let user = user(owners, seed)?;
        let uid = match user {
            None if owner == geteuid().as_raw() => None,
            None => {
                return Err(Error::Foreign {
                    path,
                    found: owner,
                    expected: geteuid().as_raw(),
                });
            }
            Some(uid) if owner == 0 => {
                check_given(&path)?;
                give_tree(&top, uid).map_err(failed)?;
                Some(uid)
            }
            Some(_) => Some(owner),
        };
        complete(&top, uid).map_err(failed)?;
        Ok(Self::new(top, path, uid))
    }
}

/// Who runs commands in a workspace without an agent.
fn user(owners: &Owners, seed: u128) -> Result<Option<u32>> {
    owners.check()?;
    match owners {
        Owners::SameUser => Ok(None),
        Owners::Range(range) => {
            choose_uid(range, &std::collections::BTreeSet::new(), seed).map(Some)
        }
    }
}

/// Folders of the machine and of root are never given to anybody.
fn check_given(path: &Path) -> Result<()> {
    let of_machine = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
        "/var",
    ];
    let is_shallow = path.components().count() < NEVER_GIVEN;
    let holds_temporary = path == Path::new("/var/tmp");
    let below_temporary = path.starts_with("/var/tmp") && !holds_temporary;
    let is_machine = of_machine.iter().any(|folder| path.starts_with(folder)) && !below_temporary;
    if is_shallow || is_machine {
        return Err(Error::NeverGiven {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Gives away whatever belongs to root in a folder, and the folder. Links are given, not followed;
/// files with several names, and other file systems, stay as they are.
fn give_tree(top: &OwnedFd, uid: u32) -> io::Result<()> {
    let device = fstat(top)?.st_dev;
    let mut pending = vec![top.try_clone()?];
    while let Some(folder) = pending.pop() {
        for name in names_in(&folder)? {
            let stat = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_folder = rustix::fs::FileType::from_raw_mode(stat.st_mode)
                == rustix::fs::FileType::Directory;
            if stat.st_dev != device || (!is_folder && stat.st_nlink > 1) {
                continue;
            }
            if is_folder {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                pending.push(openat(&folder, &name, flags, Mode::empty())?);
            } else if stat.st_uid == 0 {
                let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
                chownat(
                    &folder,
                    &name,
                    Some(user),
                    Some(group),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
            }
        }
        if fstat(&folder)?.st_uid == 0 {
            give(&folder, Some(uid))?;
        }
    }
    Ok(())
}

/// Makes what commands need: a home and a folder for temporary files.
fn complete(top: &OwnedFd, uid: Option<u32>) -> io::Result<()> {
    let (agent, _) = make_dir(top, ".agent", uid)?;
    for name in ["home", "tmp"] {
        make_dir(&agent, name, uid)?;
    }
    Ok(())
}
