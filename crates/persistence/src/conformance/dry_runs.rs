//! Rules of batches that are only tried.

use fusion_core::{Change, Decision};
use futures::future::join_all;

use super::commits::two_steps;
use super::sample::Sample;
use super::world::World;
use crate::{
    Batch, CapabilityFilter, Deletable as _, Error, EventFilter, Fence, Repository, Store,
    WriteRepository as _,
};

async fn told(store: &dyn Store) -> usize {
    let events = store.events_after(&EventFilter::default(), 0, 1_000).await;
    events.unwrap().len()
}

fn is_dry_run(tried: crate::Result<crate::Committed>) {
    match tried {
        Err(Error::DryRun) => {}
        other => panic!("{other:?}"),
    }
}

/// What can be written is answered with `DryRun`; rows, versions and the log stay as they are, and the
/// same batch is written afterwards.
pub async fn a_dry_run_writes_nothing(store: &dyn Store) {
    let sample: Sample = two_steps(store).await;
    let before = (told(store).await, sample.tasks["two"].clone());
    let mut changed = before.1.clone();
    changed.priority += 1;
    let batch = Batch::free(sample.telling("tried").with(Change::update(changed)));
    is_dry_run(store.commit(batch.clone().dry_run()).await);
    let after = store.get(before.1.id).await.unwrap();
    assert_eq!((told(store).await, after), before);
    store.commit(batch).await.unwrap();
    assert_eq!(told(store).await, before.0 + 1);
}

/// What stands in the way of a batch stands in the way of its dry run: a version, what refers to a row,
/// a guard.
pub async fn a_dry_run_is_refused_as_its_batch_would_be(store: &dyn Store) {
    let world = World::store(store).await;
    let capability = world.capability();
    store.create(capability.clone()).await.unwrap();
    let mut project = world.odd_project();
    project.archived_at = None;
    store.create(project.clone()).await.unwrap();
    let mut agent = world.agent();
    agent.project_id = Some(project.id);
    store.create(agent).await.unwrap();
    let deleting = |kind, id, version| {
        let gone = Change::Delete { kind, id, version };
        Batch::free(Decision::default().with(gone)).dry_run()
    };
    let old = deleting(fusion_core::Capability::KIND, capability.id.uuid(), 9);
    let used = deleting(fusion_core::Project::KIND, project.id.uuid(), 1);
    let fence = Fence {
        task: world.sample.tasks["one"].id,
        number: 77,
    };
    let lost = Batch::fenced(fence, world.sample.telling("late")).dry_run();
    let free = deleting(fusion_core::Capability::KIND, capability.id.uuid(), 1);
    let mut answers = Vec::new();
    for batch in [old, used, lost, free] {
        let refused = store.commit(batch).await.unwrap_err();
        answers.push(match refused {
            Error::Conflict { entity, .. } => format!("conflict {entity}"),
            Error::InUse { entity, .. } => format!("in use {entity}"),
            Error::Fenced { .. } => "fenced".to_owned(),
            Error::DryRun => "dry run".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    let expected = ["conflict capability", "in use project", "fenced", "dry run"];
    assert_eq!(answers, expected);
    let rows = store.count(&CapabilityFilter::default()).await.unwrap();
    assert_eq!(rows, 1);
}

/// Of many batches at once, each second one tried only, exactly the others are written.
pub async fn a_dry_run_does_not_disturb_its_neighbours(store: &dyn Store) {
    let sample = two_steps(store).await;
    let before = told(store).await;
    let commits = (0..40).map(|number| {
        let batch = Batch::free(sample.telling(&format!("e{number}")));
        store.commit(match number % 2 {
            0 => batch,
            _ => batch.dry_run(),
        })
    });
    for (number, result) in join_all(commits).await.into_iter().enumerate() {
        match number % 2 {
            0 => drop(result.unwrap()),
            _ => is_dry_run(result),
        }
    }
    assert_eq!(told(store).await, before + 20);
}
