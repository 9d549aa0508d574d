//! Makes a workspace what it was when a snapshot in the shared storage was taken.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use super::super::depot::folder::make_folder;
use super::super::depot::is_depot_name;
use super::super::manifest::{Entry, Kept, Manifest, Stamp, boot, copy};
use super::super::{PutBack, put_back};
use super::{Listed, Listing, PIECE, STAGED, SharedSnapshots, VERSION};
use crate::descriptor::Draft;
use crate::{Error, Result, WorkspaceDir};

/// More than sealing adds to a piece.
const SEALED: u64 = 1024;

/// The longest list of what is in a workspace, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

impl SharedSnapshots {
    /// Makes a workspace what it was when the snapshot of this name was taken, but for `.agent` and `logs`.
    ///
    /// # Errors
    /// There is no such snapshot, it is damaged or was sealed with another key, or a step failed; the
    /// workspace may be half made then.
    pub fn restore(&self, name: &str, workspace: &WorkspaceDir) -> Result<PutBack> {
        let place = self.place.join(name);
        let restore = || {
            let (writer, listing) = name
                .split_once('/')
                .filter(|(writer, listing)| is_depot_name(writer) && is_depot_name(listing))
                .ok_or_else(|| io::Error::other("that is no name of a snapshot"))?;
            let listing = self.read(writer, listing, LONGEST)?;
            let listing: Listing = serde_json::from_slice(&listing)?;
            if listing.version != VERSION {
                let what = format!("its form {} is not known here", listing.version);
                return Err(io::Error::other(what));
            }
            let manifest = self.fetch(writer, &listing)?;
            put_back::put_back(&self.staged.folder, workspace, &manifest)
        };
        let restored = restore().map_err(Error::io("restore a workspace from", place))?;
        self.follow(Some(name));
        Ok(restored)
    }

    /// Copies everything to the own disk.
    fn fetch(&self, writer: &str, listing: &Listing) -> io::Result<Manifest> {
        self.staged.discard().map_err(io::Error::other)?;
        // The copies are counted anew.
        self.state().pieces.clear();
        let folder = &self.staged.folder;
        make_folder(folder)?;
        let mut manifest = Manifest {
            name: STAGED.to_owned(),
            boot: boot()?,
            ..Manifest::default()
        };
        for (path, listed) in &listing.entries {
            let entry = match listed {
                Listed::Folder { mode } => Entry::Folder { mode: *mode },
                Listed::Link { target } => Entry::Link {
                    target: target.clone(),
                },
                Listed::File {
                    mode,
                    modified,
                    bytes,
                    pieces,
                } => {
                    let number = manifest.next;
                    manifest.next += 1;
                    let found = self.fetch_file(writer, pieces, number)?;
                    if found != *bytes {
                        let what = format!("{path} has {found} bytes and should have {bytes}");
                        return Err(io::Error::other(what));
                    }
                    Entry::File(Kept {
                        mode: *mode,
                        modified: *modified,
                        stamp: Stamp {
                            file: 0,
                            size: i64::try_from(*bytes).unwrap_or_default(),
                            changed: (0, 0),
                        },
                        is_sure: false,
                        copy: number,
                    })
                }
            };
            manifest.entries.insert(path.clone(), entry);
        }
        let open = File::open(folder)?;
        manifest.place(Draft::create(open.as_fd())?, &open)?;
        Ok(manifest)
    }

    /// Puts the pieces of a file together; says how long it is.
    fn fetch_file(&self, writer: &str, pieces: &[String], number: u64) -> io::Result<u64> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(copy(&self.staged.folder, number))?;
        let mut bytes = 0_u64;
        for piece in pieces {
            let content = self.read(writer, piece, PIECE)?;
            file.write_all(&content)?;
            let more = u64::try_from(content.len()).unwrap_or(u64::MAX);
            bytes = bytes.saturating_add(more);
        }
        Ok(bytes)
    }

    /// Reads and opens a file of the snapshot.
    fn read(&self, writer: &str, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        if !is_depot_name(name) {
            return Err(io::Error::other("it names a file that can't be there"));
        }
        let shelf = self.shelf_of(writer);
        let sealed = self.depot.get(shelf, name, limit + SEALED)?;
        self.seal.open(&self.owner, name, &sealed)
    }
}
