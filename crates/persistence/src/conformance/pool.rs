//! Rules of the pool: tasks of their own that any standing agent may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusion_core::{
    CancelReason, CapabilitySet, Change, Decision, EventType, Pool, PoolHead, PoolQueue, ProjectId,
    Run, Task, TaskId, TaskState,
};
use futures::future::join_all;
use serde_json::json;

use super::office::{Office, Wanted, wanted};
use super::queue::fence_of;
use super::sample::{Sample, agent_named, step};
use crate::{
    Batch, Claimed, EventFilter, Lease, Page, PoolAnswer, PoolClaim, Repository, RunFilter, Store,
    TaskFilter,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// With its run, and its place in the pool.
pub async fn a_task_of_its_own_is_read_back_as_written(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &["x"]).await;
    let project = office.project("p").await;
    let task = office
        .put(Wanted {
            can: &["x"],
            project: Some(project),
            agent: Some(agent.id),
            is_demanded: true,
            priority: -3,
            ..wanted("one", 0)
        })
        .await;
    let pool = Pool {
        project: Some(project),
        is_demanded: true,
    };
    assert_eq!((task.pool, task.priority), (Some(pool), -3));
    let run: Run = store.get(task.run_id).await.unwrap();
    assert!(run.is_standalone);
    let list = |standalone| {
        let filter = RunFilter {
            standalone: Some(standalone),
            ..RunFilter::unfinished()
        };
        async move { store.list(&filter, Page::first(99)).await.unwrap() }
    };
    assert_eq!(list(true).await, [run]);
    assert!(list(false).await.iter().all(|run| !run.is_standalone));
    let tasks = |pool| {
        let filter = TaskFilter {
            pool: Some(pool),
            ..TaskFilter::default()
        };
        async move { store.list(&filter, Page::first(99)).await.unwrap() }
    };
    assert_eq!(tasks(Some(project)).await, [task]);
    assert_eq!(tasks(None).await, []);
}

/// The higher priority first, then the older one; five minutes of waiting are worth a step.
pub async fn the_pool_goes_by_priority_and_age(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &["x", "y"]).await;
    for (name, priority, can, wait) in [
        ("old", 0, &["x"][..], 0),
        ("urgent", 2, &["y"], 0),
        ("young", 0, &[], 0),
        ("overtaken", 1, &["x", "y"], 299),
        ("not so urgent", 1, &["x"], 1),
        ("not mine", 9, &["z"], 0),
    ] {
        office.wait(wait);
        let wanted = Wanted {
            can,
            ..wanted(name, priority)
        };
        office.put(wanted).await;
    }
    // 'overtaken' came 300 s after 'young': they are level, and go by their ids.
    let order = ["urgent", "old", "young", "overtaken", "not so urgent"];
    assert_eq!(office.all(&agent).await, order);
    let rest = store.pool_queues().await.unwrap();
    let z = PoolQueue {
        project: None,
        capabilities: CapabilitySet::from_iter(["z"]),
    };
    assert_eq!(rest, [z]);
}

/// A raised priority counts at once.
pub async fn a_changed_priority_changes_the_place_in_the_pool(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    office.put(wanted("first", 0)).await;
    let second = office.put(wanted("second", 0)).await;
    let (_, raised) = second.prioritise(1, office.moment()).unwrap();
    store.commit(Batch::free(raised)).await.unwrap();
    assert_eq!(office.all(&agent).await, ["second", "first"]);
}

