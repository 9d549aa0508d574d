//! The data directory: where it is, and that one process at a time owns it.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind, ServerReady};

/// Used when neither `--data-dir` nor `FUSION_KIT_DATA_DIR` is given.
const DEFAULT: &str = ".fusion-kit";

/// A place for data that may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// As it was asked for.
    given: Option<PathBuf>,
}

/// The right to write in a data directory. It ends with this value, or with the process.
#[derive(Debug)]
pub(crate) struct Owned {
    _lock: File,
    /// What was not there before, to be taken away again when nothing comes of it.
    fresh: Vec<PathBuf>,
}

/// A data directory that is there, and what of it was not there before.
#[derive(Debug)]
pub(crate) struct Prepared(Vec<PathBuf>);

/// What is in a data directory besides the workspaces.
const FILES: [&str; 5] = [
    "lock",
    "fusion.db",
    "fusion.db-lock",
    "fusion.db-wal",
    "fusion.db-shm",
];

/// What keeps a new directory out of a git repository around it: there are tokens and keys in it.
const IGNORE: &str = "*\n";

/// How often taking a directory is tried: another command may look at it for a moment.
const TRIES: u32 = 5;

/// The wait between two tries.
const BETWEEN: Duration = Duration::from_millis(20);

impl DataDir {
    /// The given directory, or the default one below the current folder, as an absolute path.
    pub(crate) fn new(given: Option<PathBuf>) -> Result<Self, Problem> {
        let path = given.clone().unwrap_or_else(|| PathBuf::from(DEFAULT));
        let path = std::path::absolute(&path).map_err(|error| {
            Problem::new(
                ProblemKind::InvalidInput,
                format!(
                    "the data directory '{}' can't be used: {error}",
                    path.display()
                ),
            )
        })?;
        Ok(Self { path, given })
    }

    /// A command line that works on this directory.
    pub(crate) fn command(&self, words: &str) -> String {
        match &self.given {
            Some(given) => {
                let given = fusion_cli::shell_word(&given.to_string_lossy());
                format!("fusion-kit {words} --data-dir {given}")
            }
            None => format!("fusion-kit {words}"),
        }
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

    /// Where the files of steps are kept.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.archives().with_file_name("artifacts")
    }

    pub(crate) fn archives(&self) -> PathBuf {
        self.path.join("archives")
    }

    /// The file with the token of a server on this directory.
    pub(crate) fn token(&self) -> PathBuf {
        self.path.join("token")
    }

    /// The file that says where a server on this directory listens.
    pub(crate) fn announcement(&self) -> PathBuf {
        self.path.join("server.json")
    }

    /// The server that owns this directory now and answers requests.
    pub(crate) fn server(&self) -> Option<ServerReady> {
        self.owner().filter(|server| !server.url.is_empty())
    }

    /// The server that owns this directory now, also one that answers no requests: its address is empty then.
    /// What a dead one announced does not count: its lock went with it, and its port may be another
    /// program's.
    pub(crate) fn owner(&self) -> Option<ServerReady> {
        let text = fs::read(self.announcement()).ok()?;
        let server: ServerReady = serde_json::from_slice(&text).ok()?;
        let mut lock = File::open(self.lock_file()).ok()?;
        if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut owner = String::new();
        lock.read_to_string(&mut owner).ok()?;
        (owner.trim() == server.pid.to_string()).then_some(server)
    }

    /// The file that a server in the background logs to.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// The page that leads a browser of this machine to the sign-in.
    pub(crate) fn sign_in_page(&self) -> PathBuf {
        self.path.join("sign-in.html")
    }

    /// The file whose lock its owner holds.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Whether it holds data.
    pub(crate) fn exists(&self) -> bool {
        self.database().exists()
    }

    /// Makes the directory when it is missing.
    pub(crate) fn prepare(&self) -> Result<Prepared, Problem> {
        let mut fresh = make_folders(&self.path).map_err(|error| self.not_usable(&error))?;
        // Not in a folder where somebody keeps anything else.
        if is_empty(&self.path) {
            fresh.push(self.path.join(".gitignore"));
            if let Err(error) = self.write_ignore() {
                // On a full disk there is a file all the same.
                remove(&fresh);
                return Err(self.not_usable(&error));
            }
        }
        Ok(Prepared(fresh))
    }

    /// Keeps it out of a git repository around it.
    pub(crate) fn write_ignore(&self) -> io::Result<()> {
        fs::write(self.path.join(".gitignore"), IGNORE)
    }

    /// Makes the directory when it is missing and takes it.
    pub(crate) async fn own(&self) -> Result<Owned, Problem> {
        let Prepared(mut fresh) = self.prepare()?;
        match self.take().await {
            Ok(lock) => {
                // Looked at under the lock: before it, another process may have been at work.
                if !self.exists() {
                    fresh.extend(FILES.map(|name| self.path.join(name)));
                }
                Ok(Owned { _lock: lock, fresh })
            }
            Err(TryLockError::WouldBlock) => Err(self.busy()),
            Err(TryLockError::Error(error)) => {
                if !fresh.is_empty() {
                    fresh.push(self.lock_file());
                }
                remove(&fresh);
                Err(self.not_usable(&error))
            }
        }
    }

    async fn take(&self) -> Result<File, TryLockError> {
        let mut tries = 1;
        loop {
            match self.try_take() {
                Err(TryLockError::WouldBlock) if tries < TRIES => tries += 1,
                taken => return taken,
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    fn try_take(&self) -> Result<File, TryLockError> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut lock = options
            .open(self.lock_file())
            .map_err(TryLockError::Error)?;
        lock.try_lock()?;
        if !self.is_lock_file(&lock) {
            // Its owner took it away again: what we hold guards nothing.
            return Err(TryLockError::WouldBlock);
        }
        let pid = std::process::id().to_string();
        lock.set_len(0)
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .map_err(TryLockError::Error)?;
        Ok(lock)
    }

    /// Whether an open file is still the one that others would lock.
    fn is_lock_file(&self, lock: &File) -> bool {
        let same = lock.metadata().and_then(|held| {
            let named = fs::metadata(self.lock_file())?;
            Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
        });
        same.unwrap_or(false)
    }

    /// The refusal of a second process.
    fn busy(&self) -> Problem {
        let pid = fs::read_to_string(self.lock_file()).unwrap_or_default();
        let serves = self
            .server()
            .map(|server| format!(", which serves {},", server.url));
        let message = format!(
            "another fusion-kit (pid {pid}){} works in the data directory {}",
            serves.unwrap_or_default(),
            self.path.display()
        );
        Problem::new(ProblemKind::Conflict, message)
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

impl Prepared {
    /// Takes away what was not there before [`DataDir::prepare`].
    pub(crate) fn undo(self) {
        remove(&self.0);
    }
}

impl Owned {
    /// Gives the directory up and takes away what was not there before [`DataDir::own`]. For a
    /// command that was refused before it had anything to keep.
    pub(crate) fn undo(self) {
        remove(&self.fresh);
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
        let created = fs::create_dir(folder).map(|()| made.push(folder.to_path_buf()));
        // Others may pass through, to reach their own workspace, but not look around; a strict
        // umask must not keep them out.
        let opened =
            created.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o711)));
        if let Err(error) = opened {
            remove(&made);
            return Err(error);
        }
    }
    if !path.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    Ok(made)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes files and then folders, which must be empty: the innermost first.
fn remove(fresh: &[PathBuf]) {
    for path in fresh.iter().rev() {
        let removed = if path.is_dir() {
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "what was made in vain could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
