//! Files that are kept outside of every workspace.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use fusion_workspaces::{ARTIFACT_LIMIT, Artifacts, Kept, READ_LIMIT};

use crate::place::Place;

/// The SHA-256 of `test`.
const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn kept(place: &Place) -> Artifacts {
    Artifacts::new(place.folder.path().join("artifacts"))
}

fn text(artifacts: &Artifacts, hash: &str) -> String {
    let mut text = String::new();
    let mut file = artifacts.open(hash).unwrap().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// The files below the folder of kept ones.
fn files(place: &Place) -> usize {
    let folders = fs::read_dir(place.folder.path().join("artifacts")).unwrap();
    let inside = folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count());
    inside.sum()
}

#[test]
fn a_content_is_kept_once_under_its_hash_and_put_into_another_workspace() {
    let place = Place::new();
    let artifacts = kept(&place);
    let (one, other) = (place.agent(1), place.agent(2));
    one.write_file("projects/a", b"test").unwrap();
    one.write_file("projects/b", b"test").unwrap();
    let wanted = Kept {
        sha256: TEST.to_owned(),
        bytes: 4,
    };
    for path in ["projects/a", "projects/b", "projects/a"] {
        assert_eq!(artifacts.keep(&one, path).unwrap(), wanted);
    }
    assert_eq!(files(&place), 1);
    one.write_file("projects/a", b"changed").unwrap();
    assert_eq!(text(&artifacts, TEST), "test");
    assert!(
        artifacts
            .put(TEST, &other, "artifacts/s/projects/a")
            .unwrap()
    );
    let copy = other
        .read_file("artifacts/s/projects/a", READ_LIMIT)
        .unwrap();
    assert_eq!(copy.text, "test");
    other.write_file("artifacts/s/projects/a", b"mine").unwrap();
    assert_eq!(text(&artifacts, TEST), "test");
}

#[test]
fn nothing_is_kept_through_a_link_and_nothing_put_through_one() {
    let place = Place::new();
    let artifacts = kept(&place);
    let agent = place.agent(1);
    agent.write_file("projects/a", b"test").unwrap();
    symlink(place.secret(), agent.projects_path().join("out")).unwrap();
    fs::hard_link(
        agent.projects_path().join("a"),
        agent.projects_path().join("twin"),
    )
    .unwrap();
    for path in ["projects/out", "projects/twin", "../secret", "projects"] {
        artifacts.keep(&agent, path).unwrap_err();
    }
    fs::remove_file(agent.projects_path().join("twin")).unwrap();
    artifacts.keep(&agent, "projects/a").unwrap();
    symlink(place.folder.path(), agent.path().join("artifacts")).unwrap();
    artifacts.put(TEST, &agent, "artifacts/secret").unwrap_err();
    artifacts.put(TEST, &agent, ".agent/x").unwrap_err();
    assert_eq!(fs::read_to_string(place.secret()).unwrap(), "secret");
}

#[test]
fn what_is_damaged_too_long_or_not_there_is_told() {
    let place = Place::new();
    let artifacts = kept(&place);
    let agent = place.agent(1);
    for unknown in [TEST, "", "../../secret", &TEST.to_uppercase()] {
        assert!(artifacts.open(unknown).unwrap().is_none(), "{unknown}");
    }
    agent.write_file("projects/a", b"test").unwrap();
    artifacts.keep(&agent, "projects/a").unwrap();
    let file = place.folder.path().join("artifacts/9f").join(TEST);
    fs::write(file, "tset").unwrap();
    artifacts.open(TEST).unwrap_err();
    artifacts.put(TEST, &agent, "artifacts/a").unwrap_err();
    let long = fs::File::create(agent.projects_path().join("long")).unwrap();
    long.set_len(ARTIFACT_LIMIT + 1).unwrap();
    artifacts.keep(&agent, "projects/long").unwrap_err();
    assert_eq!(files(&place), 1, "no half file is left");
}

#[test]
fn who_keeps_a_content_learns_whether_it_was_kept_before() {
    let place = Place::new();
    let artifacts = kept(&place);
    let (first, is_new) = artifacts.keep_newly(&mut &b"test"[..]).unwrap();
    assert_eq!(
        (first.sha256.as_str(), first.bytes, is_new),
        (TEST, 4, true)
    );
    assert_eq!(
        artifacts.keep_newly(&mut &b"test"[..]).unwrap(),
        (first, false)
    );
    assert_eq!(files(&place), 1);
}
