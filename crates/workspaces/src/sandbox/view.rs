//! A file system for one command: programs and their settings to read, its workspace to write,
//! and nothing else of the machine.
//!
//! It is put together on a small file system in memory, which becomes the root; the machine's
//! own root is then let go. Whatever an agent can have made (its workspace, the folder for its
//! temporary files) is mounted by descriptor, never by a name that could have become a link.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::namespaces::Missing;
use super::{Grants, folders, system};
use crate::descriptor::open_dir;

/// Where the view is put together; what is there is hidden from the command.
const SCAFFOLDS: [&str; 3] = ["/tmp", "/run", "/mnt"];
/// Where programs put files when they don't ask for `TMPDIR`.
const TEMPORARY: &str = "/tmp";
/// What root's own `/proc` tells and a command has no use for.
const MASKED: [&str; 7] = [
    "kallsyms",
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "sysrq-trigger",
    "latency_stats",
];

/// What is in the view besides programs and settings.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Where the workspace is, and will be; the working directory is in it.
    pub(crate) workspace: &'a Path,
    pub(crate) grants: &'a Grants,
    /// What is not shown, though it may be below a folder of programs.
    pub(crate) hidden: &'a [PathBuf],
}

impl Wanted<'_> {
    /// Whether something that is shown is below this folder.
    fn is_below(&self, folder: &str) -> bool {
        let granted = self.grants.read.iter().chain(&self.grants.write);
        self.workspace.starts_with(folder)
            || granted.into_iter().any(|path| path.starts_with(folder))
    }
}

/// Makes the view and moves this process into it, to the workspace. Says what failed; then this
/// process is of no use any more.
pub(crate) fn make(wanted: &Wanted<'_>) -> Result<(), Missing> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    step("/", mount_change("/", private))?;
    // Opened before anything is covered, and after these mounts became our own.
    let workspace = step(".", path_to("."))?;
    let temporary = open_dir(&workspace, ".agent").and_then(|agent| open_dir(&agent, "tmp"));
    let grants = Opened::all(wanted.grants)?;
    let scaffold = SCAFFOLDS
        .map(Path::new)
        .into_iter()
        .find(|path| path.is_dir());
    let root = scaffold.ok_or_else(|| Missing {
        why: "there is no /tmp to make a view in".to_owned(),
        is_of_machine: true,
    })?;
    let mut view = View {
        root,
        shown: Vec::new(),
    };
    view.memory(Path::new(""), c"mode=0755,size=4m")?;
    for path in system::programs_but(wanted.hidden) {
        view.mirror(&path)?;
    }
    view.folder(Path::new("/etc"))?;
    for path in system::settings() {
        view.mirror_target(&path)?;
    }
    view.devices()?;
    view.processes()?;
    view.folder(Path::new(TEMPORARY))?;
    match temporary {
        Ok(folder) if !wanted.is_below(TEMPORARY) => {
            view.show(&folder, Path::new(TEMPORARY), Access::Write)?
        }
        // The way to what is below would be made in the agent's own folder.
        Ok(_) | Err(_) => view.memory(Path::new(TEMPORARY), c"mode=1777,size=64m")?,
    }
    for grant in &grants {
        view.show(&grant.folder, &grant.path, grant.access)?;
    }
    view.show(&workspace, wanted.workspace, Access::Write)?;
    view.restrict_below()?;
    view.enter(wanted.workspace)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// A granted folder.
struct Opened {
    folder: OwnedFd,
    path: PathBuf,
    access: Access,
}

impl Opened {
    fn all(grants: &Grants) -> Result<Vec<Self>, Missing> {
        let read = grants.read.iter().map(|path| (path, Access::Read));
        let write = grants.write.iter().map(|path| (path, Access::Write));
        read.chain(write)
            .map(|(path, access)| {
                Ok(Self {
                    folder: step(path, folders::open(path))?,
                    path: path.clone(),
                    access,
                })
            })
            .collect()
    }
}

/// A view that is being put together.
struct View<'a> {
    root: &'a Path,
    /// Where something of the machine is shown.
    shown: Vec<(PathBuf, Access)>,
}

