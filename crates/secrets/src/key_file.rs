//! The file that keeps the master key: one key a line, the current one first.
//!
//! Every write makes a new file beside it, syncs it, puts it in its place in one step, and syncs
//! the folder; a crash at any moment leaves the old or the new content. Writers take turns by a
//! lock on the folder.

mod folder;

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::key::KEY_DIGITS;
use crate::{Error, KeyId, MasterKey, Result, Vault};

use folder::Folder;

/// The most that a key file may hold, in bytes.
const MAX_FILE: usize = 4096;

/// Written on top. Lines that begin with '#' are not read.
const HEADER: &str = "\
# The master key of fusion-kit: stored credentials are encrypted with it.
# Keep it secret, and keep a copy of it apart from copies of the database.
";

/// The permission bits of everyone but the owner.
const OTHERS: u32 = 0o077;

/// A key file and what was read from it.
///
/// A rekey goes `stage`, then every stored value is opened and sealed again with a [`Vault`] made
/// after it, then `retire`. At each moment the file on disk opens every value that may be stored:
/// the new key is on disk before anything is sealed with it, and the old one stays until nothing
/// is. A rekey that was cut off is taken up by doing it again.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    current: MasterKey,
    older: Vec<MasterKey>,
}

impl KeyFile {
    /// Reads the key file; makes one with a new key and mode 0600 where there is none. Processes
    /// that do this at once end with the same key. The folder must exist.
    ///
    /// # Errors
    /// As for [`Self::load`], and when the file can't be made.
    pub fn load_or_create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if let Some(found) = Self::find(&path)? {
            // Who made it may not have got to this yet, and what is sealed from here on must not
            // outlive the key.
            Folder::of(&path)?.sync()?;
            return Ok(found);
        }
        let folder = Folder::lock(&path)?;
        if let Some(found) = Self::find(&path)? {
            folder.sync()?;
            return Ok(found);
        }
        let made = Self {
            path,
            current: MasterKey::generate()?,
            older: Vec::new(),
        };
        if folder.create(&made.path, &made.text())? {
            Ok(made)
        } else {
            Self::load(made.path)
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// There is none, it is a link or no plain file, others than its owner have rights on it, or
    /// it holds something else than keys.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        Self::find(&path)?.ok_or(Error::NoKeyFile { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the key that new values are sealed with.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.current.id()
    }

    /// Whether a rekey was begun and not ended: older keys are still there.
    #[must_use]
    pub const fn is_staged(&self) -> bool {
        !self.older.is_empty()
    }

    /// A vault with the keys as they are now.
    #[must_use]
    pub fn vault(&self) -> Vault {
        Vault::new(self.current.clone(), self.older.clone())
    }

    /// Begins a rekey: puts a new key before the one at hand, on disk and here. When a rekey is
    /// under way already, its new key is taken and none is made. After an error the file holds
    /// the keys of before or those of after; both open everything.
    ///
    /// # Errors
    /// The file can't be read or replaced.
    pub fn stage(&mut self) -> Result<()> {
        let folder = Folder::lock(&self.path)?;
        let mut found = Self::load(&self.path)?;
        if found.is_staged() {
            folder.sync()?;
        } else {
            let new = MasterKey::generate()?;
            found.older.push(mem::replace(&mut found.current, new));
            folder.replace(&found.path, &found.text())?;
        }
        *self = found;
        Ok(())
    }

    /// Ends a rekey: takes the older keys away, on disk and here. Whatever is still sealed with
    /// them is lost, so no stored value may be, in the database that all processes use.
    ///
    /// # Errors
    /// [`Error::Changed`] when the file holds a key that this value does not know as older; the
    /// file can't be read or replaced.
    pub fn retire(&mut self) -> Result<()> {
        let folder = Folder::lock(&self.path)?;
        let mut found = Self::load(&self.path)?;
        let known = |key: &MasterKey| self.older.iter().any(|ours| ours.id() == key.id());
        if found.key_id() != self.key_id() || !found.older.iter().all(known) {
            return Err(Error::Changed { path: found.path });
        }
        if found.is_staged() {
            found.older.clear();
            folder.replace(&found.path, &found.text())?;
        } else {
            folder.sync()?;
        }
        *self = found;
        Ok(())
    }

    fn find(path: &Path) -> Result<Option<Self>> {
        let Some(text) = read(path)? else {
            return Ok(None);
        };
        let content = |fault| Error::Content {
            path: path.to_owned(),
            fault,
        };
        let mut keys = parse(&text).map_err(content)?.into_iter();
        let current = keys
            .next()
            .ok_or_else(|| content("it holds no key".to_owned()))?;
        Ok(Some(Self {
            path: path.to_owned(),
            current,
            older: keys.collect(),
        }))
    }

    /// What the file holds.
    fn text(&self) -> Zeroizing<String> {
        // All of the room at once: growing would leave a copy behind.
        let room = HEADER.len() + (1 + self.older.len()) * (KEY_DIGITS + 1);
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(HEADER);
        for key in std::iter::once(&self.current).chain(&self.older) {
            key.write_digits(&mut text);
            text.push('\n');
        }
        text
    }
}

/// The content of the file, when there is one and only its owner has rights on it.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let about = file.metadata().map_err(Error::io("look at", path))?;
    if !about.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    if about.mode() & OTHERS != 0 {
        return Err(Error::WideMode {
            path: path.to_owned(),
            mode: about.mode() & 0o7777,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    file.take(MAX_FILE as u64 + 1)
        .read_to_end(&mut text)
        .map_err(Error::io("read", path))?;
    Ok(Some(text))
}

/// Never through a link, and without waiting for the other end of a pipe.
fn open(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::NOENT) => Ok(None),
        // A link, and a socket.
        Err(Errno::LOOP | Errno::NXIO) => Err(Error::NotAFile {
            path: path.to_owned(),
        }),
        Err(error) => Err(Error::io("open", path)(io::Error::from(error))),
    }
}

/// The keys of a key file, or what is wrong with it.
fn parse(text: &[u8]) -> Result<Vec<MasterKey>, String> {
    if text.len() > MAX_FILE {
        return Err(format!("it has more than {MAX_FILE} bytes"));
    }
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let key =
            MasterKey::from_text(line).ok_or_else(|| format!("line {number} is not a key"))?;
        keys.push(key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
