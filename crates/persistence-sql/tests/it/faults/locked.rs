//! An outside tool has the SQLite file locked.

use std::time::{Duration, Instant};

use fusion_core::Coded;
use fusion_persistence::{Error, Patience, Patient, Store};
use tempfile::TempDir;

use super::load::LONGEST_WAIT;
use super::world::{Ids, messages};

/// A tool that will write, and takes its time.
fn lock(dir: &TempDir) -> rusqlite::Connection {
    let tool = rusqlite::Connection::open(dir.path().join("fusion.db")).unwrap();
    tool.busy_timeout(Duration::from_secs(5)).unwrap();
    tool.execute_batch("BEGIN IMMEDIATE").unwrap();
    tool
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_tool_has_the_file_locked_reads_go_on_and_writers_are_told_to_try_later() {
    let open = crate::file::open(TempDir::new().unwrap()).await.unwrap();
    let (store, ids) = (open.store, Ids::default());
    store.commit(ids.telling("before")).await.unwrap();
    let tool = lock(&open.dir);
    let begun = Instant::now();
    let writers = ["a", "b", "c"].map(|message| store.commit(ids.telling(message)));
    let mut writers = std::pin::pin!(futures::future::join_all(writers));
    let mut reads = 0;
    let answers = loop {
        tokio::select! {
            answers = &mut writers => break answers,
            read = messages(&store) => assert_eq!(read, ["before"]),
        }
        reads += 1;
    };
    assert!(
        begun.elapsed() < LONGEST_WAIT,
        "told after {:?}",
        begun.elapsed()
    );
    assert!(reads > 10, "{reads} reads");
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    }
    tool.execute_batch("ROLLBACK").unwrap();
    store.commit(ids.telling("after")).await.unwrap();
    assert_eq!(messages(&store).await, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_caller_waits_until_a_tool_is_done_with_the_file() {
    let open = crate::file::open(TempDir::new().unwrap()).await.unwrap();
    let (store, ids) = (open.store, Ids::default());
    let patient = Patient::new(store.clone(), Patience::default());
    let tool = lock(&open.dir);
    // Once this one is refused, the patient one has been refused at least once as well.
    let together = futures::future::join(store.commit(ids.telling("hasty")), async {
        let mut waits = std::pin::pin!(patient.commit(ids.telling("patient")));
        tokio::select! {
            early = &mut waits => panic!("the file is locked, and this was answered: {early:?}"),
            refused = store.commit(ids.telling("later")) => refused.unwrap_err(),
        };
        tool.execute_batch("ROLLBACK").unwrap();
        waits.await
    });
    let (hasty, patient) = together.await;
    hasty.unwrap_err();
    patient.unwrap();
    assert_eq!(messages(&store).await, ["patient"]);
}
