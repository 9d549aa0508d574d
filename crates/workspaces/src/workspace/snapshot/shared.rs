//! Snapshots of workspaces in a place that several machines reach, so that another one can go on where
//! one died. What the place is, a [`Depot`] knows.
//!
//! A snapshot is a list of what there is and the content in pieces, each sealed and named after what is in
//! it by who has the key: what did not change is there already. They are taken from copies on the own disk
//! that nobody changes meanwhile. Each process writes onto a shelf of its own and removes there what the
//! last two snapshots do not need; so one that was cut off and comes back takes nothing from who went on.

mod restore;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::depot::{Depot, Shelf, is_depot_name};
use super::manifest::{Entry, Manifest, copy};
use super::{Snapshot, Taken};
use crate::{Error, Result, WorkspaceDir};

/// Bytes of a piece at most.
const PIECE: u64 = 4 * 1024 * 1024;

/// Bytes of pieces that are read or written together at most.
const TOGETHER: u64 = 32 * 1024 * 1024;

/// What a snapshot on the own disk is called that is taken to be shared.
const STAGED: &str = "shared";

/// What keeps others from reading what leaves this machine.
pub trait Seal: Debug + Send + Sync {
    /// What a content is called: the same for the same content, and telling nothing of it to who lacks the
    /// key. Letters and digits.
    fn name_of(&self, content: &[u8]) -> String;

    /// Seals a content for an owner, under a name.
    ///
    /// # Errors
    /// It can't be sealed.
    fn seal(&self, owner: &str, name: &str, content: &[u8]) -> io::Result<Vec<u8>>;

    /// Opens what was sealed for this owner under this name.
    ///
    /// # Errors
    /// It is something else, was changed, or was sealed with another key.
    fn open(&self, owner: &str, name: &str, sealed: &[u8]) -> io::Result<Vec<u8>>;
}

/// The place for snapshots that several machines share. Every method blocks.
#[derive(Debug, Clone)]
pub struct SharedPlace {
    depot: Arc<dyn Depot>,
    seal: Arc<dyn Seal>,
}

/// The snapshots of one workspace, as this process takes and reads them. Every method blocks.
#[derive(Debug)]
pub struct SharedSnapshots {
    depot: Arc<dyn Depot>,
    /// Where all snapshots of this workspace are, for people.
    place: PathBuf,
    owner: String,
    writer: String,
    staged: Snapshot,
    seal: Arc<dyn Seal>,
    state: Mutex<State>,
}

/// What this process knows of its own shelf.
#[derive(Debug, Default)]
struct State {
    /// The pieces of copies on the own disk.
    pieces: HashMap<u64, Vec<String>>,
    /// What is on the shelf.
    present: BTreeSet<String>,
    /// The newest that the store may name.
    newest: Option<Named>,
    /// The one that the store names.
    settled: Option<Named>,
    /// Who wrote the one before the first of this process.
    before: Option<String>,
}

/// Sealed pieces that are still to be written, by their names.
#[derive(Debug, Default)]
struct Waiting {
    pieces: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

/// A snapshot of this process, and the files that it needs.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    needs: BTreeSet<String>,
}

/// Everything that was in a workspace.
#[derive(Debug, Serialize, Deserialize)]
struct Listing {
    version: u32,
    /// By the path from the workspace's root.
    entries: BTreeMap<String, Listed>,
}

/// A file, folder or link.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Listed {
    Folder {
        mode: u32,
    },
    Link {
        target: String,
    },
    File {
        mode: u32,
        /// When its content changed last: seconds and nanoseconds.
        modified: (i64, i64),
        bytes: u64,
        pieces: Vec<String>,
    },
}

/// The form of listings.
const VERSION: u32 = 1;

impl SharedPlace {
    /// Wherever the depot is. Touches nothing yet.
    #[must_use]
    pub fn new(depot: Arc<dyn Depot>, seal: Arc<dyn Seal>) -> Self {
        Self { depot, seal }
    }

    /// The snapshots of an owner's workspace: written under the name of this process, which no other has,
    /// from copies in a folder on the own disk, and of at most so many bytes, 32 MiB without it.
    #[must_use]
    pub fn snapshots(
        &self,
        (owner, writer): (&str, &str),
        staged: &Path,
        bytes: Option<u64>,
    ) -> SharedSnapshots {
        SharedSnapshots {
            depot: Arc::clone(&self.depot),
            place: self.depot.place().join(owner),
            owner: owner.to_owned(),
            writer: writer.to_owned(),
            staged: Snapshot::new(staged, owner, bytes),
            seal: Arc::clone(&self.seal),
            state: Mutex::default(),
        }
    }

    /// Of whose workspaces there are snapshots.
    ///
    /// # Errors
    /// The place can't be read.
    pub fn owners(&self) -> Result<Vec<String>> {
        let owners = self.depot.owners();
        owners.map_err(Error::io("read the shared storage", self.depot.place()))
    }
}

impl SharedSnapshots {
    /// Takes a snapshot, and gives the name under which every machine finds it, or why there is none.
    /// When this returns well it outlives a loss of power. Nobody may be at work in the workspace, and the store must
    /// name the snapshot before this, unless [`follow`](Self::follow) was called since.
    ///
    /// # Errors
    /// Something can't be read, sealed or written.
    pub fn take(&self, workspace: &WorkspaceDir) -> Result<std::result::Result<String, String>> {
        let mut state = self.state();
        if let Taken::Left(why) = self.staged.take(workspace, STAGED)? {
            // The copies are counted anew.
            state.pieces.clear();
            return Ok(Err(why));
        }
        let staged = self.staged.known().clone();
        let Some(staged) = staged else {
            return Ok(Err("it was removed meanwhile".to_owned()));
        };
        let taken = self.share(&staged, &mut state);
        if taken.is_err() {
            // Some of them may not have been written.
            state.pieces.clear();
        }
        taken.map(Ok).map_err(Error::io(
            "keep a snapshot in the shared storage",
            &self.place,
        ))
    }

