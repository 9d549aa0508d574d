//! A workspace as a file: what is in it, and what an agent can't make of it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fusion_core::{Coded, ErrorCode};
use fusion_workspaces::Error;

use crate::place::{Place, is_root, name, uid};

/// Every file, link and folder: its kind with its rights, and what is in it or where it leads.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if metadata.is_file() {
            fs::read_to_string(&path).unwrap()
        } else {
            String::new()
        };
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        let path = path.strip_prefix(root).unwrap().to_owned();
        found.insert(path, (metadata.mode(), content));
    }
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "unpacks an archive, as a person would"
)]
fn unpack(archive: &Path, into: &Path) {
    fs::create_dir(into).unwrap();
    let unpacked = std::process::Command::new("tar")
        .args(["--extract", "--same-permissions", "--file"])
        .arg(archive)
        .current_dir(into)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(unpacked.success());
    // `.` itself is not in an archive.
    fs::set_permissions(into, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn what_is_unpacked_is_what_was_packed() {
    let place = Place::new();
    let agent = place.agent(1);
    let projects = agent.projects_path();
    agent.write_file("projects/a/report.md", b"report").unwrap();
    let long = format!("projects/{}/{}", "d".repeat(200), "f".repeat(200));
    agent.write_file(&long, b"long").unwrap();
    fs::write(projects.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(projects.join("tool"), Permissions::from_mode(0o755)).unwrap();
    fs::write(projects.join("empty"), "").unwrap();
    symlink("/etc/passwd", projects.join("link")).unwrap();
    symlink("nowhere", projects.join("dangling")).unwrap();
    let archive = place
        .workspaces
        .archive(&name(1), uid(1), &place.folder.path().join("archives"))
        .unwrap();

    let before = tree(agent.path());
    let unpacked = place.folder.path().join("unpacked");
    unpack(&archive.path, &unpacked);
    assert_eq!(tree(&unpacked), before);
    // The top is the archive itself.
    let entries = u64::try_from(before.len()).unwrap() - 1;
    assert_eq!(archive.entries, entries);
    assert_eq!(archive.left_out, [] as [PathBuf; 0]);
    let metadata = fs::metadata(&archive.path).unwrap();
    assert_eq!(
        (metadata.len(), metadata.mode() & 0o777),
        (archive.bytes, 0o600)
    );
}

#[test]
fn an_archive_never_takes_the_place_of_another() {
    let place = Place::new();
    place.agent(1);
    let into = place.folder.path().join("archives");
    let archive = || {
        let archive = place.workspaces.archive(&name(1), uid(1), &into);
        archive.unwrap().path
    };
    let names = [1, 2, 3].map(|_| archive().file_name().unwrap().to_owned());
    let stem = name(1);
    let expected = [
        format!("{stem}.tar"),
        format!("{stem}-2.tar"),
        format!("{stem}-3.tar"),
    ];
    assert_eq!(names.map(|name| name.into_string().unwrap()), expected);
    assert_eq!(fs::metadata(&into).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 3);
}

#[test]
fn files_with_several_names_are_packed_once_and_come_back_with_all_of_them() {
    let place = Place::new();
    let agent = place.agent(1);
    agent.write_file("projects/one", &[b'x'; 100_000]).unwrap();
    fs::hard_link(
        agent.projects_path().join("one"),
        agent.projects_path().join("two"),
    )
    .unwrap();
    let archive = place
        .workspaces
        .archive(&name(1), uid(1), &place.folder.path().join("archives"))
        .unwrap();
    assert!(archive.bytes < 200_000, "{archive:?}");
    let unpacked = place.folder.path().join("unpacked");
    unpack(&archive.path, &unpacked);
    let inode = |name: &str| {
        fs::metadata(unpacked.join("projects").join(name))
            .unwrap()
            .ino()
    };
    assert_eq!(inode("one"), inode("two"));
}

#[test]
fn pipes_sockets_and_names_of_others_files_are_left_out_and_told() {
    let place = Place::new();
    let agent = place.agent(1);
    let fifo = agent.projects_path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(agent.projects_path().join("s")).unwrap();
    let mut left_out = vec!["projects/fifo"];
    if is_root() {
        fs::hard_link(place.secret(), agent.projects_path().join("hard")).unwrap();
        left_out.push("projects/hard");
    }
    left_out.push("projects/s");
    let archive = place
        .workspaces
        .archive(&name(1), uid(1), &place.folder.path().join("archives"))
        .unwrap();
    assert_eq!(
        archive.left_out,
        left_out.iter().map(PathBuf::from).collect::<Vec<_>>()
    );
    let packed = fs::read(&archive.path).unwrap();
    assert!(!packed.windows(6).any(|bytes| bytes == b"secret"));
}

#[test]
fn folders_that_their_own_user_closed_and_deep_ones_are_packed() {
    let place = Place::new();
    let agent = place.agent(1);
    agent.write_file("projects/closed/file", b"kept").unwrap();
    let closed = agent.projects_path().join("closed");
    for path in [closed.join("file"), closed.clone()] {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    }
    crate::place::dig(&agent.projects_path(), 1_500);
    let archive = place
        .workspaces
        .archive(&name(1), uid(1), &place.folder.path().join("archives"))
        .unwrap();
    // 1,500 folders, `closed` with its file, and what every workspace has.
    assert_eq!(archive.entries, 1_500 + 2 + 7);
    let packed = fs::read(&archive.path).unwrap();
    assert!(packed.windows(4).any(|bytes| bytes == b"kept"));
    assert_eq!(fs::metadata(&closed).unwrap().mode() & 0o777, 0);
    place.workspaces.remove(&name(1)).unwrap();
}

#[test]
fn a_refused_archive_leaves_no_file() {
    let place = Place::new();
    let agent = place.agent(1);
    let inside = place
        .workspaces
        .archive(&name(1), uid(1), &agent.path().join("projects"));
    assert!(matches!(inside, Err(Error::Io { .. })), "{inside:?}");
    assert_eq!(fs::read_dir(agent.projects_path()).unwrap().count(), 0);

    crate::place::dig(&agent.projects_path(), 2_100);
    let into = place.folder.path().join("archives");
    let too_deep = place.workspaces.archive(&name(1), uid(1), &into);
    assert!(too_deep.is_err(), "{too_deep:?}");
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);

    place.workspaces.remove(&name(1)).unwrap();
    let missing = place.workspaces.archive(&name(2), uid(2), &into);
    assert_eq!(missing.unwrap_err().code(), ErrorCode::NotFound);
}
