//! The folder of a key file: where new content is made and put in its place.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// An open folder. A lock on it ends with this value.
pub(super) struct Folder {
    path: PathBuf,
    handle: File,
}

impl Folder {
    /// The folder of this file.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let path = match file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let handle = File::open(&path).map_err(Error::io("open the folder", &path))?;
        Ok(Self { path, handle })
    }

    /// The folder of this file, once no other process writes a key file in it.
    pub(super) fn lock(file: &Path) -> Result<Self> {
        let folder = Self::of(file)?;
        folder
            .handle
            .lock()
            .map_err(Error::io("lock the folder", &folder.path))?;
        Ok(folder)
    }

    /// Puts a file with this content where none is; tells whether it did.
    pub(super) fn create(&self, path: &Path, text: &str) -> Result<bool> {
        let made = match self.prepare(path, text)?.persist_noclobber(path) {
            Ok(_) => true,
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(failed) => return Err(Error::io("make the key file", path)(failed.error)),
        };
        self.sync()?;
        Ok(made)
    }

    /// Puts a file with this content in the place of the one there.
    pub(super) fn replace(&self, path: &Path, text: &str) -> Result<()> {
        self.prepare(path, text)?
            .persist(path)
            .map_err(|failed| Error::io("replace the key file", path)(failed.error))?;
        self.sync()
    }

    /// Makes sure that what stands in the folder now stands there after a loss of power.
    pub(super) fn sync(&self) -> Result<()> {
        self.handle
            .sync_all()
            .map_err(Error::io("sync the folder", &self.path))
    }

    /// Writes the content beside the file, safe on disk, not yet in its place. The name is always
    /// the same, so that what a crash left there, keys among it, goes away at the next write.
    pub(super) fn prepare(&self, path: &Path, text: &str) -> Result<NamedTempFile> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let beside = self.path.join(&name);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &beside)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let made = tempfile::Builder::new()
            .prefix(&name)
            .rand_bytes(0)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(&self.path);
        let mut file = made.map_err(Error::io("make", &beside))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(Error::io("write", &beside))?;
        Ok(file)
    }
}
