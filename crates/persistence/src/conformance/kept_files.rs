//! Rules of kept files that deleted runs named.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{Change, Decision, EventType, IdSource as _, NewEvent, Parent, Run, Task};
use serde_json::json;

use super::deletions::{FILE, another, delete, end, take_out};
use super::office::Office;
use super::sample::at;
use crate::{Batch, Prune, Store, WriteRepository as _};

/// A file that a deleted run named is looked for until that is done, and may go once nobody names it.
pub async fn files_of_deleted_runs_are_told_until_they_are_dealt_with(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let (one, _) = another(store, sample, |run| run).await;
    let (other, _) = another(store, sample, |run| run).await;
    assert_eq!(loose(store).await, BTreeMap::new());
    let file = BTreeSet::from([FILE.to_owned()]);
    for (run, is_named) in [(one, true), (other, false)] {
        end(store, sample, run.id).await;
        assert!(!store.is_being_deleted(run.id).await.unwrap());
        delete(store, run.id).await.unwrap();
        assert!(store.is_being_deleted(run.id).await.unwrap());
        take_out(store, 100).await;
        assert!(!store.is_being_deleted(run.id).await.unwrap());
        forget(store, BTreeMap::new()).await;
        let named = store.files_named(&file).await.unwrap();
        let bounds = store.event_bounds().await.unwrap();
        assert_eq!(named.up_to, bounds.last);
        assert_eq!(named.files.len(), usize::from(is_named));
        let looked_at = loose(store).await;
        assert_eq!(names(&looked_at), file);
        forget(store, looked_at).await;
        assert_eq!(loose(store).await, BTreeMap::new());
    }
}

/// A file that was noted again after it was looked at stays noted, also where another has forgotten it
/// meanwhile: nobody has looked who names it since.
pub async fn a_file_that_is_noted_again_is_forgotten_by_nobody_who_looked_before(
    store: &dyn Store,
) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(another(store, sample, |run| run).await.0.id);
    }
    let take_next_out = async |run| {
        end(store, sample, run).await;
        delete(store, run).await.unwrap();
        take_out(store, 100).await;
        loose(store).await
    };
    let first = take_next_out(runs[0]).await;
    let second = take_next_out(runs[1]).await;
    assert_eq!(names(&first), names(&second));
    assert_ne!(first, second);
    forget(store, first).await;
    assert_eq!(loose(store).await, second);
    forget(store, second.clone()).await;
    assert_eq!(loose(store).await, BTreeMap::new());
    let third = take_next_out(runs[2]).await;
    assert_eq!(names(&third), names(&second));
    forget(store, second).await;
    assert_eq!(loose(store).await, third);
}

/// Files that are still to be looked for are given page by page, in the order of their hashes.
pub async fn loose_files_are_given_page_by_page(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let (run, step) = another(store, sample, |run| run).await;
    let hash = |first: char| FILE.replacen('e', &first.to_string(), 1);
    let files = ['1', '5', 'a', 'f'].map(hash);
    let named: Vec<_> = files
        .iter()
        .map(|sha256| json!({ "path": sha256, "sha256": sha256, "bytes": 1 }))
        .collect();
    let made = json!({ "outputs": {}, "artifacts": [], "files": named });
    let step = Task {
        output_artifacts: Some(made),
        ..step
    };
    store.update(step).await.unwrap();
    end(store, sample, run.id).await;
    delete(store, run.id).await.unwrap();
    take_out(store, 100).await;
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = store.loose_files(after.as_deref(), 3).await.unwrap();
        let Some(last) = page.keys().next_back().cloned() else {
            break;
        };
        after = Some(last);
        pages.push(page.into_keys().collect::<Vec<_>>());
    }
    assert_eq!(pages, [files[..3].to_vec(), files[3..].to_vec()]);
}

async fn loose(store: &dyn Store) -> BTreeMap<String, u64> {
    store.loose_files(None, 10).await.unwrap()
}

fn names(noted: &BTreeMap<String, u64>) -> BTreeSet<String> {
    noted.keys().cloned().collect()
}

