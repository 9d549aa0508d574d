//! Which folders commands may be given beyond their workspace, and how they are opened.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::Grants;
use crate::{Error, Result};

/// What is no folder of files.
const OF_KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What no command is given, wherever it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// Neither these, nor what is in them, nor what they are in.
    pub(crate) whole: Vec<PathBuf>,
    /// Neither these nor what they are in; folders in them may be given.
    pub(crate) around: Vec<PathBuf>,
}

/// Checks a folder that somebody wants to give to commands; says its path without links.
pub(crate) fn admit(path: &Path, withheld: &Withheld) -> Result<PathBuf> {
    let folder = path
        .canonicalize()
        .map_err(Error::io("give to commands", path))?;
    let refused = |why: String| Error::NotGranted {
        path: folder.clone(),
        why,
    };
    if !folder.is_dir() {
        return Err(refused("it is no folder".to_owned()));
    }
    if folder.to_str().is_none() {
        return Err(refused("its path is not UTF-8".to_owned()));
    }
    if folder.parent().is_none() {
        return Err(refused("it is the whole machine".to_owned()));
    }
    if OF_KERNEL.iter().any(|kernel| folder.starts_with(kernel)) {
        return Err(refused(
            "it is the kernel's, not a folder of files".to_owned(),
        ));
    }
    let is_in = withheld.whole.iter().find(|kept| folder.starts_with(kept));
    if let Some(kept) = is_in {
        return Err(refused(format!(
            "it belongs to {}, which is kept from commands",
            kept.display()
        )));
    }
    if withheld.around.contains(&folder) {
        return Err(refused("it is kept from commands as a whole".to_owned()));
    }
    let mut kept = withheld.whole.iter().chain(&withheld.around);
    match kept.find(|kept| kept.starts_with(&folder)) {
        Some(kept) => Err(refused(format!(
            "{} is in it, which is kept from commands",
            kept.display()
        ))),
        None => Ok(folder),
    }
}

/// Opens a folder that was admitted. No part of its path may have become a link since.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat2(
        CWD,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    )?)
}

/// The open folders that a command is given.
#[derive(Debug)]
pub(crate) struct GrantedFolders {
    pub(crate) read: Vec<OwnedFd>,
    pub(crate) write: Vec<OwnedFd>,
}

impl GrantedFolders {
    /// Opens them all; says which one can't be.
    pub(crate) fn open(grants: &Grants) -> std::result::Result<Self, String> {
        let all = |paths: &[PathBuf]| {
            let opened = paths.iter().map(|path| {
                open(path).map_err(|error| {
                    format!("can't give {} to the command: {error}", path.display())
                })
            });
            opened.collect::<std::result::Result<Vec<_>, _>>()
        };
        Ok(Self {
            read: all(&grants.read)?,
            write: all(&grants.write)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn said(path: &Path, withheld: &Withheld) -> String {
        match admit(path, withheld) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_holds_or_belongs_to_what_is_withheld_is_not_given() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        for folder in ["home/project/.fusion-kit/workspaces", "home/sdk", "other"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        fs::write(top.join("file"), "").unwrap();
        symlink(&top, top.join("other/up")).unwrap();
        let data = top.join("home/project/.fusion-kit");
        let withheld = Withheld {
            whole: vec![data.clone()],
            around: vec![top.join("home")],
        };
        let said = |path: &str| said(&top.join(path), &withheld);
        let shown = |path: &str| top.join(path).display().to_string();
        for (path, why) in [
            ("home", "it is kept from commands as a whole"),
            (
                "",
                &format!("{} is in it, which is kept from commands", data.display()),
            ),
            (
                "home/project",
                &format!("{} is in it, which is kept from commands", data.display()),
            ),
            (
                "home/project/.fusion-kit/workspaces",
                &format!(
                    "it belongs to {}, which is kept from commands",
                    data.display()
                ),
            ),
            ("file", "it is no folder"),
        ] {
            let folder = top.join(path);
            let folder = folder.components().collect::<PathBuf>();
            let expected = format!("{} can't be given to commands: {why}", folder.display());
            assert_eq!(said(path), expected);
        }
        assert_eq!(said("home/sdk"), shown("home/sdk"));
        // A link is what it leads to.
        assert!(said("other/up/home").contains("kept from commands as a whole"));
        assert_eq!(
            said("missing"),
            format!("can't give to commands {}", shown("missing"))
        );
    }

    #[test]
    fn the_machine_and_the_kernels_folders_are_not_given() {
        let said = |path: &str| said(Path::new(path), &Withheld::default());
        assert_eq!(
            said("/"),
            "/ can't be given to commands: it is the whole machine"
        );
        for path in ["/proc", "/sys", "/dev/shm"] {
            assert!(said(path).ends_with("it is the kernel's, not a folder of files"));
        }
        assert_eq!(said("/usr/../usr"), "/usr");
    }

    #[test]
    fn a_folder_on_whose_way_a_link_was_put_is_not_opened() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        symlink(top.join("a"), top.join("link")).unwrap();
        assert!(open(&top.join("a/b")).is_ok());
        assert!(open(&top.join("link/b")).is_err());
    }
}
