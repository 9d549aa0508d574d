//! The work of `verify --fix`: what can be put right without asking and without losing anything.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fusion_api_types::{CheckView, Problem};
use fusion_persistence_sql::Location;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::process::geteuid;

use crate::backend::LocalBackend;
use crate::data_dir::DataDir;
use crate::master_key::KeySource;

/// The rights of others in a file that holds keys, tokens or rows.
const OTHERS: u32 = 0o077;

/// The right of others to write in a folder.
const OTHERS_WRITE: u32 = 0o022;

/// What to do about a token that others may have read.
const RENEW: &str = "if one of them may have read it, take it away with `token revoke`, remove the file and start the server anew";

/// What lies beside a database file and holds parts of it.
const BESIDE_DATABASE: [&str; 4] = ["", "-wal", "-shm", "-lock"];

impl LocalBackend {
    /// Puts right what can be, and says what it did.
    pub(crate) async fn mend_here(&self) -> Result<Vec<String>, Problem> {
        let place = self.place()?;
        let data_dir = self.data_dir()?;
        let home = Home::of(&data_dir);
        let mut mended: Vec<String> = Vec::new();
        mended.extend(home.close_folder());
        let mut files = vec![data_dir.log()];
        if let Location::File(database, _) = place.location() {
            files.extend(BESIDE_DATABASE.map(|ending| beside(database, ending)));
        }
        let was_open = home.close(&data_dir.token());
        mended.extend(was_open.map(|told| format!("{told}: {RENEW}")));
        mended.extend(files.iter().filter_map(|file| home.close(file)));
        if let Ok(KeySource::File(file)) = KeySource::of(self.config()) {
            mended.extend(home.close(&file));
        }
        mended.extend(home.forget_server(&data_dir).await);
        mended.extend(home.ignore());
        Ok(mended)
    }

    /// Whether nobody else can put files into the data directory.
    pub(crate) fn check_data_dir(&self) -> Result<CheckView, Problem> {
        let path = self.data_dir()?.path().to_path_buf();
        let mode = fs::metadata(&path).map_or(0, |found| found.mode() & 0o7777);
        let is_open = mode & OTHERS_WRITE != 0;
        let shown = fusion_cli::shell_word(&path.to_string_lossy());
        Ok(CheckView {
            name: "data directory".to_owned(),
            note: Some(path.display().to_string()).filter(|_| !is_open),
            fault: is_open.then(|| format!("other users can write in it (mode {mode:04o})")),
            help: is_open.then(|| format!("chmod go-w {shown}")),
        })
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    PathBuf::from(name)
}

/// The data directory. What is done in it is done by its descriptor: its name may lead elsewhere by then.
struct Home {
    path: PathBuf,
    /// The same without links on the way, where it is there.
    real: Option<PathBuf>,
    /// Where it is a folder of this user's and no link; else nothing is touched in it.
    folder: Option<File>,
}

impl Home {
    fn of(data_dir: &DataDir) -> Self {
        // With a slash at its end a link would be followed.
        let path: PathBuf = data_dir.path().components().collect();
        let found = own(CWD, &path).filter(|(_, found)| found.is_dir());
        Self {
            real: fs::canonicalize(&path).ok(),
            folder: found.map(|(folder, _)| folder),
            path,
        }
    }

    /// A file itself, where this user owns it and may have it changed where it lies.
    fn find(&self, file: &Path) -> Option<(File, Metadata)> {
        let file = std::path::absolute(file).ok()?;
        let name = file.file_name()?;
        let above = fs::canonicalize(file.parent()?).ok()?;
        let real = self.real.as_ref();
        match real.and_then(|real| above.strip_prefix(real).ok()) {
            Some(below) => own(self.folder.as_ref()?.as_fd(), &below.join(name)),
            None => own(CWD, &above.join(name)),
        }
    }

