//! Makes a workspace what it was when a snapshot in the shared storage was taken.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use super::super::depot::folder::make_folder;
use super::super::depot::is_depot_name;
use super::super::manifest::{Entry, Kept, Manifest, Stamp, boot, copy};
use super::super::{PutBack, put_back};
use super::{Listed, Listing, PIECE, STAGED, SharedSnapshots, TOGETHER, VERSION, bytes};
use crate::descriptor::Draft;
use crate::{Error, Result, WorkspaceDir};

/// More than sealing adds to a piece.
const SEALED: u64 = 1024;

/// Pieces that are read together at most.
const AT_ONCE: usize = 256;

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
        let mut ahead = Ahead::of(self, writer, listing);
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
                    let found = self.fetch_file(&mut ahead, pieces.len(), number)?;
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
    fn fetch_file(&self, ahead: &mut Ahead<'_>, pieces: usize, number: u64) -> io::Result<u64> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(copy(&self.staged.folder, number))?;
        let mut found = 0_u64;
        for _ in 0..pieces {
            let content = ahead.next_piece()?;
            file.write_all(&content)?;
            found = found.saturating_add(bytes(&content));
        }
        Ok(found)
    }

    /// Reads and opens a file of the snapshot.
    fn read(&self, writer: &str, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        named(name)?;
        let shelf = self.shelf_of(writer);
        let sealed = self.depot.get(shelf, name, limit + SEALED)?;
        self.seal.open(&self.owner, name, &sealed)
    }
}

/// The pieces of a snapshot in the order in which they are needed, some read together.
struct Ahead<'a> {
    snapshots: &'a SharedSnapshots,
    writer: &'a str,
    /// Names, with how long their contents should be.
    wanted: VecDeque<(&'a str, u64)>,
    found: VecDeque<(&'a str, Vec<u8>)>,
}

impl<'a> Ahead<'a> {
    fn of(snapshots: &'a SharedSnapshots, writer: &'a str, listing: &'a Listing) -> Self {
        let mut wanted = VecDeque::new();
        for listed in listing.entries.values() {
            if let Listed::File { bytes, pieces, .. } = listed {
                let mut left = *bytes;
                for piece in pieces {
                    let size = left.min(PIECE);
                    wanted.push_back((piece.as_str(), size));
                    left -= size;
                }
            }
        }
        Self {
            snapshots,
            writer,
            wanted,
            found: VecDeque::new(),
        }
    }

    /// What the next piece holds.
    fn next_piece(&mut self) -> io::Result<Vec<u8>> {
        if self.found.is_empty() {
            self.read_some()?;
        }
        let (name, sealed) = self
            .found
            .pop_front()
            .ok_or_else(|| io::Error::other("it has fewer pieces than it lists"))?;
        let snapshots = self.snapshots;
        snapshots.seal.open(&snapshots.owner, name, &sealed)
    }

    fn read_some(&mut self) -> io::Result<()> {
        let mut names = Vec::new();
        let mut bytes = 0;
        while let Some((name, size)) = self.wanted.pop_front() {
            named(name)?;
            names.push(name);
            bytes += size;
            if bytes >= TOGETHER || names.len() >= AT_ONCE {
                break;
            }
        }
        let shelf = self.snapshots.shelf_of(self.writer);
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let limit = PIECE + SEALED;
        let contents = self.snapshots.depot.get_all(shelf, &owned, limit)?;
        self.found.extend(names.into_iter().zip(contents));
        Ok(())
    }
}

fn named(name: &str) -> io::Result<()> {
    if is_depot_name(name) {
        return Ok(());
    }
    Err(io::Error::other("it names a file that can't be there"))
}
