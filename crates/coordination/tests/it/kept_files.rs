//! Kept files that deleted runs named: looked for while others keep theirs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusion_coordination::Discarding;
use fusion_core::{Change, Decision, EventType, IdSource as _, Moment, RunId, Task, Timestamp};
use fusion_persistence::{Batch, KeptFileReader as _, Prune, Store as _};
use fusion_workspaces::Artifacts;
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::models::Model;
use crate::world::{Ids, World};

const FILE: &str = "version: 1\nname: old\nagents:\n  a: { provider: good, model: m }\nsteps:\n  \
     - { id: one, agent: a, prompt: Do it. }\n";

const ALL: Discarding = Discarding {
    only_copies: true,
    dry_run: false,
};

/// A run that has ended and names a file with this content.
async fn run(world: &World, content: &str) -> (RunId, String) {
    let kept = Artifacts::new(world.folder().join("artifacts"));
    let sha256 = kept.keep_copy(&mut content.as_bytes()).unwrap().sha256;
    let run = world.create(FILE).await;
    world.drive(run).await.unwrap();
    let step = world.tasks(run).await.remove(0);
    let name = another(
        &step,
        Ids::from(1_000 + u64::from(content.as_bytes()[0]))
            .uuid()
            .into(),
        &sha256,
    );
    let name = Decision::default().with(Change::create(name));
    world.store.commit(Batch::free(name)).await.unwrap();
    (run, sha256)
}

/// A step beside this one, which names a file.
fn another(step: &Task, id: fusion_core::TaskId, sha256: &str) -> Task {
    Task {
        id,
        name: format!("names {sha256}"),
        agent_id: None,
        output_artifacts: Some(json!({
            "outputs": {}, "artifacts": ["a"],
            "files": [{ "path": "a", "sha256": sha256, "bytes": 1 }],
        })),
        ..step.clone()
    }
}

fn is_kept(world: &World, sha256: &str) -> bool {
    let kept = world.folder().join("artifacts");
    let (folder, _) = sha256.split_at(2);
    kept.join(folder).join(sha256).exists()
}

/// While all that tasks have made is read, others may keep files, and what they name meanwhile stays.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn who_names_a_file_while_it_is_looked_for_keeps_it() {
    let world = World::new().await;
    world.register("good", Model::good());
    let (gone, wanted) = run(&world, "wanted").await;
    let (other, unwanted) = run(&world, "unwanted").await;
    let late = world.create(FILE).await;
    let step = world.tasks(late).await.remove(0);
    let scenario = fail::FailScenario::setup();
    let looks = Arc::new(AtomicU32::new(0));
    let (store, handle) = (Arc::clone(&world.store), Handle::current());
    let kept = Artifacts::new(world.folder().join("artifacts"));
    let (counted, named) = (Arc::clone(&looks), wanted.clone());
    fail::cfg_callback("coordination::looked_for_files", move || {
        if counted.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        assert!(kept.alone().unwrap().is_some(), "others may keep files");
        let ids = Ids::from(2_000);
        let task = another(&step, ids.uuid().into(), &named);
        let moment = Moment {
            now: Timestamp::from_timestamp(2_000_000_000, 0).unwrap(),
            ids: &ids,
        };
        let told = task.event(moment, EventType::TaskCompleted, String::new());
        let decision = Decision::default().with(Change::create(task)).telling(told);
        tokio::task::block_in_place(|| {
            handle.block_on(async { store.commit(Batch::free(decision)).await.unwrap() })
        });
    })
    .unwrap();
    let engine = world.engine();
    for run in [gone, other] {
        engine.delete_run(run, ALL, "me", None).await.unwrap();
    }
    scenario.teardown();
    assert_eq!(looks.load(Ordering::SeqCst), 2);
    assert!(is_kept(&world, &wanted));
    assert!(!is_kept(&world, &unwanted));
    assert_eq!(loose(&world).await, BTreeSet::new());
}

/// What all tasks have made may take long to read: who asks for a deletion is answered in time all the same.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_asked_for_stops_in_time_while_files_are_looked_for() {
    let world = World::new().await;
    world.register("good", Model::good());
    let (first, file) = run(&world, "slow").await;
    let (other, _) = run(&world, "other").await;
    let scenario = fail::FailScenario::setup();
    let within = Duration::from_secs(2);
    fail::cfg("coordination::looks_for_files", "sleep(2000)").unwrap();
    let engine = world.engine();
    let asked = engine.delete_run(first, ALL, "me", Some(within));
    asked.await.unwrap();
    scenario.teardown();
    assert!(is_kept(&world, &file));
    assert_eq!(loose(&world).await, BTreeSet::from([file.clone()]));
    engine.delete_run(other, ALL, "me", None).await.unwrap();
    assert!(!is_kept(&world, &file));
}

