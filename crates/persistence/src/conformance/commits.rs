//! Rules of `commit` and of reading back.

use fusion_core::{
    AgentState, Change, Cost, Decision, EffectClass, EntryKind, EntryState, IdSource, JournalEntry,
    JournalEntryId, RunId, Task, TaskState, Usage,
};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::sample::{Sample, agent_named, at, step, workflow};
use crate::{Batch, Error, EventFilter, Fence, Page, Repository, RunFilter, Store};

pub(super) async fn two_steps(store: &dyn Store) -> Sample {
    let steps = vec![
        step("one", agent_named("a"), &[], 0),
        step("two", agent_named("b"), &["one"], 0),
    ];
    Sample::store(store, steps).await
}

/// Every field that a task can have written survives the store.
pub async fn a_task_is_read_back_as_written(store: &dyn Store) {
    let sample = two_steps(store).await;
    let mut task = sample.tasks["one"].clone();
    task.input_artifacts = json!({ "prompt": "ünïcode \u{0}\n", "n": 1.5, "big": u64::MAX });
    task.output_artifacts = Some(json!({ "outputs": [1, null, true] }));
    task.error_message = Some("why".to_owned());
    task.started_at = Some(at(300));
    task.attempts = 2;
    task.priority = -3;
    write(store, Change::update(task.clone())).await;
    task.version += 1;
    assert_eq!(store.get(task.id).await.unwrap(), task);
    let named = store
        .tasks_named(sample.run.id, &["one".to_owned(), "none".to_owned()])
        .await
        .unwrap();
    assert_eq!(named, [task]);
}

/// Every field that a run can have written survives the store, and its definition with it.
pub async fn a_run_is_read_back_as_written(store: &dyn Store) {
    let sample = two_steps(store).await;
    let mut run = sample.run.clone();
    run.outputs = Some(json!({ "report": "done" }));
    run.error_message = Some("e".to_owned());
    write(store, Change::update(run.clone())).await;
    run.version += 1;
    assert_eq!(store.get(run.id).await.unwrap(), run);
    assert_eq!(
        store
            .list(&RunFilter::unfinished(), Page::first(10))
            .await
            .unwrap(),
        [run]
    );
    let workflow = store.get(sample.run.workflow_id).await.unwrap();
    assert_eq!(workflow.definition.steps.len(), 2);
}

/// Agents come with their workspaces, ordered by name.
pub async fn agents_are_read_back_with_their_workspaces(store: &dyn Store) {
    let sample = two_steps(store).await;
    let agents = store.agents_of_run(sample.run.id).await.unwrap();
    let shown: Vec<(&str, AgentState, bool)> = agents
        .iter()
        .map(|(agent, workspace)| (agent.name.as_str(), agent.state, workspace.initialized))
        .collect();
    assert_eq!(
        shown,
        [("a", AgentState::Idle, true), ("b", AgentState::Idle, true)]
    );
    assert_eq!(store.used_process_uids().await.unwrap(), [50_001].into());
    let asked = store.process_uids_used_of(&[50_000, 50_001, 50_002]).await;
    assert_eq!(asked.unwrap(), [50_001].into());
}

async fn write(store: &dyn Store, change: Change) {
    store
        .commit(Batch::free(Decision::default().with(change)))
        .await
        .unwrap();
}

/// A batch whose last change is refused leaves no trace of its first, nor an event.
pub async fn a_batch_is_written_whole_or_not_at_all(store: &dyn Store) {
    let sample = two_steps(store).await;
    let before = all_events(store).await;
    let mut good = sample.tasks["one"].clone();
    good.priority = 9;
    let mut stale = sample.tasks["two"].clone();
    stale.version += 7;
    let decision = sample
        .telling("never")
        .with(Change::update(good))
        .with(Change::update(stale));
    let refused = store.commit(Batch::free(decision)).await.unwrap_err();
    assert!(
        matches!(refused, Error::Conflict { entity: "task", .. }),
        "{refused:?}"
    );
    assert_eq!(
        store.get(sample.tasks["one"].id).await.unwrap(),
        sample.tasks["one"]
    );
    assert_eq!(all_events(store).await, before);
}