async fn forget(store: &dyn Store, files: BTreeMap<String, u64>) {
    let forget = Decision::default().with(Change::ForgetFiles(files));
    store.commit(Batch::free(forget)).await.unwrap();
}

/// What was committed after a place of the log is told for itself: a task that made a file, and a run that
/// came with tasks of its own. Where the log has lost a part of it, that is said.
pub async fn files_that_were_named_since_are_told_without_all_others(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let file = BTreeSet::from([FILE.to_owned()]);
    let (_, before) = another(store, sample, |run| run).await;
    let known = store.files_named(&file).await.unwrap();
    assert_eq!(known.files, file);
    let since = store.files_named_since(&file, known.up_to).await.unwrap();
    assert_eq!(since, Some(BTreeSet::new()));
    let tell = async |event| {
        let told = Decision::default().telling(event);
        store.commit(Batch::free(told)).await.unwrap().last_seq
    };
    // Nothing of what is told here named a file.
    let quiet = sample.tasks["one"].event(sample.moment(), EventType::TaskCompleted, String::new());
    let quiet = tell(quiet).await;
    let since = store.files_named_since(&file, known.up_to).await.unwrap();
    assert_eq!(since, Some(BTreeSet::new()));
    let made = before.event(sample.moment(), EventType::TaskCompleted, String::new());
    let made = tell(made).await;
    let since = store.files_named_since(&file, quiet).await.unwrap();
    assert_eq!(since, Some(file.clone()));
    // A run that came, with one below it that names the file.
    let (above, step) = another(store, sample, |run| run).await;
    store
        .update(Task {
            output_artifacts: None,
            ..step.clone()
        })
        .await
        .unwrap();
    let parent = Parent {
        run_id: above.id,
        task_id: step.id,
        step: "one".to_owned(),
    };
    another(store, sample, |run| Run {
        parent: Some(parent),
        ..run
    })
    .await;
    let came = NewEvent::of_run(
        sample.moment(),
        EventType::RecordChanged,
        above.id,
        String::new(),
    );
    tell(came).await;
    let since = store.files_named_since(&file, made).await.unwrap();
    assert_eq!(since, Some(file.clone()));
    let old = Prune {
        events_before: Some(at(i64::from(u32::MAX))),
        limit: 1,
        ..Prune::default()
    };
    store.prune(old).await.unwrap();
    let since = store.files_named_since(&file, 0).await.unwrap();
    assert_eq!(since, None);
}

/// A file that a run was handed is named by it, whatever becomes of who made it.
pub async fn a_file_that_a_run_was_handed_stays_until_that_run_is_deleted(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let (maker, _) = another(store, sample, |run| run).await;
    let file = |sha256| json!([{ "path": "artifacts/table/a", "sha256": sha256, "bytes": 1 }]);
    // A list that looks as files do is none.
    let alike = FILE.replace('e', "f");
    let inputs = [("table", file(FILE)), ("list", file(&alike))];
    let inputs = inputs.map(|(name, files)| (name.to_owned(), files));
    let handed = Run {
        id: sample.ids.uuid().into(),
        inputs: inputs.into_iter().collect(),
        ..sample.run.clone()
    };
    store.create(handed.clone()).await.unwrap();
    let (file, both) = (BTreeSet::from([FILE.to_owned()]), [FILE.to_owned(), alike]);
    let both = BTreeSet::from(both);
    let came = NewEvent::of_run(
        sample.moment(),
        EventType::RecordChanged,
        handed.id,
        String::new(),
    );
    let before = store.files_named(&file).await.unwrap().up_to;
    store
        .commit(Batch::free(Decision::default().telling(came)))
        .await
        .unwrap();
    for (run, named) in [(maker.id, file.clone()), (handed.id, BTreeSet::new())] {
        end(store, sample, run).await;
        delete(store, run).await.unwrap();
        take_out(store, 100).await;
        let looked_at = loose(store).await;
        assert_eq!(names(&looked_at), file);
        assert_eq!(store.files_named(&both).await.unwrap().files, named);
        let since = store.files_named_since(&both, before).await.unwrap();
        assert_eq!(since, Some(named));
        forget(store, looked_at).await;
    }
}