/// The last run that names a file is taken out after it was seen that it does: the file is not forgotten.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_last_name_goes_while_it_is_looked_for_is_looked_for_again() {
    let world = World::new().await;
    world.register("good", Model::good());
    let (first, file) = run(&world, "named twice").await;
    let (last, _) = run(&world, "last").await;
    let step = world.tasks(last).await.remove(0);
    let name = another(&step, Ids::from(3_000).uuid().into(), &file);
    let name = Decision::default().with(Change::create(name));
    world.store.commit(Batch::free(name)).await.unwrap();
    let (other, _) = run(&world, "other").await;
    let scenario = fail::FailScenario::setup();
    let looks = Arc::new(AtomicU32::new(0));
    let (store, handle, counted) = (
        Arc::clone(&world.store),
        Handle::current(),
        Arc::clone(&looks),
    );
    fail::cfg_callback("coordination::looked_for_files", move || {
        if counted.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let delete = Decision::default().with(Change::DeleteRun(last));
        let old = Prune {
            deleted_runs: true,
            limit: 100,
            ..Prune::default()
        };
        tokio::task::block_in_place(|| {
            handle.block_on(async {
                store.commit(Batch::free(delete)).await.unwrap();
                while store.prune(old).await.unwrap() > 0 {}
            });
        });
    })
    .unwrap();
    let engine = world.engine();
    engine.delete_run(first, ALL, "me", None).await.unwrap();
    scenario.teardown();
    assert!(looks.load(Ordering::SeqCst) > 0);
    assert!(loose(&world).await.contains(&file));
    engine.delete_run(other, ALL, "me", None).await.unwrap();
    assert!(!is_kept(&world, &file));
    assert_eq!(loose(&world).await, BTreeSet::new());
}

async fn loose(world: &World) -> BTreeSet<String> {
    let loose = world.store.loose_files(None, 20_000).await.unwrap();
    loose.into_keys().collect()
}

/// What a request has no time for is done right after by who keeps the store tidy, and not an hour later.
#[tokio::test]
async fn who_keeps_the_store_tidy_goes_on_where_a_request_stopped() {
    let world = World::new().await;
    world.register("good", Model::good());
    let (first, one) = run(&world, "first").await;
    let (second, two) = run(&world, "second").await;
    let engine = world.engine();
    let stop = CancellationToken::new();
    let tidying = engine.keep_tidy(&stop);
    let deleting = async {
        for (run, file) in [(first, one), (second, two)] {
            let no_time = Some(Duration::ZERO);
            engine.delete_run(run, ALL, "me", no_time).await.unwrap();
            while is_kept(&world, &file) {
                tokio::task::yield_now().await;
            }
        }
        stop.cancel();
    };
    let deleting = tokio::time::timeout(Duration::from_secs(30), deleting);
    let ((), done) = tokio::join!(Box::pin(tidying), Box::pin(deleting));
    done.unwrap();
}

/// What can't be removed stays to be tried again, and holds up no other file of its pass.
#[tokio::test]
async fn a_file_that_cant_be_removed_holds_up_no_other() {
    let world = World::new().await;
    world.register("good", Model::good());
    let mut both = [run(&world, "first").await, run(&world, "second").await];
    both.sort_by(|(_, one), (_, other)| one.cmp(other));
    let [(first, stuck), (second, free)] = both;
    let (folder, _) = stuck.split_at(2);
    let place = world.folder().join("artifacts").join(folder).join(&stuck);
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    let engine = world.engine();
    for run in [first, second] {
        engine.delete_run(run, ALL, "me", None).await.unwrap();
    }
    assert!(is_kept(&world, &stuck));
    assert!(!is_kept(&world, &free));
    assert_eq!(loose(&world).await, BTreeSet::from([stuck]));
}

/// However many can't be removed, the others of the same pass are.
#[tokio::test]
async fn ten_thousand_files_that_cant_be_removed_hold_up_no_other() {
    let world = World::new().await;
    world.register("good", Model::good());
    let (first, free) = run(&world, "free").await;
    assert!(!free.starts_with("00"));
    let kept = world.folder().join("artifacts");
    // All files in this folder: it is none.
    std::fs::write(kept.join("00"), "").unwrap();
    let stuck: BTreeSet<String> = (0..10_000).map(|number| format!("{number:064x}")).collect();
    let files: Vec<_> = stuck
        .iter()
        .map(|sha256| json!({ "path": sha256, "sha256": sha256, "bytes": 1 }))
        .collect();
    let step = world.tasks(first).await.remove(0);
    let names = Task {
        output_artifacts: Some(json!({ "outputs": {}, "artifacts": [], "files": files })),
        ..another(&step, Ids::from(4_000).uuid().into(), &free)
    };
    let names = Decision::default().with(Change::create(names));
    world.store.commit(Batch::free(names)).await.unwrap();
    let engine = world.engine();
    engine.delete_run(first, ALL, "me", None).await.unwrap();
    assert!(!is_kept(&world, &free));
    assert_eq!(loose(&world).await, stuck);
}