    /// Closes a file to other users. One that has another name, too, may be somebody else's business.
    fn close(&self, file: &Path) -> Option<String> {
        let (open, found) = self.find(file)?;
        let mode = found.mode() & 0o7777;
        if !found.is_file() || found.nlink() != 1 || mode & OTHERS == 0 {
            return None;
        }
        let closed = mode & !OTHERS;
        fs::set_permissions(by_descriptor(&open), Permissions::from_mode(closed)).ok()?;
        let file = file.display();
        Some(format!(
            "{file} is closed to other users, who could open it until now (mode {mode:04o}, now {closed:04o})"
        ))
    }

    /// Takes the right to write in the data directory from other users.
    fn close_folder(&self) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let mode = folder.metadata().ok()?.mode() & 0o7777;
        if mode & OTHERS_WRITE == 0 {
            return None;
        }
        let closed = mode & !OTHERS_WRITE;
        fs::set_permissions(by_descriptor(folder), Permissions::from_mode(closed)).ok()?;
        let path = self.path.display();
        Some(format!(
            "other users can no longer write in {path} (mode {mode:04o}, now {closed:04o})"
        ))
    }

    /// Takes away what a server left behind that was killed: commands pass it over, other programs may not.
    async fn forget_server(&self, data_dir: &DataDir) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let left = [data_dir.announcement(), data_dir.sign_in_page()];
        let left: Vec<PathBuf> = left
            .into_iter()
            .filter(|file| self.find(file).is_some())
            .collect();
        if left.is_empty() {
            return None;
        }
        // Whoever has it can't be starting at this moment.
        let held = data_dir.own().await.ok()?;
        let removed = |file: &&PathBuf| {
            let name = file.file_name();
            name.is_some_and(|name| unlinkat(folder, name, AtFlags::empty()).is_ok())
        };
        let gone = left.iter().filter(removed);
        let gone: Vec<String> = gone.map(|file| file.display().to_string()).collect();
        drop(held);
        (!gone.is_empty()).then(|| {
            format!(
                "removed what a server left that is gone: {}",
                gone.join(", ")
            )
        })
    }

    /// Keeps a data directory out of a git repository around it, as a new one is. One in which somebody keeps
    /// anything else is left alone, and one in which somebody else can write.
    fn ignore(&self) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let inside = DataDir::new(Some(by_descriptor(folder))).ok()?;
        let is_open = folder.metadata().ok()?.mode() & OTHERS_WRITE != 0;
        let is_there = fs::symlink_metadata(inside.path().join(".gitignore")).is_ok();
        if is_open || is_there || !inside.exists() {
            return None;
        }
        let mut entries = fs::read_dir(inside.path()).ok()?;
        let is_only_ours =
            entries.all(|entry| entry.is_ok_and(|it| is_ours(it.file_name().as_bytes())));
        if !is_only_ours {
            return None;
        }
        inside.write_ignore().ok()?;
        let file = self.path.join(".gitignore");
        let path = file.display();
        Some(format!(
            "made {path}, so that git leaves tokens and rows out"
        ))
    }
}

/// What a name itself is, where this user owns it: a link is not followed. It is not opened to be read: to close
/// a database file would take the locks away that this process may have on it.
fn own(folder: BorrowedFd<'_>, path: &Path) -> Option<(File, Metadata)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = File::from(openat(folder, path, flags, Mode::empty()).ok()?);
    let found = open.metadata().ok()?;
    (found.uid() == geteuid().as_raw()).then_some((open, found))
}

/// A descriptor as a name: another name could have become a link since.
fn by_descriptor(open: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()))
}

/// Whether an entry of a data directory was made by this program.
fn is_ours(name: &[u8]) -> bool {
    let known: [&[u8]; 8] = [
        b"lock",
        b"token",
        b"server.json",
        b"server.log",
        b"sign-in.html",
        b"workspaces",
        b"archives",
        b"artifacts",
    ];
    known.contains(&name) || name.starts_with(b"fusion.db")
}
