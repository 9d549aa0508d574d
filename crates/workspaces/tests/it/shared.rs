use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fusion_workspaces::{
    Depot, Error, FolderDepot, Seal, SharedPlace, SharedSnapshots, Shelf, WorkspaceDir,
};

use crate::place::{Place, name, uid};
use crate::snapshot::state;

/// Shows what it sealed to nobody who looks at the bytes, and knows what was changed.
#[derive(Debug)]
struct Mirror;

impl Mirror {
    fn sum(owner: &str, name: &str, content: &[u8]) -> u8 {
        let all = owner
            .bytes()
            .chain(name.bytes())
            .chain(content.iter().copied());
        all.fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte))
    }
}

impl Seal for Mirror {
    fn name_of(&self, content: &[u8]) -> String {
        let start = 0xcbf2_9ce4_8422_2325_u64;
        let hash = content.iter().fold(start, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    fn seal(&self, owner: &str, name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut sealed: Vec<u8> = content.iter().map(|byte| !byte).collect();
        sealed.push(Self::sum(owner, name, content));
        Ok(sealed)
    }

    fn open(&self, owner: &str, name: &str, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let damaged = || io::Error::other("it is damaged");
        let (sum, content) = sealed.split_last().ok_or_else(damaged)?;
        let content: Vec<u8> = content.iter().map(|byte| !byte).collect();
        if Self::sum(owner, name, &content) == *sum {
            Ok(content)
        } else {
            Err(damaged())
        }
    }
}

fn root(place: &Place) -> PathBuf {
    place.folder.path().join("shared")
}

/// What keeps them there.
fn depot(place: &Place) -> Arc<dyn Depot> {
    Arc::new(FolderDepot::new(&root(place)))
}

/// The snapshots of the first agent's workspace, as a process of this name takes them.
fn snapshots(place: &Place, writer: &str) -> SharedSnapshots {
    let shared = SharedPlace::new(depot(place), Arc::new(Mirror));
    let staged = place.folder.path().join(format!("staged-{writer}"));
    shared.snapshots((&name(1), writer), &staged, None)
}

fn furnished(place: &Place) -> WorkspaceDir {
    let dir = place.agent(1);
    dir.write_file("projects/a/notes", b"first\n").unwrap();
    dir.write_file("projects/a/deep/tool", b"#!/bin/sh\n")
        .unwrap();
    dir.write_file("projects/empty", b"").unwrap();
    let tool = dir.path().join("projects/a/deep/tool");
    fs::set_permissions(tool, Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join(".env"), "KEY=canary-of-the-env-file\n").unwrap();
    let link = dir.path().join("projects/link");
    symlink("a/notes", &link).unwrap();
    lchown(link, uid(1), uid(1)).unwrap();
    dir
}

fn take(snapshots: &SharedSnapshots, dir: &WorkspaceDir) -> String {
    snapshots.take(dir).unwrap().unwrap()
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_workspace_is_restored_elsewhere_as_it_was() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let dir = furnished(&place);
    let named = take(&snapshots(&place, "one"), &dir);
    let before = state(dir.path());
    let other = elsewhere.agent(1);
    let restored = snapshots(&place, "two").restore(&named, &other).unwrap();
    assert_eq!(state(other.path()), before);
    assert!(restored.restored > 0, "{restored:?}");
}

#[test]
fn what_did_not_change_is_not_written_again_and_what_nobody_needs_is_removed() {
    let place = Place::new();
    let (dir, snapshots) = (furnished(&place), snapshots(&place, "one"));
    let first = take(&snapshots, &dir);
    let there = files(&root(&place));
    assert_eq!(
        take(&snapshots, &dir),
        first,
        "the same content has the same name"
    );
    assert_eq!(files(&root(&place)), there);
    dir.write_file("projects/a/notes", b"second\n").unwrap();
    let second = take(&snapshots, &dir);
    assert_eq!(
        files(&root(&place)).len(),
        there.len() + 2,
        "one file and the list of all"
    );
    // The first is named nowhere once the second is, and goes with the third.
    dir.write_file("projects/a/notes", b"third\n").unwrap();
    let third = take(&snapshots, &dir);
    assert_eq!(files(&root(&place)).len(), there.len() + 2);
    let elsewhere = Place::new();
    let other = elsewhere.agent(1);
    let gone = snapshots.restore(&first, &other).unwrap_err();
    assert!(matches!(gone, Error::Io { .. }), "{gone}");
    for (name, text) in [(second, "second\n"), (third, "third\n")] {
        snapshots.restore(&name, &other).unwrap();
        let notes = fs::read_to_string(other.path().join("projects/a/notes")).unwrap();
        assert_eq!(notes, text);
    }
}

#[test]
fn nothing_of_a_workspace_can_be_read_in_the_shared_folder() {
    let place = Place::new();
    let dir = furnished(&place);
    take(&snapshots(&place, "one"), &dir);
    for (path, content) in files(&root(&place)) {
        let text = String::from_utf8_lossy(&content);
        for known in ["canary", "first", "notes", ".env"] {
            assert!(!text.contains(known), "{known} in {}", path.display());
            assert!(!path.ends_with(known), "{}", path.display());
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_damaged_a_shortened_and_a_missing_piece_are_refused() {
    let place = Place::new();
    let dir = furnished(&place);
    let named = take(&snapshots(&place, "one"), &dir);
    let whole = files(&root(&place));
    for (path, content) in &whole {
        let mut changed = content.clone();
        *changed.first_mut().unwrap() ^= 1;
        let shortened = content.split_last().unwrap().1.to_vec();
        for damage in [Some(changed), Some(shortened), None] {
            match &damage {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
            let other = Place::new();
            let refused = snapshots(&place, "two").restore(&named, &other.agent(1));
            assert!(refused.is_err(), "{damage:?} {}", path.display());
            fs::write(path, content).unwrap();
        }
    }
    let elsewhere = Place::new();
    snapshots(&place, "two")
        .restore(&named, &elsewhere.agent(1))
        .unwrap();
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let place = Place::new();
    let dir = furnished(&place);
    let snapshots = snapshots(&place, "one");
    take(&snapshots, &dir);
    for name in [
        "",
        "one",
        "one/",
        "../one/a",
        "one/../a",
        "/etc/passwd",
        "one/a/b",
    ] {
        let refused = snapshots.restore(name, &dir).unwrap_err();
        assert!(
            refused.to_string().contains("restore a workspace from"),
            "{refused}"
        );
    }
}

#[test]
fn who_was_superseded_takes_nothing_from_who_went_on() {
    let place = Place::new();
    let dir = furnished(&place);
    let (late, next) = (snapshots(&place, "late"), snapshots(&place, "next"));
    take(&late, &dir);
    dir.write_file("projects/a/notes", b"second\n").unwrap();
    let last = take(&late, &dir);
    let moved = Place::new();
    let other = moved.agent(1);
    next.restore(&last, &other).unwrap();
    other
        .write_file("projects/a/notes", b"of the next\n")
        .unwrap();
    let named = take(&next, &other);
    // It does not know yet that its lease is gone; the commit after it will be refused.
    dir.write_file("projects/a/notes", b"late\n").unwrap();
    take(&late, &dir);
    let third = Place::new();
    snapshots(&place, "third")
        .restore(&named, &third.agent(1))
        .unwrap();
}

#[test]
fn the_folder_of_the_one_before_goes_once_the_store_names_a_newer_one() {
    let place = Place::new();
    let dir = furnished(&place);
    let named = take(&snapshots(&place, "one"), &dir);
    let next = snapshots(&place, "two");
    next.follow(Some(&named));
    let folder = root(&place).join("snapshots").join(name(1));
    take(&next, &dir);
    assert!(folder.join("one").exists(), "the store still names it");
    take(&next, &dir);
    assert!(!folder.join("one").exists());
    next.discard().unwrap();
    assert!(!folder.exists());
}

#[test]
fn one_that_was_never_named_does_not_take_the_place_of_the_one_that_is() {
    let place = Place::new();
    let dir = furnished(&place);
    let named = take(&snapshots(&place, "one"), &dir);
    let next = snapshots(&place, "two");
    for _ in 0..3 {
        // Its commit was refused each time.
        next.follow(Some(&named));
        take(&next, &dir);
    }
    let elsewhere = Place::new();
    next.restore(&named, &elsewhere.agent(1)).unwrap();
}

#[test]
fn what_is_too_large_is_left_out_with_the_reason_and_the_next_is_right_again() {
    let place = Place::new();
    let dir = furnished(&place);
    let shared = SharedPlace::new(depot(&place), Arc::new(Mirror));
    let staged = place.folder.path().join("staged");
    let snapshots = shared.snapshots((&name(1), "one"), &staged, Some(2 << 20));
    take(&snapshots, &dir);
    dir.write_file("projects/large", &vec![7; 3 << 20]).unwrap();
    let why = snapshots.take(&dir).unwrap().unwrap_err();
    assert_eq!(why, "the workspace has more than 2 MiB or 4000 files");
    fs::remove_file(dir.path().join("projects/large")).unwrap();
    dir.write_file("projects/b", b"new\n").unwrap();
    let named = take(&snapshots, &dir);
    let elsewhere = Place::new();
    let other = elsewhere.agent(1);
    snapshots.restore(&named, &other).unwrap();
    assert_eq!(state(other.path()), state(dir.path()));
}

#[test]
fn a_file_of_several_pieces_is_put_together() {
    let place = Place::new();
    let dir = place.agent(1);
    let long: Vec<u8> = (0..=250).cycle().take(9 << 20).collect();
    dir.write_file("projects/long", &long[..8 << 20]).unwrap();
    fs::write(dir.path().join("projects/long"), &long).unwrap();
    let named = take(&snapshots(&place, "one"), &dir);
    let elsewhere = Place::new();
    let other = elsewhere.agent(1);
    snapshots(&place, "two").restore(&named, &other).unwrap();
    assert_eq!(fs::read(other.path().join("projects/long")).unwrap(), long);
}

#[test]
fn owners_are_those_with_snapshots() {
    let place = Place::new();
    let dir = furnished(&place);
    let shared = SharedPlace::new(depot(&place), Arc::new(Mirror));
    assert_eq!(shared.owners().unwrap(), Vec::<String>::new());
    take(&snapshots(&place, "one"), &dir);
    assert_eq!(shared.owners().unwrap(), [name(1)]);
}

#[test]
fn more_than_is_read_together_is_put_together() {
    let place = Place::new();
    let dir = place.agent(1);
    // Longer than what is written at once, and more files than are read at once.
    let long: Vec<u8> = (b'a'..=b'y').cycle().take(33 << 20).collect();
    let write = |name: &str, content: &[u8]| {
        let file = dir.path().join("projects").join(name);
        fs::write(&file, content).unwrap();
        lchown(file, uid(1), uid(1)).unwrap();
    };
    write("long", &long);
    for number in 0..300 {
        let content = format!("content {}", number / 2);
        write(&format!("file-{number}"), content.as_bytes());
    }
    let before = state(dir.path());
    let shared = SharedPlace::new(depot(&place), Arc::new(Mirror));
    let snapshots = |writer: &str| {
        let staged = place.folder.path().join(format!("staged-{writer}"));
        shared.snapshots((&name(1), writer), &staged, Some(40 << 20))
    };
    let named = take(&snapshots("one"), &dir);
    let elsewhere = Place::new();
    let other = elsewhere.agent(1);
    snapshots("two").restore(&named, &other).unwrap();
    assert!(state(other.path()) == before);
}

/// A folder to which nothing can be written for a time.
#[derive(Debug)]
struct Full {
    folder: FolderDepot,
    is_full: AtomicBool,
}

impl Depot for Full {
    fn place(&self) -> &Path {
        self.folder.place()
    }

    fn preflight(&self, id: &str) -> io::Result<()> {
        self.folder.preflight(id)
    }

    fn put(&self, shelf: Shelf<'_>, name: &str, content: &[u8]) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.folder.put(shelf, name, content)
    }

    fn sync(&self, shelf: Shelf<'_>) -> io::Result<()> {
        self.folder.sync(shelf)
    }

    fn get(&self, shelf: Shelf<'_>, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.folder.get(shelf, name, limit)
    }

    fn remove(&self, shelf: Shelf<'_>, name: &str) -> io::Result<()> {
        self.folder.remove(shelf, name)
    }

    fn clear(&self, shelf: Shelf<'_>) -> io::Result<()> {
        self.folder.clear(shelf)
    }

    fn clear_owner(&self, owner: &str) -> io::Result<()> {
        self.folder.clear_owner(owner)
    }

    fn owners(&self) -> io::Result<Vec<String>> {
        self.folder.owners()
    }
}

#[test]
fn what_could_not_be_written_is_written_with_the_next_snapshot() {
    let place = Place::new();
    let dir = furnished(&place);
    let full = Arc::new(Full {
        folder: FolderDepot::new(&root(&place)),
        is_full: AtomicBool::new(true),
    });
    let shared = SharedPlace::new(Arc::<Full>::clone(&full), Arc::new(Mirror));
    let staged = place.folder.path().join("staged");
    let one = shared.snapshots((&name(1), "one"), &staged, None);
    one.take(&dir).unwrap_err();
    full.is_full.store(false, Ordering::Relaxed);
    let named = take(&one, &dir);
    let elsewhere = Place::new();
    let other = elsewhere.agent(1);
    snapshots(&place, "two").restore(&named, &other).unwrap();
    assert_eq!(state(other.path()), state(dir.path()));
}