/// Each claim takes what the rule of the core says, whatever the others hold.
pub async fn projects_share_the_agents(store: &dyn Store) {
    let office = Office::open(store).await;
    let projects = [
        None,
        Some(office.project("p1").await),
        Some(office.project("p2").await),
    ];
    let mut waiting: BTreeMap<TaskId, Task> = BTreeMap::new();
    for number in 0..24_i32 {
        // A busy project, a smaller one and a tiny one, that is not urgent.
        let project = match number {
            0..16 => projects[0],
            16..22 => projects[1],
            _ => projects[2],
        };
        let name = format!("t{number}");
        let wanted = Wanted {
            project,
            can: if number % 2 == 0 { &["x"] } else { &["y"] },
            ..wanted(&name, (20 - number).max(0) % 5)
        };
        let task = office.put(wanted).await;
        waiting.insert(task.id, task);
    }
    let mut at_work: Vec<Task> = Vec::new();
    let mut begun: Vec<Option<ProjectId>> = Vec::new();
    for turn in 0.. {
        if waiting.is_empty() {
            break;
        }
        let agent = office.agent(&format!("s{turn}"), &["x", "y"]).await;
        let busy = |project: Option<ProjectId>| {
            let of_it = |task: &&Task| task.pool.unwrap().project == project;
            u32::try_from(at_work.iter().filter(of_it).count()).unwrap()
        };
        let head = |task: &Task| PoolHead {
            at_work: busy(task.pool.unwrap().project),
            rank: task.rank(),
            id: task.id,
        };
        let heads = waiting.values().map(head);
        let next = heads.min_by(PoolHead::turn_order).unwrap();
        let taken = office.take(&agent).await.unwrap();
        assert_eq!(taken.id, next.id, "turn {turn}");
        begun.push(taken.pool.unwrap().project);
        waiting.remove(&taken.id);
        at_work.push(taken);
        if turn % 3 == 2 {
            office.complete(at_work.remove(0)).await;
        }
    }
    // The first three go to three projects, though one has the most urgent tasks.
    let first: BTreeSet<_> = begun.iter().take(3).collect();
    assert_eq!(first.len(), 3, "{begun:?}");
}

/// What was demanded of an agent is done by nobody else; what it began comes first.
pub async fn a_demanded_task_is_taken_by_its_agent_only(store: &dyn Store) {
    let office = Office::open(store).await;
    let (mine, other) = (office.agent("m", &[]).await, office.agent("o", &[]).await);
    let demanded = Wanted {
        agent: Some(mine.id),
        is_demanded: true,
        ..wanted("demanded", 0)
    };
    office.put(demanded).await;
    assert_eq!(office.take(&other).await, None);
    let task = office.take(&mine).await.unwrap();
    assert_eq!(task.name, "demanded");
    // It is given back after it was begun.
    let (task, agent, begun) = task
        .begin(mine.clone(), json!({}), office.moment())
        .unwrap();
    let fence = fence_of(&task);
    store.commit(Batch::fenced(fence, begun)).await.unwrap();
    let back = task
        .take_back(Some(agent), "a test", office.moment())
        .unwrap();
    store.commit(Batch::release(fence, back)).await.unwrap();
    office.put(wanted("urgent", 9)).await;
    assert_eq!(store.pool_given(9).await.unwrap(), [mine.id]);
    assert_eq!(office.take(&mine).await.unwrap().name, "demanded");
    assert_eq!(office.take(&other).await.unwrap().name, "urgent");
}

/// Of what waits for others that are busy, the most loaded one is helped first, and the event names
/// both.
pub async fn an_idle_agent_steals_from_the_most_loaded(store: &dyn Store) {
    let office = Office::open(store).await;
    let (poor, rich) = (
        office.agent("p", &["x"]).await,
        office.agent("r", &["x"]).await,
    );
    let thief = office.agent("t", &["x"]).await;
    let given = |name: &'static str, agent: &fusion_core::Agent, priority| Wanted {
        agent: Some(agent.id),
        can: &["x"],
        ..wanted(name, priority)
    };
    office.put(given("p1", &poor, 9)).await;
    for (name, priority) in [("r1", 0), ("r2", 5)] {
        office.put(given(name, &rich, priority)).await;
    }
    let demanded = Wanted {
        is_demanded: true,
        ..given("r3", &rich, 9)
    };
    office.put(demanded).await;
    // Those who could begin at once are left theirs.
    assert_eq!(office.take(&thief).await, None);
    office.hold(&poor).await;
    office.hold(&rich).await;
    let stolen = office.take(&thief).await.unwrap();
    assert_eq!(
        (stolen.name.as_str(), stolen.agent_id),
        ("r2", Some(thief.id))
    );
    let filter = EventFilter {
        types: vec![EventType::TaskStolen.as_str().to_owned()],
        ..EventFilter::default()
    };
    let told = store
        .events_after(&filter, 0, 9)
        .await
        .unwrap()
        .remove(0)
        .event;
    assert_eq!(told.run_id, Some(stolen.run_id));
    assert_eq!(told.data["from"], json!(rich.id));
    assert_eq!(told.data["by"], json!(thief.id));
    assert_eq!(
        told.message_queue_topic,
        Some(format!("task.stolen.{}", stolen.id))
    );
    office.complete(stolen).await;
    let rest = office.all(&thief).await;
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(!rest.contains(&"r3".to_owned()), "{rest:?}");
    // What it can't do is not stolen either.
    let other = office.agent("o", &[]).await;
    office.put(given("r4", &rich, 0)).await;
    assert_eq!(office.take(&other).await, None);
}

