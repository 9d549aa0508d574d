//! Namespaces: what a command sees of the machine's processes, users, network, IPC and names.
//!
//! Two processes make them: the helper those that hold for its children only (process ids, and
//! the users, without which an ordinary user may make none), the command's first process the
//! rest, so that the helper keeps the machine's own view.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, capabilities, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// What `unshare` says where a machine has no namespaces, allows none, or no more of them.
const NONE_HERE: [Errno; 4] = [Errno::EPERM, Errno::ENOSYS, Errno::EINVAL, Errno::ENOSPC];

/// Namespaces that can't be had.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) why: String,
    /// Whether no command can have them here; else this one failed.
    pub(crate) is_of_machine: bool,
}

impl Missing {
    fn unshare(what: &str, error: Errno) -> Self {
        Self {
            why: format!("{what}: {error}"),
            is_of_machine: NONE_HERE.contains(&error),
        }
    }

    /// A step after `unshare`. Where the kernel lets users have namespaces and gives them no
    /// rights in there, or a container covers parts of `/proc`, it says "not permitted".
    pub(crate) fn step(what: &str, error: &io::Error) -> Self {
        Self {
            why: format!("{what}: {error}"),
            is_of_machine: error.raw_os_error() == Some(nix::libc::EPERM),
        }
    }
}

/// What the command's first process needs for [`super::view::make`], and gives up after it.
const NEEDED: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP];

/// Puts every child of this process into a process namespace of its own; says why it can't.
/// Without root that takes a user namespace, in which the user keeps its number. This process
/// must have one thread.
pub(crate) fn enter() -> Result<(), Missing> {
    if geteuid().is_root() {
        return unshare(CloneFlags::CLONE_NEWPID)
            .map_err(|error| Missing::unshare("root may not make namespaces here", error));
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
        .map_err(|error| Missing::unshare("ordinary users may not make namespaces here", error))?;
    keep_number(user, group)
        .and_then(|()| hand_on())
        .map_err(|error| Missing::step("the user can't keep its number in a namespace", &error))
}

fn keep_number(user: u32, group: u32) -> io::Result<()> {
    // Without this an ordinary user may not map its group: it could drop groups that deny it.
    match fs::write("/proc/self/setgroups", "deny") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Lets the next program keep the rights inside of the user namespace that it needs.
fn hand_on() -> io::Result<()> {
    let mut sets = capabilities(None)?;
    for needed in NEEDED {
        sets.inheritable |= needed;
    }
    set_capabilities(None, sets)?;
    for needed in NEEDED {
        configure_capability_in_ambient_set(needed, true)?;
    }
    Ok(())
}

/// Gives this process a network (unless it may use the machine's), IPC, host name, tree of
/// cgroups and table of mounts of its own.
pub(crate) fn separate(network: bool) -> Result<(), Missing> {
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    flags.set(CloneFlags::CLONE_NEWNET, !network);
    unshare(flags).map_err(|error| Missing::unshare("can't make namespaces", error))
}

/// Makes sure that no program this process starts can ever get a capability back.
pub(crate) fn bound() -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // This kernel has no such capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            // No right to: there is none to lose then, and no program can give one.
            Err(rustix::io::Errno::PERM) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives up every capability that this process has.
pub(crate) fn give_up() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let mut sets = capabilities(None)?;
    sets.effective = CapabilitySet::empty();
    sets.permitted = CapabilitySet::empty();
    sets.inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, sets)?)
}
