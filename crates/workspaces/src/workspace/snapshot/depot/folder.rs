//! Pieces of snapshots as files in a folder that all machines mount.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use super::{Depot, Shelf, is_depot_name};
use crate::descriptor::Draft;

/// The folder, in the shared one, of the snapshots.
const FOLDER: &str = "snapshots";

/// What is written to prove that something can be.
const PROBE: &[u8] = b"fusion-kit";

/// The rights of files that only this user reads.
const OWN: Mode = Mode::RUSR.union(Mode::WUSR);

/// A folder with one for each owner, and in it one for each writer.
#[derive(Debug)]
pub struct FolderDepot {
    folder: PathBuf,
}

impl FolderDepot {
    /// Below this folder; touches nothing yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let folder = root.join(FOLDER);
        Self { folder }
    }

    fn shelf(&self, shelf: Shelf<'_>) -> PathBuf {
        self.folder.join(shelf.owner).join(shelf.writer)
    }
}

impl Depot for FolderDepot {
    fn place(&self) -> &Path {
        &self.folder
    }

    fn preflight(&self, id: &str) -> io::Result<()> {
        make_folder(&self.folder)?;
        let folder = File::open(&self.folder)?;
        // No name of an owner.
        let name = format!(".probe-{id}");
        Draft::write(folder.as_fd(), PROBE, OWN, None)?.place_unsynced(folder.as_fd(), &name)?;
        let path = self.folder.join(name);
        let read = fs::read(&path);
        fs::remove_file(&path)?;
        if read? != PROBE {
            return Err(io::Error::other(
                "what was written there can't be read again",
            ));
        }
        Ok(())
    }

    fn put(&self, shelf: Shelf<'_>, name: &str, content: &[u8]) -> io::Result<()> {
        let folder = self.shelf(shelf);
        make_folder(&folder)?;
        let folder = File::open(&folder)?;
        let draft = Draft::write(folder.as_fd(), content, OWN, None)?;
        // Its name is on the disk with the last one.
        draft.file().sync_all()?;
        draft.place_unsynced(folder.as_fd(), name)
    }

    fn sync(&self, shelf: Shelf<'_>) -> io::Result<()> {
        File::open(self.shelf(shelf))?.sync_all()
    }

    fn get(&self, shelf: Shelf<'_>, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.shelf(shelf).join(name))?;
        if file.metadata()?.len() > limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    fn remove(&self, shelf: Shelf<'_>, name: &str) -> io::Result<()> {
        unless_missing(fs::remove_file(self.shelf(shelf).join(name)))
    }

    fn clear(&self, shelf: Shelf<'_>) -> io::Result<()> {
        unless_missing(fs::remove_dir_all(self.shelf(shelf)))
    }

    fn clear_owner(&self, owner: &str) -> io::Result<()> {
        unless_missing(fs::remove_dir_all(self.folder.join(owner)))
    }

    fn owners(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        let mut names = names.collect::<io::Result<Vec<String>>>()?;
        names.retain(|name| is_depot_name(name));
        names.sort();
        Ok(names)
    }
}

/// Makes a folder that only this user enters, with those above it.
pub(in super::super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::FolderDepot;

    crate::depot_conformance!(|| {
        let root = tempfile::tempdir().unwrap();
        (FolderDepot::new(&root.path().join("shared")), root)
    });
}
