use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fusion_workspaces::{PutBack, Snapshot, Taken, Usage, WorkspaceDir};

use crate::place::{Place, dig, name, sh};

fn snapshots(place: &Place) -> PathBuf {
    place.folder.path().join("snapshots")
}

fn snapshot(place: &Place) -> Snapshot {
    Snapshot::new(&snapshots(place), &name(1), None)
}

fn take(snapshot: &Snapshot, dir: &WorkspaceDir, name: &str) {
    let taken = snapshot.take(dir, name).unwrap();
    assert!(matches!(taken, Taken::Whole(_)), "{taken:?}");
}

/// Everything below a folder but `.agent` and `logs`: kind and rights, owner, time and content.
pub(crate) fn state(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![top.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            if name == ".agent" || name == "logs" {
                continue;
            }
            let stat = fs::symlink_metadata(&path).unwrap();
            let what = if stat.is_dir() {
                pending.push(path);
                String::new()
            } else if stat.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if stat.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                format!("{} {}: {text}", stat.mtime(), stat.mtime_nsec())
            } else {
                // A FIFO: who opens it waits for somebody who writes.
                String::new()
            };
            found.insert(name, format!("{:o} {} {what}", stat.mode(), stat.uid()));
        }
    }
    found
}

/// Text, a program, a folder in a folder, an empty one, and a link.
fn furnished(place: &Place) -> WorkspaceDir {
    let dir = place.agent(1);
    dir.write_file("projects/a/notes", b"first\n").unwrap();
    dir.write_file("projects/a/deep/tool", b"#!/bin/sh\n")
        .unwrap();
    dir.write_file("projects/gone", b"was here\n").unwrap();
    dir.write_file("projects/same", b"the same\n").unwrap();
    dir.write_file("projects/empty", b"").unwrap();
    let tool = dir.projects_path().join("a/deep/tool");
    fs::set_permissions(tool, Permissions::from_mode(0o755)).unwrap();
    dir
}

const HAVOC: &str = "cd projects && echo second >> a/notes && rm gone && mv a/deep/tool a/tool && rmdir a/deep \
     && mkdir -p new/er && echo x > new/er/file && chmod 700 same && ln -s /etc/passwd link \
     && rm empty && mkdir empty && mkfifo pipe && echo done";

#[tokio::test]
async fn a_workspace_is_put_back_as_it_was_and_what_was_in_the_way_is_kept() {
    let place = Place::new();
    let dir = furnished(&place);
    sh(
        &dir,
        "ln -s a/notes projects/short; chmod 500 projects/a/deep",
    )
    .await;
    let before = state(dir.path());
    let snapshot = snapshot(&place);
    take(&snapshot, &dir, "one");
    sh(&dir, "chmod 700 projects/a/deep").await;
    let (_, said) = sh(&dir, HAVOC).await;
    assert!(said.contains("done"), "{said}");
    assert_ne!(state(dir.path()), before);
    let put_back = snapshot.put_back(&dir, "one").unwrap().unwrap();
    assert_eq!(state(dir.path()), before);
    assert_eq!(put_back.moved_to.as_deref(), Some("logs/undone-one"));
    let aside = dir.logs_path().join("undone-one/projects");
    let text = |name: &str| fs::read_to_string(aside.join(name)).unwrap();
    assert_eq!(text("a/notes"), "first\nsecond\n");
    assert_eq!(text("new/er/file"), "x\n");
    assert!(aside.join("link").is_symlink());
    // There is nothing left to do.
    let again = snapshot.put_back(&dir, "one").unwrap();
    assert_eq!(again, Some(PutBack::default()));
}

#[tokio::test]
async fn a_snapshot_of_a_process_that_died_is_used_by_the_next_one_and_by_its_name_only() {
    let place = Place::new();
    let dir = furnished(&place);
    let before = state(dir.path());
    take(&snapshot(&place), &dir, "one");
    sh(&dir, HAVOC).await;
    let after = state(dir.path());
    let other = snapshot(&place);
    assert_eq!(other.put_back(&dir, "two").unwrap(), None);
    assert_eq!(state(dir.path()), after);
    assert!(other.put_back(&dir, "one").unwrap().is_some());
    assert_eq!(state(dir.path()), before);
    other.discard().unwrap();
    assert_eq!(other.put_back(&dir, "one").unwrap(), None);
    assert!(!snapshots(&place).join(name(1)).exists());
}

