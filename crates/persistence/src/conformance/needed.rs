//! Rules of tasks that need one of a run which is deleted.

use fusion_core::{Task, TaskId, TaskState};

use super::deletions::{another, delete, end, take_out};
use super::office::{Office, Wanted, wanted};
use crate::{Batch, Error, Repository as _, Store, TaskFilter, WriteRepository as _};

/// From the commit on that deletes a run, a task that needs one of its tasks is refused, and the run is
/// named: alone, with others in one batch, and as a dry run. Nothing of the batch is written.
pub async fn nothing_new_needs_a_task_of_a_run_that_is_deleted(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let (kept, stays) = another(store, sample, |run| run).await;
    let (gone, goes) = another(store, sample, |run| run).await;
    for run in [&kept, &gone] {
        end(store, sample, run.id).await;
    }
    delete(store, gone.id).await.unwrap();
    let before = store.count(&TaskFilter::default()).await.unwrap();
    let needing = |needs: &[TaskId]| {
        let needs = needs.to_vec();
        office.asked(Wanted {
            needs,
            ..wanted("late", 0)
        })
    };
    let (_, alone) = needing(&[goes.id]);
    let (_, among) = needing(&[stays.id, goes.id]);
    let (_, mut batch) = needing(&[stays.id]);
    batch.merge(needing(&[goes.id]).1);
    for decision in [alone, among, batch] {
        let batch = Batch::free(decision);
        for batch in [batch.clone().dry_run(), batch] {
            let refused = store.commit(batch).await;
            assert!(
                matches!(&refused, Err(Error::Deleted { run }) if *run == gone.id),
                "{refused:?}"
            );
        }
    }
    assert_eq!(store.count(&TaskFilter::default()).await.unwrap(), before);
    let (task, fine) = needing(&[stays.id]);
    store.commit(Batch::free(fine)).await.unwrap();
    let task: Task = store.get(task.id).await.unwrap();
    assert_eq!(task.unmet_dependencies, 0);
}

/// Of a deletion and of a task that needs one of the run at the same moment one is refused.
pub async fn a_run_is_not_deleted_under_a_task_that_needs_one_of_it(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    for _ in 0..20 {
        let (run, needed) = another(store, sample, |run| run).await;
        end(store, sample, run.id).await;
        let (task, asked) = office.asked(Wanted {
            needs: vec![needed.id],
            ..wanted("next", 0)
        });
        let asked = store.commit(Batch::free(asked));
        let (deleted, asked) = futures::future::join(delete(store, run.id), asked).await;
        match (&deleted, &asked) {
            (Ok(()), Err(Error::Deleted { run: named })) => assert_eq!(*named, run.id),
            (Err(Error::Needed { run: named, why }), Ok(_)) => {
                let told = format!(
                    "the task 'next' ({}), which has not ended, needs one of it",
                    task.id
                );
                assert_eq!((*named, why), (run.id, &told));
            }
            _ => panic!("{deleted:?} {asked:?}"),
        }
    }
}

/// A task outside that has ended holds up nothing, however it ended: it stays as it is, and says what it
/// needed.
pub async fn a_run_that_only_ended_tasks_needed_is_deleted(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let root = sample.run.id;
    end(store, sample, root).await;
    let mut ended = Vec::new();
    for state in [
        TaskState::Completed,
        TaskState::Failed,
        TaskState::Cancelled,
    ] {
        let needs = vec![sample.tasks["one"].id];
        let asked = office.put(Wanted {
            needs,
            ..wanted("ended", 0)
        });
        let steps: &[TaskState] = match state {
            TaskState::Cancelled => &[TaskState::Cancelled],
            TaskState::Completed | TaskState::Failed => {
                &[TaskState::Assigned, TaskState::Running, state]
            }
            TaskState::Queued | TaskState::Assigned | TaskState::Running => &[],
        };
        let mut task = asked.await;
        for state in steps {
            task.state = *state;
            store.update(task.clone()).await.unwrap();
            task = store.get(task.id).await.unwrap();
        }
        ended.push(task);
    }
    delete(store, root).await.unwrap();
    take_out(store, 3).await;
    for task in ended {
        assert_eq!(store.get(task.id).await.unwrap(), task);
        assert_eq!(task.dependencies, [sample.tasks["one"].id]);
    }
}
