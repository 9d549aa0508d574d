//! A SQLite file whose bytes are not what was written: it is refused by name, or reading it fails, or
//! it reads as it was written. It never reads as something else.

use std::path::{Path, PathBuf};

use fusion_persistence::Store;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::world::{self, Ids, dump};

const PAGE: usize = 4_096;

/// Bytes that are flipped at the front of a page, where its structure is.
const FLIPPED: usize = 16;

const REFUSAL: &str = "the database file is damaged or is not a database: move it away or restore \
                       a backup, or use another --data-dir";

/// A database as it was left, and what it reads as.
struct Left {
    dir: TempDir,
    reads_as: String,
}

/// What became of an attempt to use a file.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    Refused,
    FailedToRead,
    ReadAsWritten,
}

impl Left {
    fn path(&self) -> PathBuf {
        self.dir.path().join("fusion.db")
    }

    /// Closed, or as a crash leaves it: with a WAL.
    async fn by(is_crash: bool) -> Self {
        let (dir, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let path = work.path().join("fusion.db");
        let ids = Ids::default();
        let tracker = TaskTracker::new();
        let store = world::open_on(&path, &tracker).await.unwrap();
        let plan = world::plan(
            &ids,
            3,
            (0..50)
                .map(|n| world::step(&format!("t{n}"), &[]))
                .collect(),
        );
        store.commit(plan.create).await.unwrap();
        for number in 0..200 {
            let message = format!("{number} {}", "words ".repeat(50));
            store.commit(ids.telling(&message)).await.unwrap();
        }
        world::close(store, tracker).await;
        let tracker = TaskTracker::new();
        let store = world::open_on(&path, &tracker).await.unwrap();
        if is_crash {
            store.commit(ids.telling("the last words")).await.unwrap();
        }
        let reads_as = dump(&store).await.unwrap();
        if is_crash {
            copy(work.path(), dir.path());
        } else {
            world::close(store, tracker).await;
            copy(work.path(), dir.path());
        }
        Self { dir, reads_as }
    }

    fn pages(&self) -> usize {
        usize::try_from(std::fs::metadata(self.path()).unwrap().len()).unwrap() / PAGE
    }

    /// Uses a copy that was changed.
    async fn damaged(&self, damage: impl FnOnce(&mut Vec<u8>)) -> Use {
        let dir = TempDir::new().unwrap();
        copy(self.dir.path(), dir.path());
        let path = dir.path().join("fusion.db");
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        match world::open(&path).await {
            Err(refused) => {
                assert_eq!(refused.to_string(), REFUSAL, "{refused:?}");
                Use::Refused
            }
            Ok(store) => match dump(&store).await {
                Err(_) => Use::FailedToRead,
                Ok(read) => {
                    assert!(read == self.reads_as, "it reads as something else");
                    Use::ReadAsWritten
                }
            },
        }
    }
}

/// The file and its WAL.
fn copy(from: &Path, to: &Path) {
    for name in ["fusion.db", "fusion.db-wal"] {
        let source = from.join(name);
        if source.exists() {
            std::fs::copy(source, to.join(name)).unwrap();
        }
    }
}

fn flip(bytes: &mut [u8], page: usize) {
    for byte in &mut bytes[page * PAGE..][..FLIPPED] {
        *byte ^= 0xff;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_damaged_header_is_refused() {
    let left = Left::by(false).await;
    assert_eq!(left.damaged(|_| {}).await, Use::ReadAsWritten);
    assert_eq!(left.damaged(|bytes| flip(bytes, 0)).await, Use::Refused);
    let other = |bytes: &mut Vec<u8>| *bytes = b"no database ".repeat(1_000);
    assert_eq!(left.damaged(other).await, Use::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_never_reads_as_something_else() {
    let left = Left::by(false).await;
    let mut found = 0;
    for page in 1..left.pages() {
        let used = left.damaged(|bytes| flip(bytes, page)).await;
        found += usize::from(used != Use::ReadAsWritten);
    }
    assert!(
        found > 10,
        "only {found} damaged pages of {} were met",
        left.pages()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_a_damaged_page_is_found_before_work_begins() {
    let left = Left::by(true).await;
    assert_eq!(left.damaged(|_| {}).await, Use::ReadAsWritten);
    let mut found = 0;
    for page in 1..left.pages() {
        match left.damaged(|bytes| flip(bytes, page)).await {
            Use::Refused => found += 1,
            // The page is in the WAL too, or nothing uses it.
            Use::ReadAsWritten => {}
            Use::FailedToRead => panic!("page {page} was found only when it was read"),
        }
    }
    assert!(found > left.pages() / 2, "only {found} of {}", left.pages());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_a_file_that_was_cut_off_is_refused() {
    let left = Left::by(true).await;
    let half = left.pages() / 2 * PAGE;
    assert_eq!(
        left.damaged(|bytes| bytes.truncate(half)).await,
        Use::Refused
    );
    let torn = half + PAGE / 2;
    assert_eq!(
        left.damaged(|bytes| bytes.truncate(torn)).await,
        Use::Refused
    );
}
