use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use fusion_core::{Coded, ErrorCode};
use fusion_workspaces::{Error, Options, Owners, Workspaces};
use serde_json::json;

use crate::place::{Mounted, Place, is_root, name, uid, workspaces};

/// Every file and folder with its mode and owner, sorted.
fn tree(root: &Path) -> Vec<(String, u32, u32)> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        found.push((shown, metadata.mode() & 0o7777, metadata.uid()));
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    found.sort();
    found
}

fn expected_tree() -> Vec<(String, u32, u32)> {
    let owner = uid(1).unwrap_or_else(|| rustix::process::geteuid().as_raw());
    [
        ("", 0o700),
        (".agent", 0o700),
        (".agent/agent.json", 0o600),
        (".agent/home", 0o700),
        (".agent/tmp", 0o700),
        (".env", 0o600),
        ("logs", 0o700),
        ("projects", 0o700),
    ]
    .map(|(path, mode)| (path.to_owned(), mode, owner))
    .to_vec()
}

#[test]
fn a_new_workspace_is_closed_to_everyone_but_its_agent() {
    let place = Place::new();
    let agent = place.agent(1);
    assert_eq!(tree(agent.path()), expected_tree());
    let config = fs::read_to_string(agent.path().join(".agent/agent.json")).unwrap();
    assert_eq!(config, "{\n  \"name\": \"writer\"\n}");
    let env = fs::read_to_string(agent.path().join(".env")).unwrap();
    assert_eq!(env, "GREETING='good day'\n");
}

#[test]
fn creating_again_completes_what_is_missing_and_keeps_the_rest() {
    let place = Place::new();
    let agent = place.agent(1);
    fs::write(agent.path().join("projects/kept"), "kept").unwrap();
    fs::write(agent.path().join(".env"), "KEPT=1\n").unwrap();
    fs::remove_dir_all(agent.path().join(".agent/tmp")).unwrap();
    fs::remove_file(agent.path().join(".agent/agent.json")).unwrap();

    let again = place.agent(1);
    let mut found = tree(again.path());
    found.retain(|(path, ..)| path != "projects/kept");
    assert_eq!(found, expected_tree());
    let kept = |path: &str| fs::read_to_string(again.path().join(path)).unwrap();
    assert_eq!(kept("projects/kept"), "kept");
    assert_eq!(kept(".env"), "KEPT=1\n");
}

#[test]
fn creating_again_does_not_follow_links_that_the_agent_left() {
    let place = Place::new();
    let agent = place.agent(1);
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(agent.path().join(".agent")).unwrap();
    symlink(&outside, agent.path().join(".agent")).unwrap();

    let made = place
        .workspaces
        .create(&name(1), uid(1), &json!({}), &BTreeMap::new());
    assert!(matches!(made, Err(Error::Io { .. })), "{made:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(agent.path().exists());
}

/// Needs root: nobody else can make a file system that is full.
#[test]
fn a_create_that_runs_out_of_room_leaves_nothing() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let full = Mounted::tmpfs(&place.root(), "nr_inodes=5");
    let made = place
        .workspaces
        .create(&name(1), uid(1), &json!({}), &BTreeMap::new());
    assert_eq!(made.unwrap_err().code(), ErrorCode::Unavailable);
    assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0);
    drop(full);
}

#[test]
fn a_workspace_opens_only_for_its_own_user() {
    let place = Place::new();
    let agent = place.agent(1);
    let opened = place.workspaces.open(&name(1), uid(1)).unwrap();
    assert_eq!((opened.path(), opened.uid()), (agent.path(), uid(1)));
    let missing = place.workspaces.open(&name(2), uid(2)).unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    if is_root() {
        let foreign = place.workspaces.open(&name(1), uid(2)).unwrap_err();
        assert!(matches!(foreign, Error::Foreign { .. }), "{foreign}");
        let created = place
            .workspaces
            .create(&name(1), uid(2), &json!({}), &BTreeMap::new());
        assert!(matches!(created, Err(Error::Foreign { .. })), "{created:?}");
        assert_eq!(tree(agent.path()), expected_tree());
    }
}