/// Two writers that read the same version can't both win.
pub async fn an_update_of_an_old_version_is_refused(store: &dyn Store) {
    let sample = two_steps(store).await;
    let task = sample.tasks["one"].clone();
    let update = || Batch::free(Decision::default().with(Change::update(task.clone())));
    store.commit(update()).await.unwrap();
    let refused = store.commit(update()).await.unwrap_err();
    assert!(
        matches!(refused, Error::Conflict { entity: "task", .. }),
        "{refused:?}"
    );
    assert_eq!(store.get(task.id).await.unwrap().version, task.version + 1);
}

/// Only the newest claim may write about its task, and only until it ends.
pub async fn a_fenced_batch_needs_the_newest_number(store: &dyn Store) {
    let sample = two_steps(store).await;
    let unclaimed = Fence {
        task: sample.tasks["one"].id,
        number: 0,
    };
    let refused = store
        .commit(Batch::fenced(unclaimed, Decision::default()))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::Fenced { .. }),
        "not claimed: {refused:?}"
    );
    let task = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await
        .unwrap()
        .unwrap()
        .task;
    let fence = Fence {
        task: task.id,
        number: task.fence,
    };
    store
        .commit(Batch::fenced(fence, Decision::default()))
        .await
        .unwrap();
    let (running, agent, begin) = task
        .begin(sample.agents["a"].clone(), json!({}), sample.moment())
        .unwrap();
    store.commit(Batch::fenced(fence, begin)).await.unwrap();
    let done = running.complete(agent, json!({}), sample.moment()).unwrap();
    store.commit(Batch::fenced(fence, done)).await.unwrap();
    let refused = store
        .commit(Batch::fenced(fence, Decision::default()))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::Fenced { .. }),
        "ended: {refused:?}"
    );
}

/// After a requeue the task is ready again, and what its old worker brings is refused.
pub async fn a_requeued_task_is_out_of_reach_of_its_old_worker(store: &dyn Store) {
    let sample = two_steps(store).await;
    let task = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await
        .unwrap()
        .unwrap()
        .task;
    let fence = Fence {
        task: task.id,
        number: task.fence,
    };
    let back = task.take_back(None, "test", sample.moment()).unwrap();
    store.commit(Batch::release(fence, back)).await.unwrap();
    let refused = store
        .commit(Batch::fenced(fence, Decision::default()))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused:?}");
    let queued = store.get(task.id).await.unwrap();
    assert_eq!(
        (queued.state, queued.fence),
        (TaskState::Queued, task.fence + 1)
    );
    let again = store
        .claim_task(sample.claim("a", &[], sample.node()))
        .await
        .unwrap()
        .unwrap()
        .task;
    assert_eq!((again.id, again.fence), (task.id, task.fence + 2));
}

/// Who held a task before can't write it under the old fence, whatever version of the row it has read.
pub async fn an_old_fence_is_refused_at_the_newest_version_too(store: &dyn Store) {
    let sample = two_steps(store).await;
    let claim = || store.claim_task(sample.claim("a", &[], sample.node()));
    let old = claim().await.unwrap().unwrap().task;
    let fence = Fence {
        task: old.id,
        number: old.fence,
    };
    let back = old.take_back(None, "test", sample.moment()).unwrap();
    store.commit(Batch::release(fence, back)).await.unwrap();
    let new = claim().await.unwrap().unwrap().task;
    let mut late = old.clone();
    late.version = new.version;
    late.error_message = Some("by the old worker".to_owned());
    let decision = Decision::default().with(Change::update(late));
    let refused = store.commit(Batch::fenced(fence, decision)).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(store.get(old.id).await.unwrap(), new);
}

/// A task that is back in the queue is nobody's, though its fence is the newest.
pub async fn a_queued_task_is_not_written_under_a_fence(store: &dyn Store) {
    let sample = two_steps(store).await;
    let claim = sample.claim("a", &[], sample.node());
    let task = store.claim_task(claim).await.unwrap().unwrap().task;
    let fence = |task: &Task| Fence {
        task: task.id,
        number: task.fence,
    };
    let back = task.take_back(None, "test", sample.moment()).unwrap();
    let release = Batch::release(fence(&task), back);
    store.commit(release).await.unwrap();
    let queued = store.get(task.id).await.unwrap();
    let mut cancelled = queued.clone();
    cancelled.state = TaskState::Cancelled;
    let decision = Decision::default().with(Change::update(cancelled));
    let refused = store.commit(Batch::fenced(fence(&queued), decision)).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(store.get(task.id).await.unwrap(), queued);
}

