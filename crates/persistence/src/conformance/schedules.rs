//! Rules of schedules: a row that moves on in the commit that creates its run.

use fusion_core::{Change, Occurrence, Overlap, Schedule};
use futures::future::join_all;
use serde_json::Map;
use uuid::Uuid;

use super::entities::lives;
use super::lists::{create_all, selects};
use super::sample::at;
use super::world::{ODD, World, early, late, odd_json};
use crate::{Batch, Error, Repository, RunFilter, ScheduleFilter, Store, WriteRepository};

/// A schedule with everything in it that a store may stumble over.
fn odd(world: &World) -> Schedule {
    let id: Uuid = world.fresh();
    Schedule {
        name: format!("{ODD}{id}"),
        workflow: ODD.to_owned(),
        inputs: [(ODD.to_owned(), odd_json())].into_iter().collect(),
        cron: ODD.to_owned(),
        timezone: ODD.to_owned(),
        overlap: Overlap::Queue,
        is_paused: true,
        next_at: Some(early()),
        last_at: Some(late()),
        last_run: Some(world.sample.run.id),
        last_error: Some(ODD.to_owned()),
        created_at: early(),
        updated_at: late(),
        ..bare(id)
    }
}

/// One with as little as can be.
pub(super) fn bare(id: Uuid) -> Schedule {
    Schedule {
        id: id.into(),
        name: format!("schedule {id}"),
        workflow: String::new(),
        inputs: Map::new(),
        cron: String::new(),
        timezone: String::new(),
        overlap: Overlap::Skip,
        is_paused: false,
        next_at: None,
        last_at: None,
        last_run: None,
        last_error: None,
        created_at: at(1),
        updated_at: at(1),
        version: 1,
    }
}

/// Schedules: all but since when.
pub async fn schedules_are_kept_as_written(store: &dyn Store) {
    let world = World::store(store).await;
    let keep = |first: &Schedule, kept: &mut Schedule| {
        kept.created_at = first.created_at;
    };
    let bare = || bare(world.fresh());
    lives(store, odd(&world), bare(), keep).await;
    lives(store, bare(), odd(&world), keep).await;
}

/// Schedules: by name, by workflow, and by whether they are held.
pub async fn schedules_are_selected_by_their_filter(store: &dyn Store) {
    let world = World::store(store).await;
    let (odd, bare) = (odd(&world), bare(world.fresh()));
    create_all(store, &[&odd, &bare]).await;
    selects(store, ScheduleFilter::default(), &[&odd, &bare]).await;
    let paused = Some(false);
    selects(store, only!(ScheduleFilter, paused), &[&bare]).await;
    let workflow = Some(odd.workflow.clone());
    let of_workflow = only!(ScheduleFilter, workflow);
    selects(store, of_workflow.clone(), &[&odd]).await;
    let both = ScheduleFilter {
        paused,
        ..of_workflow
    };
    selects(store, both, &[]).await;
    let name = Some(bare.name.clone());
    selects(store, only!(ScheduleFilter, name), &[&bare]).await;
}

/// Of all who read a schedule as it was, one moves it on: the runs of the others are not there either.
pub async fn an_occurrence_starts_one_run_however_many_deal_with_it(store: &dyn Store) {
    let world = World::store(store).await;
    let schedule = bare(world.fresh());
    store.create(schedule.clone()).await.unwrap();
    let occurrence = Occurrence {
        at: at(60),
        next: Some(at(120)),
    };
    let fire = || {
        let mut run = world.sample.run.clone();
        run.id = world.fresh();
        run.version = 1;
        let moved = schedule.clone();
        let decision = moved.fired(occurrence, run.id, world.sample.moment());
        let batch = Batch::free(decision.with(Change::create(run.clone())));
        async move { (run.id, store.commit(batch).await) }
    };
    let before = store.count(&RunFilter::default()).await.unwrap();
    let answers = join_all((0..8).map(|_| fire())).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
    let [(run, _)] = won.as_slice() else {
        panic!("{won:?}");
    };
    for (_, answer) in lost {
        assert!(matches!(answer, Err(Error::Conflict { .. })), "{answer:?}");
    }
    let after = store.count(&RunFilter::default()).await.unwrap();
    assert_eq!(after, before + 1);
    let expected = Schedule {
        next_at: occurrence.next,
        last_at: Some(occurrence.at),
        last_run: Some(*run),
        updated_at: world.sample.moment().now,
        version: 2,
        ..schedule.clone()
    };
    assert_eq!(store.get(schedule.id).await.unwrap(), expected);
}
