//! Rules of reads that see several rows at one moment.

use fusion_core::{Change, Decision, IdSource as _, Run, Task, Usage};

use super::sample::{Sample, capable_of, step};
use crate::{Batch, Fence, Store};

/// Commits that are made while it is read.
const COMMITS: u64 = 200;

/// Whoever reads a run with its tasks sees both as one commit left them, also while others commit.
pub async fn a_run_is_read_with_its_tasks_at_one_moment(store: &dyn Store) {
    let steps = vec![
        step("one", capable_of(&["x"]), &[], 0),
        step("two", capable_of(&["x"]), &[], 0),
    ];
    let sample = Sample::staffed(store, &[("a", &["x"][..])], steps).await;
    let claim = sample.claim("a", &[&["x"]], sample.node());
    let held = store.claim_task(claim).await.unwrap().unwrap().task;
    let run = sample.run.id;
    let writing = async {
        for _ in 0..COMMITS {
            let book = Change::BookUsage {
                run_id: run,
                task_id: held.id,
                usage: Usage {
                    turns: 1,
                    ..Usage::default()
                },
            };
            let fence = Fence {
                task: held.id,
                number: held.fence,
            };
            let book = Batch::fenced(fence, Decision::default().with(book));
            store.commit(book).await.unwrap();
        }
    };
    let reading = async {
        loop {
            let (run, tasks): (Run, Vec<Task>) = store.run_with_tasks(run).await.unwrap().unwrap();
            let of_tasks: u64 = tasks.iter().map(|task| task.usage.turns).sum();
            assert_eq!(run.usage.turns, of_tasks);
            if of_tasks == COMMITS {
                return tasks;
            }
            // A store that reads at once would let nobody write.
            tokio::task::yield_now().await;
        }
    };
    let ((), tasks) = futures::future::join(writing, reading).await;
    assert_eq!(tasks, store.tasks_of_run(run).await.unwrap());
    let unknown = sample.ids.uuid().into();
    assert_eq!(store.run_with_tasks(unknown).await.unwrap(), None);
}
