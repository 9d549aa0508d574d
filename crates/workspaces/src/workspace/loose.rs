//! Workspaces that belong to no agent: for commands that a person runs as an agent would.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Statx, StatxFlags, Uid, chownat, fstat, openat, statx,
};
use rustix::process::geteuid;
use tempfile::TempDir;

use super::{WorkspaceDir, remove};
use crate::descriptor::{enter_dir, give, make_dir, names_in, open_dir};
use crate::sandbox::system;
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
        Owners::Range(range) => choose_uid(range, |_| false, seed).map(Some),
    }
}

/// Folders of the machine and of root are never given to anybody.
fn check_given(path: &Path) -> Result<()> {
    let of_machine = [
        "/boot", "/dev", "/etc", "/gnu", "/nix", "/proc", "/root", "/run", "/snap", "/srv", "/sys",
        "/var",
    ];
    let is_shallow = path.components().count() < NEVER_GIVEN;
    let holds_temporary = path == Path::new("/var/tmp");
    let below_temporary = path.starts_with("/var/tmp") && !holds_temporary;
    let mut of_machine = of_machine.iter().chain(&system::PROGRAMS);
    let is_machine = of_machine.any(|folder| path.starts_with(folder)) && !below_temporary;
    if is_shallow || is_machine {
        return Err(Error::NeverGiven {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Gives away whatever file, link or folder belongs to root in a folder, and the folder. Links are
/// given, not followed; files with several names, devices, pipes, sockets, and what is mounted,
/// stay as they are.
fn give_tree(top: &OwnedFd, uid: u32) -> io::Result<()> {
    let mount = mount_of(&look(top)?);
    let mut pending = vec![top.try_clone()?];
    while let Some(folder) = pending.pop() {
        for name in names_in(&folder)? {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let entry = openat(&folder, &name, flags, Mode::empty())?;
            let found = look(&entry)?;
            if mount_of(&found) != mount {
                continue;
            }
            let kind = FileType::from_raw_mode(found.stx_mode.into());
            if kind == FileType::Directory {
                pending.push(open_dir(&entry, ".")?);
            } else if matches!(kind, FileType::RegularFile | FileType::Symlink)
                && (found.stx_nlink, found.stx_uid) == (1, 0)
            {
                let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
                chownat(&entry, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
            }
        }
        if look(&folder)?.stx_uid == 0 {
            give(&folder, Some(uid))?;
        }
    }
    Ok(())
}

/// What is open, not what has its name by now.
fn look(open: &OwnedFd) -> io::Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    Ok(statx(open, "", AtFlags::EMPTY_PATH, wanted)?)
}

/// Tells mounts apart, also those of one file system, where the kernel can (Linux 5.8).
const fn mount_of(found: &Statx) -> (u64, u32, u32) {
    (found.stx_mnt_id, found.stx_dev_major, found.stx_dev_minor)
}

/// Makes what commands need: a home and a folder for temporary files.
fn complete(top: &OwnedFd, uid: Option<u32>) -> io::Result<()> {
    let (agent, _) = enter_dir(top, ".agent", uid)?;
    for name in ["home", "tmp"] {
        enter_dir(&agent, name, uid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_machine_and_of_programs_are_never_given() {
        let given = |path: &&str| check_given(Path::new(path)).is_ok();
        let refused = [
            "/",
            "/home",
            "/mnt",
            "/opt",
            "/opt/tool",
            "/srv/www",
            "/nix/store",
            "/gnu/store/x",
            "/usr/local/src",
            "/lib64/x",
            "/etc/x",
            "/root/x",
            "/var/tmp",
            "/var/lib/x",
        ];
        assert_eq!(refused.iter().find(|path| given(path)), None);
        for path in [
            "/home/ann",
            "/tmp/project",
            "/var/tmp/project",
            "/projects/site",
        ] {
            assert!(given(&path), "{path}");
        }
    }
}