impl View<'_> {
    /// The place in the scaffold of what will be `path`.
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn folder(&self, path: &Path) -> Result<(), Missing> {
        let place = self.place(path);
        let mut builder = DirBuilder::new();
        step(path, builder.recursive(true).mode(0o755).create(place))
    }

    fn memory(&self, path: &Path, options: &std::ffi::CStr) -> Result<(), Missing> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        step(
            path,
            mount("tmpfs", self.place(path), "tmpfs", flags, options),
        )
    }

    /// Shows a part of the machine as it is, to read.
    fn mirror(&mut self, path: &Path) -> Result<(), Missing> {
        if !path.is_symlink() {
            return self.mirror_target(path);
        }
        let target = step(path, fs::read_link(path))?;
        self.parent(path)?;
        step(path, symlink(target, self.place(path)))
    }

    /// Shows what a path leads to under the path's own name, to read.
    fn mirror_target(&mut self, path: &Path) -> Result<(), Missing> {
        let target = step(path, path_to(path))?;
        self.show(&target, path, Access::Read)
    }

    fn parent(&self, path: &Path) -> Result<(), Missing> {
        path.parent().map_or(Ok(()), |parent| self.folder(parent))
    }

    /// Shows what is open as `path`.
    fn show(&mut self, open: &OwnedFd, path: &Path, access: Access) -> Result<(), Missing> {
        let source = format!("/proc/self/fd/{}", open.as_raw_fd());
        let place = self.place(path);
        if step(path, fs::metadata(&source))?.is_dir() {
            self.folder(path)?;
        } else {
            self.parent(path)?;
            step(path, File::create(&place))?;
        }
        step(path, mount_bind_recursive(source, &place))?;
        step(path, restrict(&place, access))?;
        self.shown.push((place, access));
        Ok(())
    }

    /// Restricts what is mounted below something that is shown, as that is.
    fn restrict_below(&self) -> Result<(), Missing> {
        let mounts = "/proc/self/mountinfo";
        let mounts = step(mounts, fs::read(mounts))?;
        for place in mount_points(&mounts) {
            let shown = self.shown.iter().rev();
            let shown = shown.filter(|(shown, _)| place.starts_with(shown));
            let Some((above, access)) = shown.max_by_key(|(shown, _)| shown.as_os_str().len())
            else {
                continue;
            };
            if place == *above {
                continue;
            }
            match restrict(&place, *access) {
                // Under another mount: nobody gets there.
                Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => {}
                outcome => step(&place, outcome)?,
            }
        }
        Ok(())
    }

    fn devices(&self) -> Result<(), Missing> {
        self.folder(Path::new("/dev/shm"))?;
        self.memory(Path::new("/dev/shm"), c"mode=1777,size=64m")?;
        for name in system::DEVICES {
            let path = Path::new("/dev").join(name);
            let place = self.place(&path);
            step(&path, File::create(&place))?;
            step(&path, mount_bind_recursive(&path, &place))?;
        }
        for (name, target) in [
            ("fd", ""),
            ("stdin", "/0"),
            ("stdout", "/1"),
            ("stderr", "/2"),
        ] {
            let place = self.place(&Path::new("/dev").join(name));
            step(&place, symlink(format!("/proc/self/fd{target}"), &place))?;
        }
        Ok(())
    }

    /// A `/proc` of this command's own processes.
    fn processes(&self) -> Result<(), Missing> {
        let proc = Path::new("/proc");
        self.folder(proc)?;
        let place = self.place(proc);
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        step(proc, mount("proc", &place, "proc", flags, None))?;
        for name in MASKED {
            let masked = place.join(name);
            if masked.exists() {
                step(&masked, mount_bind_recursive("/dev/null", &masked))?;
            }
        }
        Ok(())
    }

    /// Makes the view the root, lets the machine's go, and goes to the workspace.
    fn enter(&self, workspace: &Path) -> Result<(), Missing> {
        step(self.root, chdir(self.root))?;
        // The old root ends up on top of the new one, from where it can be taken away.
        step(self.root, pivot_root(".", "."))?;
        step(self.root, unmount(".", UnmountFlags::DETACH))?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        step("/", mount_remount("/", flags, ""))?;
        step(workspace, chdir(workspace))
    }
}

/// Takes rights off a mount. Programs have no device of their own anywhere; the known ones are shown
/// by themselves.
fn restrict(place: &Path, access: Access) -> rustix::io::Result<()> {
    let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | kept(place);
    if access == Access::Read {
        flags |= MountFlags::RDONLY;
    }
    mount_remount(place, flags, "")
}

/// Where something is mounted, from the lines of `/proc/self/mountinfo`: the fifth field.
fn mount_points(lines: &[u8]) -> Vec<PathBuf> {
    let lines = lines.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    fields
        .map(|field| PathBuf::from(OsString::from_vec(unescaped(field))))
        .collect()
}

/// Blanks, tabs, line ends and backslashes stand there as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<3>().filter(|_| *byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*byte));
        rest = match code {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    bytes
}

/// The restrictions that a mount has already: an ordinary user may not take them off.
fn kept(place: &Path) -> MountFlags {
    let Ok(found) = statvfs(place) else {
        return MountFlags::empty();
    };
    let same = [
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = same
        .into_iter()
        .filter(|(flag, _)| found.f_flag.contains(*flag));
    kept.map(|(_, flag)| flag).collect()
}

fn path_to(path: impl AsRef<Path>) -> rustix::io::Result<OwnedFd> {
    openat(
        CWD,
        path.as_ref(),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Names the place where a step failed.
fn step<T, E: Into<io::Error>>(
    place: impl AsRef<Path>,
    result: Result<T, E>,
) -> Result<T, Missing> {
    result.map_err(|error| {
        let what = format!("can't show {} to the command", place.as_ref().display());
        Missing::step(&what, &error.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_whatever_is_in_their_names() {
        let lines = b"22 1 0:21 / / rw - ext4 x rw\n\
            23 22 0:22 / /a\\040b\\134c rw,nosuid - tmpfs x rw\n24 22 0:23 / /d\\04 rw - tmpfs x rw\n";
        let expected = ["/", "/a b\\c", "/d\\04"].map(PathBuf::from);
        assert_eq!(mount_points(lines), expected);
    }
}