#[test]
fn a_look_into_a_workspace_leaves_what_is_being_written() {
    let place = Place::new();
    let agent = place.agent(1);
    let drafts = agent.path().join(".agent/drafts");
    fs::create_dir(&drafts).unwrap();
    fs::write(drafts.join(".fusion-draft-0"), "half").unwrap();
    place.workspaces.open_beside(&name(1), uid(1)).unwrap();
    assert!(drafts.join(".fusion-draft-0").exists());
    place.workspaces.open(&name(1), uid(1)).unwrap();
    assert!(!drafts.exists());
}

#[test]
fn agents_never_get_root_or_an_id_outside_of_their_range() {
    let place = Place::new();
    for uid in [Some(0), Some(1), Some(u32::MAX)] {
        let made = place
            .workspaces
            .create(&name(1), uid, &json!({}), &BTreeMap::new());
        assert!(matches!(made, Err(Error::Uid { .. })), "{made:?}");
    }
    if is_root() {
        let same_user = Workspaces::new(Options {
            root: place.root(),
            owners: Owners::SameUser,
        });
        assert!(matches!(same_user.preflight(), Err(Error::AgentsAsRoot)));
    }
}

#[test]
fn a_removed_workspace_is_gone_however_hard_the_agent_made_it() {
    let place = Place::new();
    let agent = place.agent(1);
    let secret = place.secret();
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    symlink(&outside, agent.path().join("projects/link")).unwrap();
    symlink(&secret, agent.path().join("link")).unwrap();
    fs::hard_link(&secret, agent.path().join("hard")).unwrap();
    // As a module cache does it.
    let closed = agent.path().join("projects/cache/module");
    fs::create_dir_all(&closed).unwrap();
    fs::write(closed.join("file"), "").unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(closed.parent().unwrap(), Permissions::from_mode(0o000)).unwrap();
    crate::place::dig(&agent.path().join("projects"), 1_200);

    place.workspaces.remove(&name(1)).unwrap();
    assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0);
    assert!(outside.join("kept").exists());
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
    place.workspaces.remove(&name(1)).unwrap();
}

#[test]
fn a_refused_run_takes_back_the_folders_that_it_made() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    let root = folder.path().join("data/workspaces");
    let prepared = workspaces(root.clone()).preflight().unwrap();
    assert_eq!(prepared.made(), [folder.path().join("data"), root.clone()]);
    prepared.undo().unwrap();
    assert!(!folder.path().join("data").exists());

    let prepared = workspaces(root.clone()).preflight().unwrap();
    fs::remove_dir(&root).unwrap();
    fs::write(folder.path().join("data/of-another"), "").unwrap();
    prepared.undo().unwrap();
    assert!(folder.path().join("data/of-another").exists());
}

#[test]
fn a_root_that_exists_is_proved_and_left_clean() {
    let place = Place::new();
    let prepared = place.workspaces.preflight().unwrap();
    assert_eq!(prepared.made(), [] as [&Path; 0]);
    prepared.undo().unwrap();
    assert_eq!(fs::read_dir(place.root()).unwrap().count(), 0);
}

#[test]
fn a_root_that_can_not_be_written_names_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = workspaces(file.join("workspaces")).preflight().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "can't write to the workspaces folder {}",
            file.join("workspaces").display()
        )
    );
    assert_eq!(
        error.help(),
        Some("choose another place with --data-dir or WORKSPACES_ROOT")
    );
}

/// Needs root: only then agents are other users.
#[test]
fn a_root_that_agents_can_not_reach_is_refused_and_not_made() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o750)).unwrap();
    match workspaces(closed.join("data/workspaces")).preflight() {
        Err(Error::NotReachable { ancestor, .. }) => assert_eq!(ancestor, closed),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
}
