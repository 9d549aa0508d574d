//! The disk of the database is full.

use std::path::Path;
use std::process::{Command, Stdio};

use fusion_persistence::{Error, Store};
use fusion_persistence_sql::maintenance::check;
use fusion_persistence_sql::{Durability, Location};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::world::{Ids, close, messages, open_on};

/// A file system of 4 MiB, taken down at the end of the test.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where none can be made: that takes root, and a kernel that allows it.
    fn new() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let at = dir.path().to_str().unwrap();
        let is_made = call("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", at]);
        is_made.then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(call("umount", &["-l", self.path().to_str().unwrap()]));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sets the scene, as a person would"
)]
fn call(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_what_was_acknowledged_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::new() else {
        eprintln!("skipped: no small disk can be mounted here");
        return;
    };
    let (file, filler) = (disk.path().join("fusion.db"), disk.path().join("filler"));
    std::fs::write(&filler, vec![0; 1024 * 1024]).unwrap();
    let tracker = TaskTracker::new();
    let (store, ids) = (open_on(&file, &tracker).await.unwrap(), Ids::default());
    let message = |number: usize| format!("{number} {}", "x".repeat(8_000));
    let mut kept = Vec::new();
    let full = loop {
        let message = message(kept.len());
        match store.commit(ids.telling(&message)).await {
            Ok(_) => kept.push(message),
            Err(error) => break error,
        }
        assert!(kept.len() < 1_000, "the disk never fills up");
    };
    assert!(matches!(full, Error::DiskFull { .. }), "{full:?}");
    assert!(kept.len() > 10, "{} commits", kept.len());
    assert_eq!(messages(&store).await, kept);
    std::fs::remove_file(filler).unwrap();
    let after = message(kept.len());
    store.commit(ids.telling(&after)).await.unwrap();
    kept.push(after);
    close(store, tracker).await;
    let checks = check(&Location::File(file.clone(), Durability::Full))
        .await
        .unwrap();
    assert!(
        checks.iter().all(|check| check.fault.is_none()),
        "{checks:?}"
    );
    let store = super::world::open(&file).await.unwrap();
    assert_eq!(messages(&store).await, kept);
}
