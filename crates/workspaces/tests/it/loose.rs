//! Folders of a person that are taken as workspaces.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use fusion_workspaces::{Owners, WorkspaceDir};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};

use crate::place::is_root;

const UID: u32 = 210_099;

fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

#[test]
fn root_gives_files_links_and_folders_away_and_nothing_else() {
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (folder, other) = (place.path().join("project"), place.path().join("other"));
    for made in [&folder.join("inner"), &folder.join("mounted"), &other] {
        fs::create_dir_all(made).unwrap();
    }
    fs::write(folder.join("inner/file"), "text").unwrap();
    fs::write(other.join("file"), "text").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    let rights = Mode::RUSR | Mode::WUSR;
    for (name, kind) in [("pipe", FileType::Fifo), ("disk", FileType::BlockDevice)] {
        mknodat(CWD, folder.join(name), kind, rights, 0).unwrap();
    }
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    // Of the same file system, seen by this thread alone.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).unwrap();
    mount_bind(&other, folder.join("mounted")).unwrap();

    WorkspaceDir::adopt(&folder, &Owners::Range(UID..=UID), 0).unwrap();

    for given in ["", "inner", "inner/file", "link", ".agent", ".agent/home"] {
        assert_eq!(owner(&folder.join(given)), UID, "{given}");
    }
    for kept in ["pipe", "disk", "socket", "mounted", "mounted/file"] {
        assert_eq!(owner(&folder.join(kept)), 0, "{kept}");
    }
    assert_eq!(owner(Path::new("/etc/passwd")), 0);
}