/// Of many batches at once, each second one wrong, exactly the right ones are written.
pub async fn a_failing_batch_does_not_disturb_its_neighbours(store: &dyn Store) {
    let sample = two_steps(store).await;
    let before = all_events(store).await.len();
    let mut stale = sample.tasks["two"].clone();
    stale.version += 7;
    let commits = (0..40).map(|number| {
        let mut decision = sample.telling(&format!("e{number}"));
        if number % 2 == 1 {
            decision = decision.with(Change::update(stale.clone()));
        }
        store.commit(Batch::free(decision))
    });
    let results = join_all(commits).await;
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), number % 2 == 0, "{number}: {result:?}");
    }
    assert_eq!(all_events(store).await.len(), before + 20);
}

/// Numbers are 1, 2, 3 …; each answer names the place of its own last event.
pub async fn events_are_dense_and_in_order_of_the_commits(store: &dyn Store) {
    let sample = two_steps(store).await;
    let commits = (0..30).map(|number| {
        let decision = sample
            .telling(&format!("{number}a"))
            .telling(sample.event(&format!("{number}b")));
        store.commit(Batch::free(decision))
    });
    let results = join_all(commits).await;
    let events = store
        .events_after(&EventFilter::default(), 0, 1_000)
        .await
        .unwrap();
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    for (number, result) in results.into_iter().enumerate() {
        let last = usize::try_from(result.unwrap().last_seq).unwrap();
        let told: Vec<&str> = events[last - 2..last]
            .iter()
            .map(|event| event.event.message.as_str())
            .collect();
        assert_eq!(told, [format!("{number}a"), format!("{number}b")]);
    }
    let of_run = EventFilter::of_run(sample.run.id);
    assert_eq!(
        store.events_after(&of_run, 0, 1_000).await.unwrap(),
        events[1..],
        "all but the workflow's own"
    );
    let page = store
        .events_after(&EventFilter::default(), 3, 2)
        .await
        .unwrap();
    assert_eq!(page, events[3..5]);
}

/// Bookings are relative: none is lost, and none raises a row's version.
pub async fn usage_booked_by_many_adds_up(store: &dyn Store) {
    let sample = two_steps(store).await;
    let task = &sample.tasks["one"];
    let usage = Usage {
        turns: 1,
        input_tokens: 10,
        output_tokens: 3,
        cost: Cost::from_picos(7),
    };
    let book = Change::BookUsage {
        run_id: sample.run.id,
        task_id: task.id,
        usage,
    };
    let commits =
        (0..25).map(|_| store.commit(Batch::free(Decision::default().with(book.clone()))));
    for result in join_all(commits).await {
        result.unwrap();
    }
    let total = Usage {
        turns: 25,
        input_tokens: 250,
        output_tokens: 75,
        cost: Cost::from_picos(175),
    };
    let booked = store.get(task.id).await.unwrap();
    assert_eq!((booked.usage, booked.version), (total, task.version));
    assert_eq!(store.get(sample.run.id).await.unwrap().usage, total);
}

/// The count of unmet dependencies falls in the same commit; others' counts stay.
pub async fn releasing_a_task_readies_its_successors(store: &dyn Store) {
    let sample = two_steps(store).await;
    let release = Decision::default()
        .with(Change::ReleaseSuccessors(sample.tasks["one"].id))
        .with(Change::CloseTasks {
            run_id: sample.run.id,
            count: 1,
        });
    store.commit(Batch::free(release)).await.unwrap();
    assert!(store.get(sample.tasks["two"].id).await.unwrap().is_ready());
    assert_eq!(store.get(sample.run.id).await.unwrap().open_tasks, 1);
    assert_eq!(
        store.get(sample.tasks["one"].id).await.unwrap(),
        sample.tasks["one"]
    );
}

