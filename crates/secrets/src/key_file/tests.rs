//! A process that dies in the middle of a write: what is on disk then, and what the next one makes
//! of it.

use std::fs;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::Place;

const PLACE: Place<'_> = Place {
    table: "providers",
    row: "019ab3c4-0000-7000-8000-000000000000",
    field: "credentials",
};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What `stage` would write.
fn staged(file: &KeyFile) -> KeyFile {
    KeyFile {
        path: file.path.clone(),
        current: MasterKey::generate().unwrap(),
        older: vec![file.current.clone()],
    }
}

#[test]
fn a_death_before_a_new_file_is_in_its_place_leaves_none_and_the_next_start_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let dead = KeyFile {
        path: path.clone(),
        current: MasterKey::generate().unwrap(),
        older: Vec::new(),
    };
    let prepared = Folder::lock(&path).unwrap().prepare(&path, &dead.text());
    prepared.unwrap().keep().unwrap();
    assert_eq!(names(folder.path()), [".master.key.new"]);

    let made = KeyFile::load_or_create(&path).unwrap();
    assert_ne!(made.key_id(), dead.key_id());
    assert_eq!(names(folder.path()), ["master.key"]);
    assert_eq!(KeyFile::load(&path).unwrap().key_id(), made.key_id());
}

#[test]
fn a_death_before_the_staged_keys_are_in_their_place_leaves_the_old_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut file = KeyFile::load_or_create(&path).unwrap();
    let old = file.vault().seal(PLACE, &"old".into()).unwrap();
    let dead = staged(&file);
    let prepared = Folder::lock(&path).unwrap().prepare(&path, &dead.text());
    prepared.unwrap().keep().unwrap();

    let found = KeyFile::load(&path).unwrap();
    assert_eq!((found.key_id(), found.is_staged()), (file.key_id(), false));
    let opened: SecretString = found.vault().open(PLACE, &old).unwrap();
    assert_eq!(opened.expose_secret(), "old");

    file.stage().unwrap();
    assert!(!file.vault().knows(&dead.key_id()));
    assert_eq!(names(folder.path()), ["master.key"]);
}

#[test]
fn half_a_file_left_beside_is_never_read_and_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut file = KeyFile::load_or_create(&path).unwrap();
    fs::write(folder.path().join(".master.key.new"), "0123").unwrap();
    assert_eq!(KeyFile::load(&path).unwrap().key_id(), file.key_id());
    file.stage().unwrap();
    assert_eq!(names(folder.path()), ["master.key"]);
}

#[test]
fn a_file_that_turned_up_meanwhile_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let first = KeyFile::load_or_create(&path).unwrap();
    let late = staged(&first);
    let made = Folder::lock(&path).unwrap().create(&path, &late.text());
    assert!(!made.unwrap());
    assert_eq!(KeyFile::load(&path).unwrap().key_id(), first.key_id());
    assert_eq!(names(folder.path()), ["master.key"]);
}