/// Many at once, one of them wins.
pub async fn a_task_of_the_pool_is_taken_once(store: &dyn Store) {
    let office = Office::open(store).await;
    let mut agents = vec![];
    for number in 0..16 {
        agents.push(office.agent(&format!("s{number}"), &["x"]).await);
    }
    let held = office.agent("held", &["x"]).await;
    office.hold(&held).await;
    for round in 0..12 {
        let name = format!("t{round}");
        let wanted = Wanted {
            can: &["x"],
            agent: (round % 2 == 0).then_some(held.id),
            ..wanted(&name, 0)
        };
        let task = office.put(wanted).await;
        let answers = join_all(agents.iter().map(|agent| office.answer(agent))).await;
        let mut won: Vec<Claimed> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                PoolAnswer::Task(claimed) => Some(*claimed),
                PoolAnswer::Nothing | PoolAnswer::Unfit => None,
            })
            .collect();
        assert_eq!(won.len(), 1, "round {round}");
        let won = won.remove(0);
        assert_eq!((won.task.id, won.task.fence), (task.id, 1));
        assert_eq!(won.task.agent_id, Some(won.agent.id));
        office.complete(won.task).await;
    }
}

/// Who is not idle or holds a task is told so: others that can do the same are to be asked.
pub async fn an_agent_that_is_not_free_is_unfit_for_the_pool(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    office.put(wanted("one", 0)).await;
    office.put(wanted("two", 0)).await;
    office.take(&agent).await.unwrap();
    assert_eq!(office.answer(&agent).await, PoolAnswer::Unfit);
    let paused = office.agent("p", &[]).await;
    office.hold(&paused).await;
    assert_eq!(office.answer(&paused).await, PoolAnswer::Unfit);
}

/// Of other runs too; one that ended before, or in the same moment, is not waited for.
pub async fn what_a_task_of_the_pool_needs_is_counted_as_it_is(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    let needs = |name: &'static str, needs: Vec<TaskId>| Wanted {
        needs,
        ..wanted(name, 0)
    };
    let first = office.put(wanted("first", 5)).await;
    let of_run = office.sample().tasks.values().next().unwrap().id;
    let second = office.put(needs("second", vec![first.id])).await;
    let third = office.put(needs("third", vec![first.id, of_run])).await;
    assert_eq!(
        (second.unmet_dependencies, third.unmet_dependencies),
        (1, 2)
    );
    let awaited: BTreeSet<_> = store.pool_awaited(9).await.unwrap().into_iter().collect();
    assert_eq!(awaited, [first.id, of_run].into());
    let dependents = store.dependents(first.id, 9).await.unwrap();
    assert_eq!(dependents, [second.clone(), third.clone()]);
    let taken = office.take(&agent).await.unwrap();
    assert_eq!(taken.id, first.id);
    office.complete(taken).await;
    let late = office.put(needs("late", vec![first.id])).await;
    assert_eq!(late.unmet_dependencies, 0);
    assert_eq!(office.all(&agent).await, ["second", "late"]);
    assert_eq!(store.get(third.id).await.unwrap().unmet_dependencies, 1);
}

