//! Snapshots of workspaces in a folder that several machines reach, so that another one can go on where
//! one died.
//!
//! A snapshot is a list of what there is and the content in pieces, each sealed and named after what is in
//! it by who has the key: what did not change is there already. They are taken from copies on the own disk
//! that nobody changes meanwhile. Each process writes into a folder of its own and removes there what the
//! last two snapshots do not need; so one that was cut off and comes back takes nothing from who went on.

mod restore;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use super::manifest::{Entry, Manifest, copy};
use super::{Snapshot, Taken};
use crate::descriptor::Draft;
use crate::{Error, Result, WorkspaceDir};

/// The folder, in the shared one, of the snapshots.
const FOLDER: &str = "snapshots";

/// Bytes of a piece at most.
const PIECE: u64 = 4 * 1024 * 1024;

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

/// The shared folder. Every method blocks.
#[derive(Debug, Clone)]
pub struct SharedFolder {
    root: PathBuf,
    seal: Arc<dyn Seal>,
}

/// The snapshots of one workspace, as this process takes and reads them. Every method blocks.
#[derive(Debug)]
pub struct SharedSnapshots {
    /// Of all who wrote snapshots of this workspace.
    folder: PathBuf,
    owner: String,
    writer: String,
    staged: Snapshot,
    seal: Arc<dyn Seal>,
    state: Mutex<State>,
}

/// What this process knows of its own folder.
#[derive(Debug, Default)]
struct State {
    /// The pieces of copies on the own disk.
    pieces: HashMap<u64, Vec<String>>,
    /// What is in the folder.
    present: BTreeSet<String>,
    /// The newest that the store may name.
    newest: Option<Named>,
    /// The one that the store names.
    settled: Option<Named>,
    /// The folder of who wrote the one before the first of this process.
    before: Option<String>,
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

impl SharedFolder {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(root: PathBuf, seal: Arc<dyn Seal>) -> Self {
        Self { root, seal }
    }

    /// Makes what is missing of it, and proves that files can be written there.
    ///
    /// # Errors
    /// They can't.
    pub fn preflight(&self) -> Result<()> {
        let folder = self.root.join(FOLDER);
        let prove = || {
            make_folder(&folder)?;
            Draft::write(File::open(&folder)?.as_fd(), b"", OWN, None).map(drop)
        };
        prove().map_err(Error::io("write to the shared folder", &folder))
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
            folder: self.root.join(FOLDER).join(owner),
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
    /// The folder can't be read.
    pub fn owners(&self) -> Result<Vec<String>> {
        let folder = self.root.join(FOLDER);
        names_in(&folder).map_err(Error::io("read the shared folder", &folder))
    }
}

impl SharedSnapshots {
    /// Takes a snapshot, and gives the name under which every machine finds it, or why there is none.
    /// When this returns well it is on the disk. Nobody may be at work in the workspace, and the store must
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
        taken.map(Ok).map_err(Error::io(
            "keep a snapshot in the shared folder",
            &self.folder,
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
        remove_all(&self.folder).map_err(Error::io("remove the snapshots", &self.folder))
    }

    fn share(&self, staged: &Manifest, state: &mut State) -> io::Result<String> {
        let folder = self.folder.join(&self.writer);
        make_folder(&folder)?;
        let open = File::open(&folder)?;
        let mut entries = BTreeMap::new();
        let mut copies = BTreeSet::new();
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
                        pieces: self.pieces(kept.copy, &open, state)?,
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
        let file = self.put(&listing, &open, state)?;
        open.sync_all()?;
        needs.insert(file.clone());
        let name = format!("{}/{file}", self.writer);
        self.settle(
            Named {
                name: name.clone(),
                needs,
            },
            &folder,
            state,
        )?;
        fail::fail_point!("workspaces::snapshot_shared", |_| std::process::abort());
        Ok(name)
    }

    /// The pieces of a copy on the own disk, written where they are not there yet.
    fn pieces(&self, number: u64, folder: &File, state: &mut State) -> io::Result<Vec<String>> {
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
            pieces.push(self.put(&piece, folder, state)?);
        }
        state.pieces.insert(number, pieces.clone());
        Ok(pieces)
    }

    /// Writes a content under its name, unless it is there.
    fn put(&self, content: &[u8], folder: &File, state: &mut State) -> io::Result<String> {
        let name = self.seal.name_of(content);
        if !state.present.contains(&name) {
            let sealed = self.seal.seal(&self.owner, &name, content)?;
            let draft = Draft::write(folder.as_fd(), &sealed, OWN, None)?;
            // Its name is on the disk with the last one.
            draft.file().sync_all()?;
            draft.place_unsynced(folder.as_fd(), &name)?;
            state.present.insert(name.clone());
        }
        Ok(name)
    }

    /// The snapshot before this one is named in the store, so nothing needs what is older.
    fn settle(&self, new: Named, folder: &Path, state: &mut State) -> io::Result<()> {
        if let Some(newest) = state.newest.replace(new) {
            state.settled = Some(newest);
        }
        let (Some(settled), Some(newest)) = (&state.settled, &state.newest) else {
            return Ok(());
        };
        let is_needed = |name: &String| settled.needs.contains(name) || newest.needs.contains(name);
        let (present, useless) = state.present.iter().cloned().partition(is_needed);
        state.present = present;
        let useless: BTreeSet<String> = useless;
        for name in useless {
            match fs::remove_file(folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match state.before.take() {
            Some(before) if is_name(&before) => remove_all(&self.folder.join(before)),
            Some(_) | None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A process that broke off in the middle writes what it knows nothing of again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rights of files that only this user reads.
const OWN: Mode = Mode::RUSR.union(Mode::WUSR);

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether a text is the name of a file or folder here, and of nothing else.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let names: io::Result<Vec<String>> = names.collect();
    Ok(names?.into_iter().filter(|name| is_name(name)).collect())
}

/// Removes a folder with what is in it; it is no fault when there is none.
fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
