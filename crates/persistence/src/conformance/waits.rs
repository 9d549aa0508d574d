//! Rules of tasks that wait for a time.

use std::time::Duration;

use fusion_core::{Change, Decision, RunId, Task, TaskState};

use super::queue::fence_of;
use super::sample::{Sample, agent_named, queue_of, step};
use crate::{Batch, Error, Queue, Repository, Store};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Two own tasks of one agent, the more urgent one in its hands.
async fn claimed(store: &dyn Store) -> (Sample, Task) {
    let steps = [("urgent", 9), ("other", 0)]
        .map(|(id, priority)| step(id, agent_named("a"), &[], priority))
        .into();
    let sample = Sample::store(store, steps).await;
    let claim = sample.claim("a", &[], sample.node());
    let task = store.claim_task(claim).await.unwrap().unwrap().task;
    assert_eq!(task.name, "urgent");
    (sample, task)
}

async fn postpone(store: &dyn Store, sample: &Sample, task: &Task, wait: Duration) {
    let decision = task.postpone(None, wait, "no quota", sample.moment());
    let release = Batch::release(fence_of(task), decision.unwrap());
    store.commit(release).await.unwrap();
}

async fn wake(store: &dyn Store, run_id: RunId, early: bool) {
    let decision = Decision::default().with(Change::Wake { run_id, early });
    store.commit(Batch::free(decision)).await.unwrap();
}

/// The next task of the agent.
async fn next(store: &dyn Store, sample: &Sample) -> Option<Task> {
    let claim = sample.claim("a", &[], sample.node());
    store.claim_task(claim).await.unwrap().map(|it| it.task)
}

/// Others go on meanwhile, however urgent it is; looking for tasks to wake changes nothing.
pub async fn a_postponed_task_is_claimed_by_nobody_before_its_time(store: &dyn Store) {
    let (sample, task) = claimed(store).await;
    let run = sample.run.id;
    postpone(store, &sample, &task, HOUR).await;
    let queue = queue_of(store, run).await;
    assert_eq!(queue.ready, 1);
    let due_in = queue.due_in.unwrap();
    assert!(due_in > HOUR / 2 && due_in <= HOUR, "{due_in:?}");
    let waiting = store.get(task.id).await.unwrap();
    assert_eq!(
        (waiting.state, waiting.fence, waiting.is_ready()),
        (TaskState::Queued, task.fence + 1, false)
    );
    assert_eq!(waiting.waiting.as_ref().unwrap().reason, "no quota");
    let other = next(store, &sample).await.unwrap();
    assert_eq!(other.name, "other");
    sample.skip(store, other).await;
    wake(store, run, false).await;
    assert_eq!(store.get(task.id).await.unwrap(), waiting);
    assert_eq!(next(store, &sample).await, None);
    assert_eq!(queue_of(store, run).await.ready, 0);
}

/// In its place in the queue, and without a trace of the wait.
pub async fn a_task_whose_time_has_come_is_claimed_once_it_is_woken(store: &dyn Store) {
    let (sample, task) = claimed(store).await;
    let run = sample.run.id;
    postpone(store, &sample, &task, Duration::ZERO).await;
    while queue_of(store, run).await.due_in != Some(Duration::ZERO) {}
    wake(store, run, false).await;
    let queue = Queue {
        ready: 2,
        due_in: None,
    };
    assert_eq!(queue_of(store, run).await, queue);
    let again = next(store, &sample).await.unwrap();
    assert_eq!((again.id, again.fence), (task.id, task.fence + 2));
    assert_eq!(again.waiting, None);
    assert_eq!(store.get(task.id).await.unwrap(), again);
}

/// Of the run that is named, and of no other.
pub async fn a_task_may_be_woken_early(store: &dyn Store) {
    let (sample, task) = claimed(store).await;
    postpone(store, &sample, &task, HOUR).await;
    wake(store, uuid::Uuid::nil().into(), true).await;
    assert!(!store.get(task.id).await.unwrap().is_ready());
    wake(store, sample.run.id, true).await;
    assert!(store.get(task.id).await.unwrap().is_ready());
    assert_eq!(next(store, &sample).await.unwrap().id, task.id);
}

/// A task at work is not: the batch that would is refused whole.
pub async fn only_a_queued_task_is_postponed(store: &dyn Store) {
    let (sample, task) = claimed(store).await;
    let decision = task.postpone(None, HOUR, "no quota", sample.moment());
    let refused = store.commit(Batch::free(decision.unwrap())).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, Error::Conflict { entity: "task", .. }),
        "{refused:?}"
    );
    assert_eq!(store.get(task.id).await.unwrap(), task);
}

/// Who writes a task's row does not end its wait.
pub async fn an_update_leaves_a_wait_as_it_is(store: &dyn Store) {
    let (sample, task) = claimed(store).await;
    postpone(store, &sample, &task, HOUR).await;
    let waiting = store.get(task.id).await.unwrap();
    let mut raised = waiting.clone();
    raised.priority += 1;
    raised.waiting = None;
    let update = Decision::default().with(Change::update(raised));
    store.commit(Batch::free(update)).await.unwrap();
    let after = store.get(task.id).await.unwrap();
    assert_eq!(after.waiting, waiting.waiting);
}
