//! The work of `verify --fix`: what can be put right without asking and without losing anything.

use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fusion_api_types::{CheckView, Problem};
use fusion_persistence_sql::Location;
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
        let mut mended: Vec<String> = Vec::new();
        mended.extend(close_folder(data_dir.path()));
        let mut files = vec![data_dir.log()];
        if let Location::File(database, _) = place.location() {
            files.extend(BESIDE_DATABASE.map(|ending| beside(database, ending)));
        }
        let was_open = close(&data_dir.token());
        mended.extend(was_open.map(|told| format!("{told}: {RENEW}")));
        mended.extend(files.iter().filter_map(|file| close(file)));
        if let Ok(KeySource::File(file)) = KeySource::of(self.config()) {
            mended.extend(close(&file));
        }
        mended.extend(forget_server(&data_dir).await);
        mended.extend(ignore(&data_dir));
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

/// What is known of a path itself, where this user owns it: a link is not followed.
fn own(path: &Path) -> Option<Metadata> {
    let found = fs::symlink_metadata(path).ok()?;
    (found.uid() == geteuid().as_raw()).then_some(found)
}

/// Closes a file to other users.
fn close(file: &Path) -> Option<String> {
    let mode = own(file).filter(Metadata::is_file)?.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return None;
    }
    let closed = mode & !OTHERS;
    fs::set_permissions(file, Permissions::from_mode(closed)).ok()?;
    let file = file.display();
    Some(format!(
        "{file} is closed to other users, who could open it until now (mode {mode:04o}, now {closed:04o})"
    ))
}

/// Takes the right to write in a folder from other users.
fn close_folder(folder: &Path) -> Option<String> {
    let mode = own(folder).filter(Metadata::is_dir)?.mode() & 0o7777;
    if mode & OTHERS_WRITE == 0 {
        return None;
    }
    let closed = mode & !OTHERS_WRITE;
    fs::set_permissions(folder, Permissions::from_mode(closed)).ok()?;
    let folder = folder.display();
    Some(format!(
        "other users can no longer write in {folder} (mode {mode:04o}, now {closed:04o})"
    ))
}

/// Takes away what a server left behind that was killed: commands pass it over, other programs may not.
async fn forget_server(data_dir: &DataDir) -> Option<String> {
    let left = [data_dir.announcement(), data_dir.sign_in_page()];
    let left: Vec<PathBuf> = left
        .into_iter()
        .filter(|file| own(file).is_some())
        .collect();
    if left.is_empty() {
        return None;
    }
    // Whoever has it can't be starting at this moment.
    let held = data_dir.own().await.ok()?;
    let gone = left.iter().filter(|file| fs::remove_file(file).is_ok());
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
/// anything else is left alone.
fn ignore(data_dir: &DataDir) -> Option<String> {
    let file = data_dir.path().join(".gitignore");
    if !data_dir.exists() || fs::symlink_metadata(&file).is_ok() {
        return None;
    }
    let mut entries = fs::read_dir(data_dir.path()).ok()?;
    let is_only_ours =
        entries.all(|entry| entry.is_ok_and(|it| is_ours(it.file_name().as_bytes())));
    if !is_only_ours {
        return None;
    }
    data_dir.write_ignore().ok()?;
    let path = file.display();
    Some(format!(
        "made {path}, so that git leaves tokens and rows out"
    ))
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
