//! Workflows that are started by a clock that the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use fusion_coordination::{Ask, NewDefinition, NewSchedule, held};
use fusion_core::{
    Budget, Change, Clock, Decision, EventType, IdSource as _, Overlap, Project, ProjectId, Run,
    RunId, Schedule, ScheduleId, Timestamp, Workflow, WorkflowId, WorkflowState,
};
use fusion_persistence::{
    Batch, Deletable as _, EventFilter, EventReader as _, Page, Repository as _, RunFilter,
    Store as _, WorkflowFilter,
};
use futures::future::join_all;
use serde_json::json;

use crate::gate::Gate;
use crate::standing::{hosted, until};
use crate::world::{Ids, World};

const WORKFLOW: &str = "
version: 1
name: w
inputs: { depth: { type: integer, default: 1 } }
agents: { a: { provider: gate, model: m } }
steps: [ { id: s, agent: a, prompt: x } ]
";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A clock that stands still until the test sets it.
#[derive(Debug)]
struct Hands(AtomicI64);

impl Hands {
    fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(at(text).timestamp_millis())))
    }

    fn set(&self, text: &str) {
        self.0.store(at(text).timestamp_millis(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_timestamp_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A clock that goes on from a moment of the test's choice.
#[derive(Debug)]
struct Going {
    from: Timestamp,
    since: Instant,
}

impl Clock for Going {
    fn now(&self) -> Timestamp {
        self.from + self.since.elapsed()
    }
}

/// Hourly; made shortly before 20:00.
fn hourly(overlap: Overlap) -> Schedule {
    named("hourly", "w", overlap)
}

fn named(name: &str, workflow: &str, overlap: Overlap) -> Schedule {
    let new = NewSchedule {
        name: name.to_owned(),
        workflow: workflow.to_owned(),
        inputs: serde_json::Map::new(),
        cron: "0 * * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        overlap,
    };
    let id = ScheduleId::from_uuid(Ids::from(900 + name.len() as u64).uuid());
    new.row(id, at("2023-11-14T19:59:00Z")).unwrap()
}

async fn world(clock: Arc<dyn Clock>, schedules: &[Schedule]) -> World {
    let world = World::at(clock).await;
    world.register("gate", Gate::open());
    let new = NewDefinition {
        definition: fusion_workflow_file::parse(WORKFLOW).unwrap(),
        source: WORKFLOW.to_owned(),
        base_dir: "/".to_owned(),
        project_id: None,
        after: None,
    };
    let stored = world.engine().store_workflow(new, |_| Ask::default());
    stored.await.unwrap();
    for schedule in schedules {
        write(&world, Change::create(schedule.clone())).await;
    }
    world
}

async fn write(world: &World, change: Change) {
    let batch = Batch::free(Decision::default().with(change));
    world.store.commit(batch).await.unwrap();
}

/// A schedule as it is stored now.
async fn seen(world: &World, schedule: &Schedule) -> Schedule {
    world.store.get(schedule.id).await.unwrap()
}

async fn runs(world: &World) -> Vec<Run> {
    let every = RunFilter::default();
    world.store.list(&every, Page::first(100)).await.unwrap()
}

/// The runs and the messages of events of this type.
async fn told(world: &World, event_type: EventType) -> Vec<(Option<RunId>, String)> {
    let filter = EventFilter {
        types: vec![event_type.as_str().to_owned()],
        ..EventFilter::default()
    };
    let events = world.store.events_after(&filter, 0, 100).await.unwrap();
    let events = events.into_iter().map(|it| it.event);
    events.map(|it| (it.run_id, it.message)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_that_was_missed_the_last_starts_one_run_however_many_look() {
    let schedule = hourly(Overlap::Skip);
    let clock = Hands::at("2023-11-14T22:13:20Z");
    let world = world(clock, std::slice::from_ref(&schedule)).await;
    let looks = (0..8).map(|_| world.engine().start_due());
    for looked in join_all(looks).await {
        looked.unwrap();
    }
    let all = runs(&world).await;
    let [run] = all.as_slice() else {
        panic!("{all:#?}");
    };
    assert_eq!(run.inputs["depth"], 1);
    let expected = Schedule {
        last_at: Some(at("2023-11-14T22:00:00Z")),
        next_at: Some(at("2023-11-14T23:00:00Z")),
        last_run: Some(run.id),
        updated_at: at("2023-11-14T22:13:20Z"),
        version: 2,
        ..schedule.clone()
    };
    assert_eq!(seen(&world, &schedule).await, expected);
    let wait = world.engine().start_due().await.unwrap();
    assert_eq!(wait, Duration::from_secs(46 * 60 + 40));
    let fired = (
        Some(run.id),
        format!("schedule hourly started run {}", run.id),
    );
    assert_eq!(told(&world, EventType::ScheduleFired).await, [fired]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_look_is_when_the_next_occurrence_is_due() {
    let schedule = hourly(Overlap::Skip);
    let clock = Hands::at("2023-11-14T19:59:59.250Z");
    let world = world(Arc::<Hands>::clone(&clock), &[schedule]).await;
    let look = || world.engine().start_due();
    assert_eq!(look().await.unwrap(), Duration::from_millis(750));
    assert_eq!(runs(&world).await, []);
    clock.set("2023-11-14T20:00:00Z");
    assert_eq!(look().await.unwrap(), Duration::from_secs(60 * 60));
    assert_eq!(runs(&world).await.len(), 1);
}

/// A second occurrence comes while the run of the first goes on, and a third after it was stopped.
async fn over_a_run_that_goes_on(overlap: Overlap) -> (World, Schedule, RunId) {
    let schedule = hourly(overlap);
    let clock = Hands::at("2023-11-14T20:00:00Z");
    let world = world(Arc::<Hands>::clone(&clock), std::slice::from_ref(&schedule)).await;
    world.engine().start_due().await.unwrap();
    let first = seen(&world, &schedule).await.last_run.unwrap();
    clock.set("2023-11-14T22:30:00Z");
    world.engine().start_due().await.unwrap();
    assert_eq!(runs(&world).await.len(), 1, "{overlap}");
    (world, schedule, first)
}

async fn stop(world: &World, run: RunId) {
    world.engine().cancel_run(run, "a test").await.unwrap();
    assert_eq!(world.run(run).await.state, WorkflowState::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_run_goes_on_is_left_out() {
    let (world, schedule, first) = over_a_run_that_goes_on(Overlap::Skip).await;
    let why = format!("run {first} still goes on");
    let row = seen(&world, &schedule).await;
    assert_eq!(
        (row.last_at, row.next_at, row.last_run, row.last_error),
        (
            Some(at("2023-11-14T22:00:00Z")),
            Some(at("2023-11-14T23:00:00Z")),
            Some(first),
            Some(why.clone())
        )
    );
    let skipped = (None, format!("schedule hourly started nothing: {why}"));
    assert_eq!(told(&world, EventType::ScheduleSkipped).await, [skipped]);
    stop(&world, first).await;
    world.engine().start_due().await.unwrap();
    assert_eq!(runs(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_run_goes_on_waits_for_its_end_and_the_last_of_it_is_started() {
    let (world, schedule, first) = over_a_run_that_goes_on(Overlap::Queue).await;
    let wait = world.engine().start_due().await.unwrap();
    assert_eq!(wait, Duration::from_secs(5));
    assert_eq!(told(&world, EventType::ScheduleSkipped).await, []);
    stop(&world, first).await;
    world.engine().start_due().await.unwrap();
    assert_eq!(runs(&world).await.len(), 2);
    let row = seen(&world, &schedule).await;
    assert_eq!(
        (row.last_at, row.next_at),
        (
            Some(at("2023-11-14T22:00:00Z")),
            Some(at("2023-11-14T23:00:00Z"))
        )
    );
    assert_ne!(row.last_run, Some(first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_started_is_told_is_tried_again_and_keeps_nothing_else() {
    let gone = named("gone", "nothing", Overlap::Skip);
    let wrong = Schedule {
        inputs: [("depth".to_owned(), json!("deep"))].into_iter().collect(),
        ..named("wrong", "w", Overlap::Skip)
    };
    let good = hourly(Overlap::Skip);
    let all = [gone.clone(), good.clone(), wrong.clone()];
    let world = world(Hands::at("2023-11-14T20:00:01Z"), &all).await;
    world.engine().start_due().await.unwrap();
    let (gone, wrong) = (seen(&world, &gone).await, seen(&world, &wrong).await);
    let whys = [
        "there is no workflow 'nothing'",
        "the input 'depth' must be of type integer",
    ];
    for (row, why) in [gone, wrong].into_iter().zip(whys) {
        assert_eq!(row.next_at, Some(at("2023-11-14T21:00:00Z")));
        assert_eq!(row.last_run, None);
        let last_error = row.last_error.unwrap();
        assert!(last_error.contains(why), "{last_error}");
    }
    assert_eq!(told(&world, EventType::ScheduleSkipped).await.len(), 2);
    assert_eq!(runs(&world).await.len(), 1);
    assert!(seen(&world, &good).await.last_run.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_schedule_starts_nothing_and_goes_on_with_the_next_occurrence() {
    let schedule = hourly(Overlap::Skip);
    let clock = Hands::at("2023-11-14T22:13:20Z");
    let world = world(Arc::<Hands>::clone(&clock), std::slice::from_ref(&schedule)).await;
    for hold in [true, false] {
        let row = held(seen(&world, &schedule).await, hold, clock.now());
        write(&world, Change::update(row)).await;
        world.engine().start_due().await.unwrap();
    }
    assert_eq!(runs(&world).await, []);
    let expected = Schedule {
        next_at: Some(at("2023-11-14T23:00:00Z")),
        updated_at: clock.now(),
        version: 3,
        ..schedule.clone()
    };
    assert_eq!(seen(&world, &schedule).await, expected);
}

/// Without the alarm nobody would look for a minute, and without the hint nobody knew of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hosts_hears_of_a_new_schedule_and_wakes_when_it_is_due() {
    let clock = Going {
        from: at("2023-11-14T19:59:58Z"),
        since: Instant::now(),
    };
    let world = world(Arc::new(clock), &[]).await;
    let (schedule, due) = (hourly(Overlap::Skip), at("2023-11-14T20:00:00Z"));
    let run = hosted(&world, async {
        world
            .engine()
            .create_record(schedule.clone(), Ask::default())
            .await
            .unwrap();
        world.engine().hint_schedules();
        until(|| async { seen(&world, &schedule).await.last_run.is_some() }).await;
        let run = seen(&world, &schedule).await.last_run.unwrap();
        until(|| async { world.run(run).await.state.is_final() }).await;
        world.run(run).await
    })
    .await;
    assert_eq!(run.state, WorkflowState::Completed);
    let late = run.created_at - due;
    assert!(late >= chrono::TimeDelta::zero(), "{late}");
    assert!(late < chrono::TimeDelta::seconds(40), "{late}");
    assert_eq!(seen(&world, &schedule).await.last_at, Some(due));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_occurrence_of_an_archived_project_starts_nothing_and_says_why() {
    let schedule = hourly(Overlap::Skip);
    let clock = Hands::at("2023-11-14T22:13:20Z");
    let world = world(clock, std::slice::from_ref(&schedule)).await;
    let now = at("2023-11-14T20:00:00Z");
    let shop = Project {
        id: ProjectId::from_uuid(Ids::from(700).uuid()),
        name: "shop".to_owned(),
        description: String::new(),
        message_queue_config: json!({}),
        default_provider_id: None,
        budget: Budget::default(),
        budget_per_day: Budget::default(),
        archived_at: None,
        created_at: now,
        updated_at: now,
        metadata: json!({}),
        version: 1,
    };
    write(&world, Change::create(shop.clone())).await;
    // Its workflow comes into the project only when the newest version goes.
    let [mut newest] = <[Workflow; 1]>::try_from(
        world
            .store
            .list(&WorkflowFilter::default(), Page::first(2))
            .await
            .unwrap(),
    )
    .unwrap();
    let mut of_shop = newest.clone();
    of_shop.id = WorkflowId::from_uuid(Ids::from(800).uuid());
    of_shop.project_id = Some(shop.id);
    newest.id = WorkflowId::from_uuid(Ids::from(801).uuid());
    of_shop.definition_version = 2;
    newest.definition_version = 3;
    write(&world, Change::create(of_shop)).await;
    write(&world, Change::create(newest.clone())).await;
    let archived = world
        .engine()
        .archive_project(shop.id, true, |_| Ask::default())
        .await
        .unwrap();
    let gone = Change::Delete {
        kind: Workflow::KIND,
        id: newest.id.uuid(),
        version: 1,
    };
    write(&world, gone).await;
    world.engine().start_due().await.unwrap();
    assert_eq!(runs(&world).await, []);
    let expected = Schedule {
        last_at: Some(at("2023-11-14T22:00:00Z")),
        next_at: Some(at("2023-11-14T23:00:00Z")),
        last_error: Some("the project 'shop' is archived".to_owned()),
        updated_at: at("2023-11-14T22:13:20Z"),
        version: 2,
        ..schedule.clone()
    };
    assert_eq!(seen(&world, &schedule).await, expected);
    let stored: Project = world.store.get(shop.id).await.unwrap();
    assert_eq!(stored, archived);
}