    /// Says which snapshot the store names now: it is not removed before another one takes its place.
    pub fn follow(&self, named: Option<&str>) {
        let mut state = self.state();
        let newest = state.newest.take();
        let settled = state.settled.take();
        state.settled = newest
            .into_iter()
            .chain(settled)
            .find(|it| named == Some(&it.name));
        if state.settled.is_none() {
            let writer = named.and_then(|named| named.split('/').next());
            state.before = writer.filter(|it| *it != self.writer).map(str::to_owned);
        }
    }

    /// Removes all snapshots of the workspace, whoever wrote them, and the copies on the own disk.
    ///
    /// # Errors
    /// Something of it can't be removed.
    pub fn discard(&self) -> Result<()> {
        *self.state() = State::default();
        self.staged.discard()?;
        let cleared = self.depot.clear_owner(&self.owner);
        cleared.map_err(Error::io("remove the snapshots", &self.place))
    }

    fn share(&self, staged: &Manifest, state: &mut State) -> io::Result<String> {
        let mut entries = BTreeMap::new();
        let mut copies = BTreeSet::new();
        let mut waiting = Waiting::default();
        for (path, entry) in &staged.entries {
            let listed = match entry {
                Entry::Folder { mode } => Listed::Folder { mode: *mode },
                Entry::Link { target } => Listed::Link {
                    target: target.clone(),
                },
                Entry::File(kept) => {
                    copies.insert(kept.copy);
                    Listed::File {
                        mode: kept.mode,
                        modified: kept.modified,
                        bytes: u64::try_from(kept.stamp.size).unwrap_or_default(),
                        pieces: self.pieces(kept.copy, state, &mut waiting)?,
                    }
                }
                // What can't be copied is not there elsewhere.
                Entry::Other => continue,
            };
            entries.insert(path.clone(), listed);
        }
        state.pieces.retain(|copy, _| copies.contains(copy));
        let version = VERSION;
        let listing = serde_json::to_vec(&Listing { version, entries })?;
        let mut needs: BTreeSet<String> = state.pieces.values().flatten().cloned().collect();
        let file = self.put(&listing, state, &mut waiting)?;
        self.write(&mut waiting, state)?;
        self.depot.sync(self.shelf())?;
        needs.insert(file.clone());
        let name = format!("{}/{file}", self.writer);
        let new = Named {
            name: name.clone(),
            needs,
        };
        self.settle(new, state)?;
        fail::fail_point!("workspaces::snapshot_shared", |_| std::process::abort());
        Ok(name)
    }

    /// The pieces of a copy on the own disk, written where they are not there yet.
    fn pieces(
        &self,
        number: u64,
        state: &mut State,
        waiting: &mut Waiting,
    ) -> io::Result<Vec<String>> {
        if let Some(known) = state.pieces.get(&number) {
            return Ok(known.clone());
        }
        let mut file = File::open(copy(&self.staged.folder, number))?;
        let mut pieces = Vec::new();
        loop {
            let mut piece = Vec::new();
            file.by_ref().take(PIECE).read_to_end(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            pieces.push(self.put(&piece, state, waiting)?);
        }
        state.pieces.insert(number, pieces.clone());
        Ok(pieces)
    }

    /// Has a content written under its name, unless it is there.
    fn put(&self, content: &[u8], state: &mut State, waiting: &mut Waiting) -> io::Result<String> {
        let name = self.seal.name_of(content);
        if !state.present.contains(&name) && !waiting.pieces.contains_key(&name) {
            let sealed = self.seal.seal(&self.owner, &name, content)?;
            waiting.bytes += bytes(&sealed);
            waiting.pieces.insert(name.clone(), sealed);
            if waiting.bytes >= TOGETHER {
                self.write(waiting, state)?;
            }
        }
        Ok(name)
    }

    /// Writes what waits for it.
    fn write(&self, waiting: &mut Waiting, state: &mut State) -> io::Result<()> {
        let Waiting { pieces, bytes: _ } = mem::take(waiting);
        let names: Vec<String> = pieces.keys().cloned().collect();
        self.depot
            .put_all(self.shelf(), pieces.into_iter().collect())?;
        state.present.extend(names);
        Ok(())
    }

    /// The snapshot before this one is named in the store, so nothing needs what is older.
    fn settle(&self, new: Named, state: &mut State) -> io::Result<()> {
        if let Some(newest) = state.newest.replace(new) {
            state.settled = Some(newest);
        }
        let (Some(settled), Some(newest)) = (&state.settled, &state.newest) else {
            return Ok(());
        };
        let is_needed = |name: &String| settled.needs.contains(name) || newest.needs.contains(name);
        let (present, useless): (BTreeSet<String>, BTreeSet<String>) =
            state.present.iter().cloned().partition(is_needed);
        state.present = present;
        let useless: Vec<String> = useless.into_iter().collect();
        self.depot.remove_all(self.shelf(), &useless)?;
        match state.before.take() {
            Some(before) if is_depot_name(&before) => self.depot.clear(self.shelf_of(&before)),
            Some(_) | None => Ok(()),
        }
    }

    fn shelf(&self) -> Shelf<'_> {
        self.shelf_of(&self.writer)
    }

    fn shelf_of<'a>(&'a self, writer: &'a str) -> Shelf<'a> {
        let owner = &self.owner;
        Shelf { owner, writer }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A process that broke off in the middle writes what it knows nothing of again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}
