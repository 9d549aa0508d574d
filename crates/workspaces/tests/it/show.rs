//! What people see of a workspace, through the same guard as the tools and with more left out.

use std::fs;
use std::os::unix::fs::symlink;

use fusion_workspaces::{PACK_LIMIT, Packed, READ_LIMIT, WorkspaceDir};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::place::Place;

/// A workspace with files, keys, and ways out.
fn filled(place: &Place) -> WorkspaceDir {
    let agent = place.agent(1);
    let projects = agent.projects_path();
    fs::create_dir_all(projects.join("site/.git")).unwrap();
    fs::create_dir_all(projects.join("site/.ssh")).unwrap();
    for (path, text) in [
        ("a.md", "# One"),
        ("site/.env", "KEY=1"),
        ("site/.env.local", "KEY=2"),
        ("site/.git/config", "url"),
        ("site/.ssh/known_hosts", "host"),
        ("site/index.html", "<p>"),
    ] {
        fs::write(projects.join(path), text).unwrap();
    }
    symlink("../.env", projects.join("keys")).unwrap();
    symlink("..", projects.join("up")).unwrap();
    symlink(place.secret(), projects.join("out")).unwrap();
    mkfifoat(CWD, projects.join("pipe"), Mode::RWXU).unwrap();
    fs::hard_link(projects.join("a.md"), projects.join("again.md")).unwrap();
    agent
}

fn paths(dir: &WorkspaceDir, path: &str) -> Vec<String> {
    let (entries, more) = dir.show_tree(path, 100).unwrap();
    assert!(!more);
    entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn a_tree_names_everything_but_what_may_hold_keys() {
    let place = Place::new();
    let agent = filled(&place);
    assert_eq!(
        paths(&agent, "projects"),
        [
            "projects/a.md",
            "projects/again.md",
            "projects/keys",
            "projects/out",
            "projects/pipe",
            "projects/site",
            "projects/site/index.html",
            "projects/up",
        ]
    );
    let all = paths(&agent, ".");
    assert!(all.contains(&"logs".to_owned()) && all.contains(&"projects/a.md".to_owned()));
    assert!(
        !all.iter()
            .any(|path| path.contains(".env") || path.contains(".agent"))
    );
    let (first, more) = agent.show_tree(".", 2).unwrap();
    assert_eq!((first.len(), more), (2, true));
}

#[test]
fn no_path_leads_to_a_key_or_out_of_the_workspace() {
    let place = Place::new();
    let agent = filled(&place);
    let refused = [
        ".env",
        "./.env",
        "projects/../.env",
        "projects/keys",
        "projects/up/.env",
        "projects/up/projects/a.md",
        "projects/out",
        "projects/site/.env.local",
        "projects/site/.git/config",
        ".agent/agent.json",
        "/etc/passwd",
        "projects/again.md",
        "projects/pipe",
        "projects",
        "",
    ];
    for path in refused {
        let told = agent.show_file(path, READ_LIMIT);
        let told = told.map(|file| file.text).unwrap_err().to_string();
        assert!(told.contains("is refused"), "{path}: {told}");
    }
    for path in [
        "projects/up",
        ".agent",
        "projects/site/.git",
        "..",
        "projects/a.md",
    ] {
        let told = agent.show_tree(path, 10).unwrap_err().to_string();
        assert!(told.contains("is refused"), "{path}: {told}");
    }
    let text = agent.show_file("projects/site/index.html", 2).unwrap();
    assert_eq!((text.text.as_str(), text.truncated_bytes), ("<p", 1));
}

#[test]
fn a_pack_holds_what_is_shown_and_no_rights_of_others() {
    let place = Place::new();
    let agent = filled(&place);
    fs::remove_file(agent.projects_path().join("again.md")).unwrap();
    let mut bytes = Vec::new();
    let packed = agent
        .to_pack("projects")
        .unwrap()
        .write(&mut bytes)
        .unwrap();
    let left_out = 4;
    assert_eq!(
        packed,
        Packed {
            entries: 3,
            left_out
        }
    );
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let path = entry.path().unwrap().display().to_string();
        (path, header.size().unwrap(), header.uid().unwrap())
    });
    assert_eq!(
        entries.collect::<Vec<_>>(),
        [
            ("projects/a.md".to_owned(), 5, 0),
            ("projects/site".to_owned(), 0, 0),
            ("projects/site/index.html".to_owned(), 3, 0),
        ]
    );
    let mut one = Vec::new();
    let packed = agent
        .to_pack("projects/a.md")
        .unwrap()
        .write(&mut one)
        .unwrap();
    assert_eq!(packed.entries, 1);
}

#[test]
fn more_than_a_pack_takes_is_refused_before_anything_is_read() {
    let place = Place::new();
    let agent = place.agent(1);
    // No disk is used for it.
    let file = fs::File::create(agent.projects_path().join("large")).unwrap();
    file.set_len(PACK_LIMIT + 1).unwrap();
    let told = agent.to_pack("projects").unwrap_err().to_string();
    assert!(told.contains("1024 MiB that one pack takes"), "{told}");
}