/// Commits at once that count for the same rows: each counts once, one that counts for a missing
/// run is refused alone, and a task that waits for many is ready when the last of them ended.
pub async fn what_many_commits_count_adds_up(store: &dyn Store) {
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let needs: Vec<&str> = names.iter().map(String::as_str).collect();
    let steps = names
        .iter()
        .map(|name| step(name, agent_named("a"), &[], 0))
        .chain([step("last", agent_named("b"), &needs, 0)]);
    let sample = Sample::store(store, steps.collect()).await;
    let nowhere = RunId::from_uuid(sample.ids.uuid());
    let ends = |name: &String, run_id| {
        Decision::default()
            .with(Change::ReleaseSuccessors(sample.tasks[name].id))
            .with(Change::CloseTasks { run_id, count: 1 })
    };
    let commits = names.iter().enumerate().map(|(number, name)| {
        let run = if number == 7 { nowhere } else { sample.run.id };
        store.commit(Batch::free(ends(name, run)))
    });
    for (number, result) in join_all(commits).await.into_iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(number, 7),
            Err(Error::Conflict { id, .. }) => assert_eq!((number, id), (7, nowhere.to_string())),
            Err(other) => panic!("{other:?}"),
        }
    }
    let last = store.get(sample.tasks["last"].id).await.unwrap();
    assert_eq!(last.unmet_dependencies, 1);
    let missing = ends(&names[7], sample.run.id);
    store.commit(Batch::free(missing)).await.unwrap();
    assert!(store.get(last.id).await.unwrap().is_ready());
    assert_eq!(store.get(sample.run.id).await.unwrap().open_tasks, 1);
}

/// Intent first, then one outcome; a second outcome is refused.
pub async fn a_journal_entry_gets_one_outcome(store: &dyn Store) {
    let sample = two_steps(store).await;
    let mut entry = JournalEntry {
        id: JournalEntryId::from_uuid(sample.ids.uuid()),
        task_id: sample.tasks["one"].id,
        run_id: sample.run.id,
        seq: 1,
        kind: EntryKind::Tool,
        name: "write_file".to_owned(),
        effect: EffectClass::ConfinedWrite,
        state: EntryState::Started,
        request: json!({ "path": "a" }),
        outcome: None,
        usage: Usage::default(),
        attempts: 1,
        started_at: at(1),
        finished_at: None,
    };
    store
        .commit(Batch::free(
            Decision::default().with(Change::BeginEntry(entry.clone())),
        ))
        .await
        .unwrap();
    assert_eq!(store.journal(entry.task_id).await.unwrap(), [entry.clone()]);
    entry.state = EntryState::Finished;
    entry.outcome = Some(json!({ "ok": true }));
    entry.usage = Usage {
        turns: 1,
        input_tokens: 2,
        output_tokens: 3,
        cost: Cost::from_picos(4),
    };
    entry.finished_at = Some(at(2));
    let finish = || Batch::free(Decision::default().with(Change::UpdateEntry(entry.clone())));
    store.commit(finish()).await.unwrap();
    assert_eq!(store.journal(entry.task_id).await.unwrap(), [entry.clone()]);
    let refused = store.commit(finish()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Conflict {
                entity: "journal entry",
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(
        store.activity(sample.run.id).await.unwrap(),
        [],
        "the task does not run"
    );
}

/// Versions of one name are told apart; an unknown name has none.
pub async fn the_newest_version_of_a_workflow_is_found_by_name(store: &dyn Store) {
    let sample = two_steps(store).await;
    let second = workflow(&sample.ids, "sample", 2, vec![]);
    store
        .commit(Batch::free(
            Decision::default().with(Change::create(second.clone())),
        ))
        .await
        .unwrap();
    assert_eq!(
        store.newest_version("sample").await.unwrap(),
        Some(second.id)
    );
    assert_eq!(store.newest_version("other").await.unwrap(), None);
    assert_eq!(store.latest_workflow("sample").await.unwrap(), Some(second));
    assert_eq!(store.latest_workflow("other").await.unwrap(), None);
}

/// Looking for what is not there says what was looked for.
pub async fn a_missing_row_is_named(store: &dyn Store) {
    let missing = store.get(RunId::from_uuid(Uuid::nil())).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "there is no run 00000000-0000-0000-0000-000000000000"
    );
}

async fn all_events(store: &dyn Store) -> Vec<fusion_core::Event> {
    store
        .events_after(&EventFilter::default(), 0, 10_000)
        .await
        .unwrap()
}
