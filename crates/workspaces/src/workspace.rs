//! A directory per agent: made, opened and removed.

pub(crate) mod archive;
mod copy;
mod descend;
mod loose;
pub(crate) mod meter;
mod remove;
mod root;
mod seat;
mod snapshot;
pub(crate) mod usage;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, fstat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde_json::Value;

use crate::descriptor::{Draft, give, make_dir, open_dir};
use crate::{Error, Owners, Result};

pub use archive::Archive;
pub use loose::Scratch;
pub use root::Prepared;
pub use seat::Seat;
pub use snapshot::depot::{Depot, FolderDepot, Shelf, is_depot_name};
pub use snapshot::shared::{Seal, SharedPlace, SharedSnapshots};
pub use snapshot::{PutBack, Snapshot, Taken};
pub use usage::Usage;

use meter::Meter;

/// Length of a UUID's text form.
const UUID_LENGTH: usize = 36;

/// Where workspaces are and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder of all workspaces. Nothing else belongs into it.
    pub root: PathBuf,
    /// Whose agents' processes and files are.
    pub owners: Owners,
}

/// The directories of all agents. Every method blocks.
#[derive(Debug, Clone)]
pub struct Workspaces {
    options: Options,
}

impl Workspaces {
    /// Touches nothing yet: [`Workspaces::preflight`] does.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self { options }
    }

    /// Makes the folder of all workspaces if it is missing and proves that agents can work
    /// there. To be called before the first run; when it fails it leaves nothing behind.
    ///
    /// # Errors
    /// The owners don't fit the user of this process, nothing can be made or written there, or
    /// agents' own users can't get there. Each error says what to change.
    pub fn preflight(&self) -> Result<Prepared> {
        self.options.owners.check()?;
        root::prepare(&self.options)
    }

    /// Makes a workspace: `<root>/<dir_name>` with `.agent/` (with `agent.json`, `home/`,
    /// `tmp/`), `projects/`, `logs/` and `.env`, closed to everyone but `uid`.
    ///
    /// A workspace that is there already is completed: what exists is left as it is. When this
    /// call made the directory and then fails (no room left, say), it removes it again.
    ///
    /// # Errors
    /// The name is not a UUID, the user id is not one for agents, a variable has no usable
    /// name, or a step failed.
    pub fn create(
        &self,
        dir_name: &str,
        uid: Option<u32>,
        agent_config: &Value,
        env: &BTreeMap<String, String>,
    ) -> Result<WorkspaceDir> {
        check_name(dir_name)?;
        self.options.owners.admit(uid)?;
        let variables = env_file(env)?;
        let config = serde_json::to_vec_pretty(agent_config)
            .map_err(|error| Error::io("write the agent's settings for", dir_name)(error))?;

        let (root, path) = self.open_root()?;
        let path = path.join(dir_name);
        let failed = Error::io("make the workspace", &path);
        let (top, made) = make_dir(&root, dir_name, None).map_err(failed)?;
        if !made && let Some(uid) = uid {
            // Still ours when an earlier call ended before it gave the directory away.
            check_owner(&top, &path, uid, geteuid().as_raw())?;
        }
        let filled =
            give(&top, uid).and_then(|()| fill(top.as_fd(), uid, &config, variables.as_bytes()));
        if let Err(error) = filled {
            if made && let Err(left) = remove::tree(root.as_fd(), dir_name) {
                tracing::warn!(path = %path.display(), error = %left, "can't remove an unfinished workspace");
            }
            return Err(Error::io("make the workspace", path)(error));
        }
        Ok(WorkspaceDir::new(top, path, uid))
    }

    /// Opens the workspace of an agent, for one task at a time: files that a crash left half
    /// written are removed.
    ///
    /// # Errors
    /// There is none, or it does not belong to `uid`.
    pub fn open(&self, dir_name: &str, uid: Option<u32>) -> Result<WorkspaceDir> {
        let workspace = self.open_beside(dir_name, uid)?;
        clear_drafts(workspace.dir())
            .map_err(Error::io("clear unfinished files in", workspace.path()))?;
        Ok(workspace)
    }

    /// Opens the workspace of an agent that may be at work: nothing is cleared.
    ///
    /// # Errors
    /// As [`Workspaces::open`].
    pub fn open_beside(&self, dir_name: &str, uid: Option<u32>) -> Result<WorkspaceDir> {
        check_name(dir_name)?;
        self.options.owners.know(uid)?;
        let (root, path) = self.open_root()?;
        let path = path.join(dir_name);
        let top = open_dir(&root, dir_name).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Error::NoWorkspace { path: path.clone() }
            } else {
                Error::io("open the workspace", &path)(error)
            }
        })?;
        if let Some(uid) = uid {
            check_owner(&top, &path, uid, uid)?;
        }
        Ok(WorkspaceDir::new(top, path, uid))
    }

    /// Removes a workspace with everything in it, however deep and whatever its rights. Links
    /// are removed, never followed. A workspace that does not exist counts as removed. The
    /// agent's processes must have ended.
    ///
    /// # Errors
    /// A step failed; what was removed until then is gone.
    pub fn remove(&self, dir_name: &str) -> Result<()> {
        check_name(dir_name)?;
        let (root, path) = self.open_root()?;
        remove::tree(root.as_fd(), dir_name)
            .map_err(Error::io("remove the workspace", path.join(dir_name)))
    }

    /// The folder of all workspaces and its absolute path without links.
    fn open_root(&self) -> Result<(OwnedFd, PathBuf)> {
        let root = &self.options.root;
        let path = root
            .canonicalize()
            .map_err(Error::io("open the workspaces folder", root))?;
        if path.to_str().is_none() {
            return Err(Error::RootNotText { path });
        }
        let folder = File::open(&path).map_err(Error::io("open the workspaces folder", root))?;
        Ok((folder.into(), path))
    }
}