#[test]
fn only_what_changed_is_copied_again_and_old_copies_go() {
    let place = Place::new();
    let dir = furnished(&place);
    let snapshot = snapshot(&place);
    let copies = || {
        let found = fs::read_dir(snapshots(&place).join(name(1))).unwrap();
        let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
        names.sort_unstable();
        names
    };
    // What was written just before may be copied once more.
    take(&snapshot, &dir, "one");
    take(&snapshot, &dir, "two");
    let before = copies();
    take(&snapshot, &dir, "three");
    let after = copies();
    let kept = before.iter().filter(|copy| after.contains(copy)).count();
    assert_eq!((before.len(), kept), (6, 6), "{before:?} {after:?}");
    dir.write_file("projects/same", b"another\n").unwrap();
    take(&snapshot, &dir, "four");
    let now = copies();
    let kept = after.iter().filter(|copy| now.contains(copy)).count();
    assert_eq!((now.len(), kept), (6, 5), "{after:?} {now:?}");
}

#[test]
fn a_write_in_the_moment_of_the_snapshot_is_noticed() {
    let place = Place::new();
    let dir = place.agent(1);
    let path = dir.projects_path().join("file");
    let snapshot = snapshot(&place);
    for round in 0..200 {
        let name = format!("{round}");
        fs::write(&path, format!("{round:05}")).unwrap();
        take(&snapshot, &dir, &name);
        fs::write(&path, "other").unwrap();
        snapshot.put_back(&dir, &name).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{round:05}"));
    }
}

#[test]
fn of_a_workspace_that_is_too_large_there_is_no_snapshot() {
    let place = Place::new();
    let dir = furnished(&place);
    let small = Snapshot::new(&snapshots(&place), &name(1), Some(2 << 20));
    let taken = small.take(&dir, "one").unwrap();
    // The variables, six files and four folders; a link to nothing else.
    let Taken::Whole(Usage { files, .. }) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(files, 9);
    dir.write_file("projects/large", &vec![b'x'; 3 << 20])
        .unwrap();
    let why = "the workspace has more than 2 MiB or 4000 files";
    let taken = small.take(&dir, "two").unwrap();
    assert_eq!(taken, Taken::Left(why.to_owned()));
    assert!(!snapshots(&place).join(name(1)).exists());
    assert_eq!(small.put_back(&dir, "one").unwrap(), None);
}

#[test]
fn of_folders_in_folders_without_end_there_is_no_snapshot() {
    let place = Place::new();
    let dir = place.agent(1);
    dig(&dir.projects_path(), 2_100);
    let taken = snapshot(&place).take(&dir, "one").unwrap();
    let why = "folders are more than 2000 deep";
    assert_eq!(taken, Taken::Left(why.to_owned()));
}

#[test]
fn a_copy_that_is_cut_short_is_not_used() {
    let place = Place::new();
    let dir = furnished(&place);
    let snapshot = snapshot(&place);
    take(&snapshot, &dir, "one");
    let folder = snapshots(&place).join(name(1));
    let copy = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let is_copy = |path: &PathBuf| {
        let length = fs::metadata(path).unwrap().len();
        length > 0 && !path.ends_with("manifest.json")
    };
    let copy = copy.map(|entry| entry.path()).find(is_copy).unwrap();
    fs::write(copy, "").unwrap();
    dir.write_file("projects/same", b"another\n").unwrap();
    assert_eq!(snapshot.put_back(&dir, "one").unwrap(), None);
}

#[test]
fn nothing_is_moved_out_of_the_workspace_through_a_link() {
    let place = Place::new();
    let dir = furnished(&place);
    let snapshot = snapshot(&place);
    take(&snapshot, &dir, "one");
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(dir.logs_path()).unwrap();
    symlink(&outside, dir.logs_path()).unwrap();
    dir.write_file("projects/new", b"new\n").unwrap();
    let refused = snapshot.put_back(&dir, "one").unwrap_err().to_string();
    assert!(
        refused.starts_with("can't put back what was in"),
        "{refused}"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
