//! Runs go by their age where it is said how long they are kept.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fusion_coordination::{Ask, Discarding, Error, NewTask, OldRuns, RetryTask};
use fusion_core::{Agent, Run, RunId, Task, WorkflowState, Workspace};
use fusion_messaging::{InProcessBus, QueueLimits};
use fusion_persistence::{
    AgentReader as _, Error as StoreError, EventFilter, EventReader as _, Repository as _,
    RunFilter,
};
use fusion_workspaces::{FolderDepot, Seal, SharedPlace};
use tokio_util::sync::CancellationToken;

use crate::models::Model;
use crate::world::World;

const FILE: &str = "version: 1\nname: old\nagents:\n  a: { provider: good, model: m }\nsteps:\n  \
     - { id: one, agent: a, prompt: Do it. }\n";

/// An engine that keeps runs so long, with a run that has ended and one that has not.
async fn world(keep_runs: Option<Duration>) -> (World, [RunId; 2]) {
    let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
    let world = World::tuned(bus, |options| options.keep_runs = keep_runs).await;
    world.register("good", Model::good());
    let ended = world.create(FILE).await;
    world.drive(ended).await.unwrap();
    assert_eq!(world.run(ended).await.state, WorkflowState::Completed);
    let open = world.create(FILE).await;
    (world, [ended, open])
}

async fn runs(world: &World) -> Vec<RunId> {
    let page = fusion_persistence::Page::first(10);
    let found: Vec<Run> = world.store.list(&RunFilter::default(), page).await.unwrap();
    found.into_iter().map(|run| run.id).collect()
}

