//! Steps that are done for each entry of a long list.

use std::time::Instant;

use fusion_coordination::Driven;
use fusion_core::{EventType, TaskState, WorkflowState};
use tokio_util::sync::CancellationToken;

use crate::models::Model;
use crate::world::World;

const LONG: &str = "
version: 1
name: long
agents:
  a: { provider: good, model: m }
steps:
  - { id: each, agent: a, foreach: '${{ range(10000) }}', max_parallel: 3, prompt: '${{ item }}' }
  - { id: last, agent: a, needs: each, prompt: x }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_items_are_there_at_once_or_not_at_all() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    world.register("good", Model::good().hanging_at(1, stop.clone()));
    let run = world.create(LONG).await;
    let begun = Instant::now();
    let driven = world.drive_until(run, &stop).await.unwrap();
    println!("made and begun in {:?}", begun.elapsed());
    assert_eq!(driven, Driven::Interrupted);
    let row = world.run(run).await;
    assert_eq!(row.total_tasks, 10_002);
    let tasks = world.tasks(run).await;
    let list = tasks.iter().find(|task| task.name == "each").unwrap();
    assert_eq!(list.course.items, Some(10_000));
    assert_eq!(list.unmet_dependencies, 10_000);
    let items = tasks.iter().filter(|task| task.course.item.is_some());
    let free = items.filter(|task| task.unmet_dependencies == 0);
    assert_eq!(free.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_that_were_not_begun_when_another_failed_are_left_out() {
    use TaskState::{Cancelled, Completed, Failed};

    let world = World::new().await;
    world.register("good", Model::good());
    let workflow = LONG
        .replace("range(10000)", "range(6)")
        // The third item can't be asked for, whoever does it.
        .replace("'${{ item }}'", "'${{ [1, 2][item] }}'");
    let run = world.create(&workflow).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Failed));
    let tasks = world.tasks(run).await;
    let state = |name: &str| tasks.iter().find(|task| task.name == name).unwrap().state;
    let wanted = [
        ("each[0]", Completed),
        ("each[1]", Completed),
        ("each[2]", Failed),
        ("each[3]", Cancelled),
        ("each[5]", Cancelled),
        ("each", Failed),
        ("last", Cancelled),
    ];
    for (name, wanted) in wanted {
        assert_eq!(state(name), wanted, "{name}");
    }
    assert_eq!(world.told(EventType::TaskFailed).await.len(), 2);
    assert_eq!(world.run(run).await.open_tasks, 0);
}