/// The open workspace of one agent. Cheap to clone; works on even when the path is renamed.
#[derive(Debug, Clone)]
pub struct WorkspaceDir {
    dir: Arc<Dir>,
    path: PathBuf,
    uid: Option<u32>,
    meter: Arc<Meter>,
}

impl WorkspaceDir {
    fn new(top: OwnedFd, path: PathBuf, uid: Option<u32>) -> Self {
        Self {
            dir: Arc::new(Dir::from_std_file(top.into())),
            path,
            uid,
            meter: Arc::new(Meter::new(meter::USUAL)),
        }
    }

    /// Absolute, without links. For showing and for the agent's environment; files are opened
    /// through this value's methods, never by this path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Absolute path of the folder for the agent's results.
    #[must_use]
    pub fn projects_path(&self) -> PathBuf {
        self.path.join("projects")
    }

    /// Absolute path of the folder for the output of the agent's processes.
    #[must_use]
    pub fn logs_path(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Whose it is; `None` means the user that this program runs as.
    #[must_use]
    pub const fn uid(&self) -> Option<u32> {
        self.uid
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }
}

/// Refuses a workspace that belongs to neither of two users.
fn check_owner(top: &OwnedFd, path: &Path, expected: u32, or: u32) -> Result<()> {
    let stat = fstat(top).map_err(Error::io("open the workspace", path))?;
    if stat.st_uid == expected || stat.st_uid == or {
        return Ok(());
    }
    Err(Error::Foreign {
        path: path.to_owned(),
        found: stat.st_uid,
        expected,
    })
}

/// The folder, in `.agent`, of files that are being written.
const DRAFTS: &str = "drafts";

/// Opens the folder of files that are being written, made when it is missing.
pub(crate) fn make_drafts(top: impl AsFd, uid: Option<u32>) -> io::Result<OwnedFd> {
    let (agent, _) = make_dir(top, ".agent", uid)?;
    Ok(make_dir(&agent, DRAFTS, uid)?.0)
}

/// Removes what a crash left half written.
fn clear_drafts(top: impl AsFd) -> io::Result<()> {
    match open_dir(top, ".agent") {
        Ok(agent) => remove::tree(agent.as_fd(), DRAFTS),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes what is missing in a workspace.
fn fill(top: BorrowedFd<'_>, uid: Option<u32>, config: &[u8], variables: &[u8]) -> io::Result<()> {
    let (agent, _) = make_dir(top, ".agent", uid)?;
    for name in ["home", "tmp"] {
        make_dir(&agent, name, uid)?;
    }
    for name in ["projects", "logs"] {
        make_dir(top, name, uid)?;
    }
    place_missing(agent.as_fd(), "agent.json", config, uid)?;
    place_missing(top, ".env", variables, uid)
}

fn place_missing(
    parent: BorrowedFd<'_>,
    name: &str,
    bytes: &[u8],
    uid: Option<u32>,
) -> io::Result<()> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(()),
        Err(Errno::NOENT) => {
            Draft::write(parent, bytes, Mode::RUSR | Mode::WUSR, uid)?.place_unsynced(parent, name)
        }
        Err(error) => Err(error.into()),
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_uuid = name.len() == UUID_LENGTH
        && name.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && name.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if is_uuid {
        Ok(())
    } else {
        Err(Error::Name {
            name: name.to_owned(),
        })
    }
}

/// `KEY=VALUE` lines that a shell and the readers of `.env` files understand alike.
fn env_file(env: &BTreeMap<String, String>) -> Result<String> {
    let mut text = String::new();
    for (name, value) in env {
        if !is_variable_name(name) || value.contains('\0') {
            return Err(Error::Variable { name: name.clone() });
        }
        text.push_str(name);
        text.push('=');
        text.push_str(&quoted(value));
        text.push('\n');
    }
    Ok(text)
}

fn is_variable_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    starts_well && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_env_file_are_quoted_when_a_shell_would_change_them() {
        let env = [
            ("A", "plain-1.2/x"),
            ("B", ""),
            ("C", "two words"),
            ("D", "it's $HOME `id`"),
            ("E", "line\nline"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            env_file(&BTreeMap::from(env)).unwrap(),
            "A=plain-1.2/x\nB=''\nC='two words'\nD='it'\\''s $HOME `id`'\nE='line\nline'\n"
        );
    }

    #[test]
    fn a_variable_that_no_shell_could_hold_is_refused() {
        for (name, value) in [
            ("", "x"),
            ("1A", "x"),
            ("A=B", "x"),
            ("A B", "x"),
            ("A", "\0"),
        ] {
            let env = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(
                matches!(env_file(&env), Err(Error::Variable { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn only_a_uuid_names_a_workspace() {
        assert!(check_name("019ab3c4-0000-7000-8000-000000000000").is_ok());
        for name in [
            "",
            "..",
            "a/b",
            "019ab3c4-0000-7000-8000-00000000000/",
            &"-".repeat(36),
        ] {
            assert!(
                matches!(check_name(name), Err(Error::Name { .. })),
                "{name}"
            );
        }
    }
}
