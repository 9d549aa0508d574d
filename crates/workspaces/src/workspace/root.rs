//! The folder of all workspaces: made, proved, and removed again when a run is refused.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use crate::descriptor::Draft;
use crate::{Error, Options, Owners, Result};

/// What the proof writes: one block, so that a full disk shows.
const PROBE: [u8; 4096] = [b'.'; 4096];

/// A folder of all workspaces that agents can work in.
#[derive(Debug)]
#[must_use = "when the run is refused, `undo` removes the folders that were made for it"]
pub struct Prepared {
    made: Vec<PathBuf>,
}

impl Prepared {
    /// The folders that did not exist before, outermost first.
    #[must_use]
    pub fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// Removes the folders that were made, as far as nothing else is in them by now.
    ///
    /// # Errors
    /// One that is empty can't be removed.
    pub fn undo(self) -> Result<()> {
        for path in self.made.iter().rev() {
            match fs::remove_dir(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
                Err(error) => return Err(Error::io("remove", path)(error)),
            }
        }
        Ok(())
    }
}

/// Makes the folder if it is missing and proves that agents can work there.
pub(super) fn prepare(options: &Options) -> Result<Prepared> {
    let mut prepared = Prepared { made: Vec::new() };
    let proved = make(options, &mut prepared.made).and_then(|()| prove(options));
    match proved {
        Ok(()) => Ok(prepared),
        Err(error) => {
            if let Err(error) = prepared.undo() {
                tracing::warn!(%error, "can't remove a folder that was made for a refused run");
            }
            Err(error)
        }
    }
}

/// Makes the folder and those above it, and notes each one that is new.
fn make(options: &Options, made: &mut Vec<PathBuf>) -> Result<()> {
    let not_writable = |source| Error::RootNotWritable {
        path: options.root.clone(),
        source,
    };
    // Other users may pass through a root that holds workspaces of other users, not list it.
    let mode = match options.owners {
        Owners::SameUser => 0o700,
        Owners::Range(_) => 0o711,
    };
    let root = std::path::absolute(&options.root).map_err(not_writable)?;
    let missing: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => made.push(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(not_writable(error)),
        }
        // The umask may have taken rights away.
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(not_writable)?;
    }
    Ok(())
}

fn prove(options: &Options) -> Result<()> {
    let not_writable = |source| Error::RootNotWritable {
        path: options.root.clone(),
        source,
    };
    let root = options.root.canonicalize().map_err(not_writable)?;
    if root.to_str().is_none() {
        return Err(Error::RootNotText { path: root });
    }
    let folder = File::open(&root).map_err(not_writable)?;
    let probe = Draft::write(folder.as_fd(), &PROBE, Mode::RUSR | Mode::WUSR, None);
    drop(probe.map_err(not_writable)?);
    match options.owners {
        Owners::SameUser => Ok(()),
        Owners::Range(_) => check_reachable(&root).map_err(|error| match error {
            Closed::At(ancestor) => Error::NotReachable {
                root: root.clone(),
                ancestor,
            },
            Closed::Unknown(source) => not_writable(source),
        }),
    }
}

enum Closed {
    At(PathBuf),
    Unknown(io::Error),
}

/// Finds a folder that other users can't pass through, outermost first.
fn check_reachable(root: &Path) -> std::result::Result<(), Closed> {
    let ancestors: Vec<&Path> = root.ancestors().collect();
    for path in ancestors.into_iter().rev() {
        let mode = fs::metadata(path).map_err(Closed::Unknown)?.mode();
        if mode & 0o001 == 0 {
            return Err(Closed::At(path.to_owned()));
        }
    }
    Ok(())
}