/// However a creation and the end of what it needs meet, the task is ready in the end.
pub async fn a_dependency_that_ends_meanwhile_is_not_waited_for(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    for round in 0..20 {
        let first = office.put(wanted("first", 0)).await;
        let taken = office.take(&agent).await.unwrap();
        let needs = Wanted {
            needs: vec![first.id],
            ..wanted("second", 0)
        };
        let (second, ()) = futures::join!(office.put(needs), office.complete(taken));
        let second: Task = store.get(second.id).await.unwrap();
        assert_eq!(second.unmet_dependencies, 0, "round {round}");
        assert_eq!(office.all(&agent).await, ["second"]);
    }
}

/// What needs a task that ended badly is found, with that task.
pub async fn what_will_never_be_ready_is_found(store: &dyn Store) {
    let office = Office::open(store).await;
    let first = office.put(wanted("first", 0)).await;
    let needs = Wanted {
        needs: vec![first.id],
        ..wanted("second", 0)
    };
    let second = office.put(needs).await;
    assert_eq!(store.pool_doomed(None, 9).await.unwrap(), []);
    let run: Run = store.get(first.run_id).await.unwrap();
    let (stopped, mut decision) = first.clone().stop(&[], None, office.moment()).unwrap();
    decision.merge(run.end_with(&stopped, office.moment()).unwrap());
    store.commit(Batch::free(decision)).await.unwrap();
    let first: Task = store.get(first.id).await.unwrap();
    assert_eq!(first.cancel_reason, Some(CancelReason::Requested));
    let found = vec![(second.clone(), first.clone())];
    assert_eq!(store.pool_doomed(None, 9).await.unwrap(), found);
    assert_eq!(store.pool_doomed(Some(first.id), 9).await.unwrap(), found);
    assert_eq!(store.pool_doomed(Some(second.id), 9).await.unwrap(), []);
    let (given_up, decision) = second.give_up(&first, office.moment()).unwrap();
    assert_eq!(given_up.state, TaskState::Cancelled);
    store.commit(Batch::free(decision)).await.unwrap();
    assert_eq!(store.pool_doomed(None, 9).await.unwrap(), []);
}

/// Nobody takes it before its time, and then it is one of many.
pub async fn a_task_that_is_put_off_is_taken_once_its_time_has_come(store: &dyn Store) {
    let office = Office::open(store).await;
    let agent = office.agent("s", &[]).await;
    assert_eq!(store.pool_due_in().await.unwrap(), None);
    let later = |name: &'static str, delay| Wanted {
        delay: Some(delay),
        ..wanted(name, 9)
    };
    let far = office.put(later("far", HOUR)).await;
    let due_in = store.pool_due_in().await.unwrap().unwrap();
    assert!(due_in > HOUR / 2 && due_in <= HOUR, "{due_in:?}");
    office.put(later("near", Duration::ZERO)).await;
    assert_eq!(office.take(&agent).await, None);
    while store.pool_due_in().await.unwrap() != Some(Duration::ZERO) {}
    let wake = Decision::default().with(Change::WakePool);
    store.commit(Batch::free(wake)).await.unwrap();
    assert_eq!(office.all(&agent).await, ["near"]);
    assert!(store.get(far.id).await.unwrap().waiting.is_some());
}

/// The tasks of runs are not in the pool, nor those of the pool in a run.
pub async fn the_pool_and_the_queues_of_runs_are_apart(store: &dyn Store) {
    let steps = vec![step("own", agent_named("a"), &[], 0)];
    let sample = Sample::store(store, steps).await;
    assert_eq!(store.pool_queues().await.unwrap(), []);
    let claim = PoolClaim {
        agent: sample.agents["a"].id,
        queues: vec![],
        lease: Lease {
            owner: sample.node(),
            duration: HOUR,
        },
        event: sample.event("assigned"),
    };
    let answer = store.claim_from_pool(claim).await.unwrap();
    assert_eq!(answer, PoolAnswer::Nothing);
}
