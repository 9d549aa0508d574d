//! The data directory: where it is, and that one process at a time owns it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind};

/// Used when neither `--data-dir` nor `FUSION_KIT_DATA_DIR` is given.
const DEFAULT: &str = ".fusion-kit";

/// A place for data that may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// The right to write in a data directory. It ends with this value, or with the process.
#[derive(Debug)]
pub(crate) struct Owned {
    _lock: File,
    /// What taking it made, to be taken away again when nothing comes of it.
    made: Vec<PathBuf>,
}

/// Who has a data directory.
#[derive(Debug)]
pub(crate) enum Access {
    /// This process, from now on.
    Owner(Owned),
    /// Another process.
    Busy { pid: String },
}

impl DataDir {
    /// The given directory, or the default one below the current folder, as an absolute path.
    pub(crate) fn new(given: Option<PathBuf>) -> Result<Self, Problem> {
        let path = given.unwrap_or_else(|| PathBuf::from(DEFAULT));
        let path = std::path::absolute(&path).map_err(|error| {
            Problem::new(
                ProblemKind::InvalidInput,
                format!(
                    "the data directory '{}' can't be used: {error}",
                    path.display()
                ),
            )
        })?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("fusion.db")
    }

    pub(crate) fn workspaces(&self) -> PathBuf {
        self.path.join("workspaces")
    }

    fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Whether it holds data.
    pub(crate) fn exists(&self) -> bool {
        self.database().exists()
    }

    /// Makes the directory when it is missing and takes it.
    pub(crate) fn own(&self) -> Result<Owned, Problem> {
        let made = make_folders(&self.path).map_err(|error| self.not_usable(&error))?;
        match self.access() {
            Ok(Access::Owner(mut owned)) => {
                owned.made = made;
                Ok(owned)
            }
            Ok(Access::Busy { pid }) => Err(self.busy(&pid)),
            Err(error) => {
                remove(&made);
                Err(self.not_usable(&error))
            }
        }
    }

    /// Takes an existing directory unless another process has it.
    pub(crate) fn access(&self) -> io::Result<Access> {
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.lock_file())?;
        match lock.try_lock() {
            Ok(()) => {
                lock.set_len(0)?;
                lock.rewind()?;
                lock.write_all(std::process::id().to_string().as_bytes())?;
                Ok(Access::Owner(Owned {
                    _lock: lock,
                    made: Vec::new(),
                }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid)?;
                Ok(Access::Busy { pid })
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The refusal of a second process.
    pub(crate) fn busy(&self, pid: &str) -> Problem {
        Problem::new(
            ProblemKind::Conflict,
            format!(
                "another fusion-kit (pid {pid}) works in the data directory {}",
                self.path.display()
            ),
        )
        .with_help("wait until it is done, stop it, or use another --data-dir")
    }

    fn not_usable(&self, error: &io::Error) -> Problem {
        Problem::new(
            ProblemKind::Unavailable,
            format!(
                "can't use the data directory {}: {error}",
                self.path.display()
            ),
        )
        .with_help("choose a folder that you can write to with --data-dir or FUSION_KIT_DATA_DIR")
    }
}

impl Owned {
    /// Gives the directory up and takes away what [`DataDir::own`] made, with everything in it.
    /// For a command that was refused before it had anything to keep.
    pub(crate) fn undo(self) {
        remove(&self.made);
    }
}

/// Makes a folder and those above it; tells which ones it made, the outermost first.
fn make_folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    let mut made = Vec::new();
    for folder in missing.into_iter().rev() {
        // Others may pass through, to reach their own workspace, but not look around.
        if let Err(error) = std::fs::DirBuilder::new().mode(0o711).create(folder) {
            remove(&made);
            return Err(error);
        }
        made.push(folder.to_path_buf());
    }
    if !path.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    Ok(made)
}

fn remove(made: &[PathBuf]) {
    if let Some(outermost) = made.first()
        && let Err(error) = std::fs::remove_dir_all(outermost)
    {
        tracing::warn!(%error, path = %outermost.display(), "a folder could not be removed");
    }
}