#[tokio::test]
async fn a_run_that_is_kept_no_longer_goes_and_who_asked_is_told() {
    let (world, [ended, open]) = world(Some(Duration::ZERO)).await;
    let stop = CancellationToken::new();
    let gone = async {
        while runs(&world).await != [open] {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let gone = tokio::time::timeout(Duration::from_secs(30), gone);
    let engine = world.engine();
    let ((), gone) = tokio::join!(Box::pin(engine.keep_tidy(&stop)), gone);
    gone.unwrap();
    let of_run = EventFilter {
        run: Some(ended),
        ..EventFilter::default()
    };
    let events = world.store.events_after(&of_run, 0, 100).await.unwrap();
    let told = events.last().unwrap();
    assert_eq!(told.event.message, "old was deleted by retention");
    assert_eq!(told.event.data["by"], "retention");
}

#[tokio::test]
async fn runs_are_kept_for_ever_where_nothing_is_said() {
    let (world, [ended, open]) = world(None).await;
    let stop = CancellationToken::new();
    stop.cancel();
    world.engine().keep_tidy(&stop).await;
    assert_eq!(runs(&world).await, [open, ended]);
}

/// Also what is nowhere else.
const ALL: Discarding = Discarding {
    only_copies: true,
    dry_run: false,
};

async fn crew(world: &World, run: RunId) -> Vec<(Agent, Workspace)> {
    world.store.agents_of_run(run).await.unwrap()
}

#[tokio::test]
async fn a_request_that_has_no_time_left_says_where_to_go_on() {
    let (world, [first, open]) = world(None).await;
    let mut ended = vec![first];
    for _ in 0..2 {
        let run = world.create(FILE).await;
        world.drive(run).await.unwrap();
        ended.push(run);
    }
    // The newest come first.
    ended.reverse();
    let mut which = OldRuns {
        within: Some(Duration::ZERO),
        ..OldRuns::default()
    };
    for (number, run) in ended.iter().enumerate() {
        let done = world
            .engine()
            .collect_runs(&which, ALL, "me")
            .await
            .unwrap();
        let gone: Vec<RunId> = done.gone.iter().map(|gone| gone.run.id).collect();
        assert_eq!((gone, done.next), (vec![*run], Some(*run)), "{number}");
        which.after = done.next;
    }
    let done = world
        .engine()
        .collect_runs(&which, ALL, "me")
        .await
        .unwrap();
    assert_eq!((done.gone, done.kept, done.next), (vec![], vec![], None));
    assert_eq!(runs(&world).await, [open]);
}

#[tokio::test]
async fn a_run_whose_workspaces_are_elsewhere_goes_by_its_name_and_not_by_its_age() {
    let (world, [ended, open]) = world(None).await;
    let [(agent, workspace)] = &crew(&world, ended).await[..] else {
        panic!()
    };
    fs::rename(&workspace.root_path, world.folder().join("elsewhere")).unwrap();
    let which = OldRuns::default();
    let done = world
        .engine()
        .collect_runs(&which, ALL, "me")
        .await
        .unwrap();
    let [kept] = &done.kept[..] else {
        panic!("{done:?}")
    };
    let why = format!(
        "run {ended} can't be deleted: the workspace of {} is not here: it may be on another machine, or on a \
         disk that is not mounted",
        agent.name
    );
    assert_eq!((kept.run.id, &kept.why), (ended, &why));
    assert_eq!(runs(&world).await, [open, ended]);
    let asked = world
        .engine()
        .delete_run(ended, Discarding::default(), "me", None);
    assert!(matches!(asked.await, Err(Error::OnlyCopies { .. })));
    let done = world
        .engine()
        .delete_run(ended, ALL, "me", None)
        .await
        .unwrap();
    assert_eq!(
        (done.workspaces, done.left),
        (vec![], vec![workspace.root_path.clone()])
    );
    assert_eq!(runs(&world).await, [open]);
}

#[tokio::test]
async fn a_run_that_has_not_ended_is_refused_in_words_of_its_own() {
    let (world, [_, open]) = world(None).await;
    let dry = Discarding {
        dry_run: true,
        ..ALL
    };
    for how in [dry, ALL] {
        let refused = world.engine().delete_run(open, how, "me", None).await;
        let Err(Error::Store(error @ StoreError::Needed { .. })) = refused else {
            panic!("{refused:?}")
        };
        let told = format!("run {open} can't be deleted: it has not ended");
        assert_eq!(error.to_string(), told);
    }
}

#[tokio::test]
async fn a_task_is_not_asked_for_again_without_one_that_it_needed() {
    let (world, [ended, _]) = world(None).await;
    let needed = world.tasks(ended).await.remove(0).id;
    let new = NewTask {
        description: "Go on.".to_owned(),
        dependencies: vec![needed],
        ..NewTask::default()
    };
    let engine = world.engine();
    let ask = |_: &Task| Ask::default();
    let task = engine.create_task(new, ask).await.unwrap();
    let refused = engine.delete_run(ended, ALL, "me", None).await;
    assert!(matches!(
        refused,
        Err(Error::Store(StoreError::Needed { .. }))
    ));
    engine.cancel_task(task.id, None).await.unwrap();
    engine.delete_run(ended, ALL, "me", None).await.unwrap();
    let again = RetryTask::default();
    let refused = engine.retry_task(task.id, again, ask).await.unwrap_err();
    let told = refused.to_string();
    assert!(matches!(refused, Error::Description { .. }), "{told}");
    assert!(told.contains(&needed.to_string()), "{told}");
    assert!(told.contains("does not exist"), "{told}");
}

/// Nothing is sealed here.
#[derive(Debug)]
struct NoSeal;

impl Seal for NoSeal {
    fn name_of(&self, _: &[u8]) -> String {
        "name".to_owned()
    }

    fn seal(&self, _: &str, _: &str, content: &[u8]) -> io::Result<Vec<u8>> {
        Ok(content.to_vec())
    }

    fn open(&self, _: &str, _: &str, sealed: &[u8]) -> io::Result<Vec<u8>> {
        Ok(sealed.to_vec())
    }
}

#[tokio::test]
async fn snapshots_in_the_shared_folder_go_with_their_agents() {
    let (world, [ended, _]) = world(None).await;
    let root = world.folder().join("shared");
    let shared = SharedPlace::new(Arc::new(FolderDepot::new(&root)), Arc::new(NoSeal));
    let [(agent, _)] = &crew(&world, ended).await[..] else {
        panic!()
    };
    // One is of an agent that is known in another database.
    let other = "00000000-0000-7000-8000-000000000001";
    for owner in [agent.id.to_string().as_str(), other] {
        let place = Path::new("snapshots").join(owner).join("writer");
        fs::create_dir_all(root.join(place)).unwrap();
    }
    assert_eq!(shared.owners().unwrap().len(), 2);
    let engine = world.sharing(shared.clone());
    engine.delete_run(ended, ALL, "me", None).await.unwrap();
    assert_eq!(shared.owners().unwrap(), [other]);
}
