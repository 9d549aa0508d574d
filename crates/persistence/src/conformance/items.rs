//! Rules of tasks that are done for each entry of a list, and of those that need another.

use std::collections::BTreeSet;

use fusion_core::{Course, Task, TaskState};
use serde_json::json;

use super::queue::fence_of;
use super::sample::{Sample, agent_named, capable_of, step};
use crate::{Batch, Fence, Repository, Store};

/// A list of so many items, and a step that needs it.
async fn listed(store: &dyn Store, size: u32, at_once: Option<u32>) -> (Sample, Task) {
    let steps = vec![
        step("list", capable_of(&["x"]), &[], 0),
        step("after", agent_named("b"), &["list"], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let task = next(store, &sample).await.unwrap();
    assert_eq!(task.name, "list");
    let values = (0..size).map(|number| json!({ "n": number })).collect();
    let fanned = task.fan_out(values, at_once, sample.moment()).unwrap();
    let release = Batch::release(fence_of(&task), fanned);
    store.commit(release).await.unwrap();
    (sample, task)
}

/// The next task that agent `a` is given.
async fn next(store: &dyn Store, sample: &Sample) -> Option<Task> {
    let claim = sample.claim("a", &[&["x"]], sample.node());
    store.claim_task(claim).await.unwrap().map(|it| it.task)
}

/// Ends a claimed item without work.
async fn leave_out(store: &dyn Store, sample: &Sample, item: Task) {
    let fence = Fence {
        task: item.id,
        number: item.fence,
    };
    let left = item.leave_out(sample.moment()).unwrap();
    store.commit(Batch::fenced(fence, left)).await.unwrap();
}

/// Claims and ends what is ready; gives the names in their order.
async fn drain(store: &dyn Store, sample: &Sample, until: usize) -> Vec<String> {
    let mut names = Vec::new();
    while names.len() < until
        && let Some(item) = next(store, sample).await
    {
        names.push(item.name.clone());
        leave_out(store, sample, item).await;
    }
    names
}

/// A list and its items: what is counted, who is ready, and when the list itself is.
pub async fn a_list_waits_for_all_of_its_items(store: &dyn Store) {
    let (sample, list) = listed(store, 3, None).await;
    let run = store.get(sample.run.id).await.unwrap();
    assert_eq!((run.total_tasks, run.open_tasks), (5, 5));
    let waiting = store.get(list.id).await.unwrap();
    let expected = Course {
        items: Some(3),
        ..Course::default()
    };
    assert_eq!(
        (waiting.state, waiting.unmet_dependencies, waiting.agent_id),
        (TaskState::Queued, 3, None)
    );
    assert_eq!(waiting.course, expected);
    let items = store.items_of(list.id).await.unwrap();
    let shown: Vec<_> = items
        .iter()
        .map(|item| {
            let value = item.course.item.as_ref().unwrap().value.clone();
            (item.name.as_str(), value, item.is_ready())
        })
        .collect();
    let item = |name, number| (name, json!({ "n": number }), true);
    let wanted = [item("list[0]", 0), item("list[1]", 1), item("list[2]", 2)];
    assert_eq!(shown, wanted);
    let ended = drain(store, &sample, 3).await;
    assert_eq!(ended.len(), 3);
    let ready = next(store, &sample).await.unwrap();
    assert_eq!((ready.id, ready.unmet_dependencies), (list.id, 0));
    assert_eq!(store.get(sample.run.id).await.unwrap().open_tasks, 2);
}

/// Never more of them ready than may be at work at once; each end lets exactly one begin, in order.
pub async fn items_of_a_list_begin_one_by_one_where_it_says_so(store: &dyn Store) {
    let (sample, list) = listed(store, 5, Some(2)).await;
    let ready = async || {
        let items = store.items_of(list.id).await.unwrap();
        let ready = items.into_iter().filter(Task::is_ready);
        ready.map(|item| item.name).collect::<BTreeSet<_>>()
    };
    let names = |numbers: &[u32]| numbers.iter().map(|n| format!("list[{n}]")).collect();
    assert_eq!(ready().await, names(&[0, 1]));
    for free in [&[1, 2][..], &[2, 3], &[3, 4], &[4], &[]] {
        assert_eq!(drain(store, &sample, 1).await.len(), 1);
        assert_eq!(ready().await, names(free));
    }
    assert_eq!(next(store, &sample).await.unwrap().id, list.id);
}

/// A failed item is found; those that were left out and those of other lists are not.
pub async fn a_failed_item_of_a_list_is_found(store: &dyn Store) {
    let (sample, list) = listed(store, 2, None).await;
    drain(store, &sample, 1).await;
    assert!(!store.has_failed_item(list.id).await.unwrap());
    let item = next(store, &sample).await.unwrap();
    let (fence, moment) = (fence_of(&item), sample.moment());
    let agent = store.get(sample.agents["a"].id).await.unwrap();
    let (item, agent, begun) = item.begin(agent, json!({}), moment).unwrap();
    store.commit(Batch::fenced(fence, begun)).await.unwrap();
    let failed = item.fail(agent, "broke", &[], moment).unwrap();
    store.commit(Batch::fenced(fence, failed)).await.unwrap();
    assert!(store.has_failed_item(list.id).await.unwrap());
    assert!(
        !store
            .has_failed_item(sample.tasks["after"].id)
            .await
            .unwrap()
    );
}

/// Through any number of others, each once, and nobody who has ended.
pub async fn the_tasks_that_need_one_are_found_however_far_they_are(store: &dyn Store) {
    let a = || agent_named("a");
    let steps = vec![
        step("one", a(), &[], 0),
        step("beside", a(), &[], 9),
        step("left", a(), &["one", "beside"], 0),
        step("right", a(), &["one"], 0),
        step("join", a(), &["left", "right"], 0),
        step("last", a(), &["join", "one"], 0),
    ];
    let sample = Sample::store(store, steps).await;
    let of = async |name: &str| {
        let found = store.downstream(sample.tasks[name].id).await.unwrap();
        found.into_iter().map(|task| task.name).collect::<Vec<_>>()
    };
    assert_eq!(of("one").await, ["left", "right", "join", "last"]);
    assert_eq!(of("beside").await, ["left", "join", "last"]);
    assert_eq!(of("last").await, [] as [&str; 0]);
    let beside = next(store, &sample).await.unwrap();
    let after = store.downstream(beside.id).await.unwrap();
    let fence = fence_of(&beside);
    let skipped = beside.skip("false", &after, sample.moment()).unwrap();
    store.commit(Batch::fenced(fence, skipped)).await.unwrap();
    assert_eq!(of("one").await, ["right"]);
}
