//! Rules of runs that are deleted.

use fusion_core::{
    Agent, Change, Cost, CostBy, Decision, DeliveryStatus, IdSource as _, Message, Outcome, Parent,
    Run, RunId, Task, TaskState, Timestamp, Usage, WorkflowState,
};
use serde_json::json;

use super::costs::{DAY, Spent, call, costs};
use super::messages::{sending, settle};
use super::office::{Office, Wanted, wanted};
use super::sample::{Sample, at};
use crate::{
    AgentFilter, Batch, Costs, Error, Page, Prune, Repository as _, Result, RunFilter, Store,
    TaskFilter, WorkspaceFilter, WriteRepository as _,
};

/// Ends a run, and the agents that it spawned.
pub(super) async fn end(store: &dyn Store, sample: &Sample, run: RunId) {
    let found: Run = store.get(run).await.unwrap();
    let agents = store.agents_of_run(run).await.unwrap();
    let agents: Vec<Agent> = agents.into_iter().map(|(agent, _)| agent).collect();
    let ended = found.end(None, agents, sample.moment()).unwrap();
    store.commit(Batch::free(ended)).await.unwrap();
}

pub(super) async fn delete(store: &dyn Store, run: RunId) -> Result<()> {
    let delete = Decision::default().with(Change::DeleteRun(run));
    store.commit(Batch::free(delete)).await.map(|_| ())
}

/// Why a run can't be deleted; its dry run is told the same.
async fn why(store: &dyn Store, run: RunId) -> String {
    let delete = Batch::free(Decision::default().with(Change::DeleteRun(run)));
    let mut whys = Vec::new();
    for batch in [delete.clone().dry_run(), delete] {
        match store.commit(batch).await {
            Err(Error::Needed { run: named, why }) if named == run => whys.push(why),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(whys[0], whys[1]);
    whys.remove(0)
}

/// Takes everything out, so many rows at a time; says how often something was left.
pub(super) async fn take_out(store: &dyn Store, limit: u32) -> u64 {
    let old = Prune {
        deleted_runs: true,
        limit,
        ..Prune::default()
    };
    let mut pieces = 0;
    while store.prune(old).await.unwrap() > 0 {
        pieces += 1;
    }
    pieces
}

/// A run as that of the sample is, with a task that has made a file.
pub(super) async fn another(
    store: &dyn Store,
    sample: &Sample,
    change: impl FnOnce(Run) -> Run,
) -> (Run, Task) {
    let run = change(Run {
        id: sample.ids.uuid().into(),
        ..sample.run.clone()
    });
    let task = Task {
        id: sample.ids.uuid().into(),
        run_id: run.id,
        state: TaskState::Completed,
        dependencies: Vec::new(),
        unmet_dependencies: 0,
        output_artifacts: Some(json!({
            "outputs": {}, "artifacts": ["a"],
            "files": [{ "path": "a", "sha256": FILE, "bytes": 1 }],
        })),
        ..sample.tasks["one"].clone()
    };
    store.create(run.clone()).await.unwrap();
    store.create(task.clone()).await.unwrap();
    (run, task)
}

pub(super) const FILE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The sums that do not name what is gone, over all times and over some; of the others what all come to.
async fn books(store: &dyn Store) -> Vec<Costs> {
    let hour = |hours: i64| Timestamp::from_timestamp(hours * 60 * 60, 0);
    let times = [
        [None, None],
        [hour(24), None],
        [None, hour(24)],
        [hour(23), hour(25)],
        [hour(30), hour(1_000)],
    ];
    let mut all = Vec::new();
    for time in times {
        for by in CostBy::ALL {
            let mut costs = costs(store, *by, time).await;
            if matches!(by, CostBy::Agent | CostBy::Task) {
                costs.rows.clear();
                costs.groups = 0;
            }
            all.push(costs);
        }
    }
    all
}

/// Sums of costs are the same before and after, in each project, on each day and of each model, also of
/// calls whose end nobody heard; while the rows go, too.
pub async fn what_deleted_runs_cost_stays_in_the_books(store: &dyn Store) {
    let spent = Spent::store(store).await;
    let sample = &spent.sample;
    for task in &spent.tasks {
        let task: Task = store.get(task.id).await.unwrap();
        let done = Task {
            completed_at: Some(at(4 * DAY)),
            ..task
        };
        store.update(done).await.unwrap();
    }
    let before = books(store).await;
    let mut runs: Vec<Run> = Vec::new();
    let page = Page::first(100);
    runs.extend(store.list(&RunFilter::default(), page).await.unwrap());
    for run in &runs {
        end(store, sample, run.id).await;
    }
    assert_eq!(books(store).await, before);
    for run in runs.iter().filter(|run| run.parent.is_none()) {
        delete(store, run.id).await.unwrap();
        assert_eq!(books(store).await, before, "{}", run.workflow_name);
    }
    assert!(take_out(store, 3).await > 5);
    assert_eq!(books(store).await, before);
    let every = (RunFilter::default(), TaskFilter::default());
    let (agents, workspaces) = (AgentFilter::default(), WorkspaceFilter::default());
    assert_eq!(
        [
            store.count(&every.0).await.unwrap(),
            store.count(&every.1).await.unwrap(),
            store.count(&agents).await.unwrap(),
            store.count(&workspaces).await.unwrap(),
        ],
        [0; 4]
    );
}

/// A time that cuts an hour has of it what all ended in that time. Of calls of one hour, some of which ended in
/// it, nobody knows how much that is: they are told as undated, and nothing is left out.
pub async fn what_a_deleted_run_cost_in_an_hour_that_is_cut_is_told(store: &dyn Store) {
    let spent = Spent::store(store).await;
    let own = &spent.tasks[3];
    let answer = json!({ "answer": { "cost_source": "provider", "text": "x" } });
    let used = Usage {
        turns: 1,
        input_tokens: 4,
        output_tokens: 5,
        cost: Cost::from_picos(6),
    };
    let second = (DAY + 30, used, &answer);
    call(store, &spent.sample, (own, 9, "n"), second).await;
    let task: Task = store.get(own.id).await.unwrap();
    let done = Task {
        completed_at: Some(at(4 * DAY)),
        ..task
    };
    store.update(done).await.unwrap();
    let times = [DAY + 9, DAY + 10, DAY + 30, DAY + 31].map(at);
    let mut before = Vec::new();
    for moment in times {
        before.push([
            costs(store, CostBy::Model, [Some(moment), None]).await,
            costs(store, CostBy::Model, [None, Some(moment)]).await,
        ]);
    }
    end(store, &spent.sample, own.run_id).await;
    delete(store, own.run_id).await.unwrap();
    take_out(store, 100).await;
    // The other call of that hour ended at its second 9.
    let first = Usage {
        turns: 1,
        input_tokens: 2,
        output_tokens: 3,
        cost: Cost::default(),
    };
    let plus = |mut sum: Usage, more: Usage| {
        sum += more;
        sum
    };
    for (number, moment) in times.into_iter().enumerate() {
        let after = [
            costs(store, CostBy::Model, [Some(moment), None]).await,
            costs(store, CostBy::Model, [None, Some(moment)]).await,
        ];
        let is_cut = [DAY + 10, DAY + 30].map(at).contains(&moment);
        for (side, after) in after.into_iter().enumerate() {
            let before = &before[number][side];
            if !is_cut {
                assert_eq!(&after, before, "{moment}");
                continue;
            }
            let inside = if side == 0 { used } else { first };
            assert_eq!(plus(after.total.usage, inside), before.total.usage);
            assert_eq!(after.undated, plus(before.undated, plus(first, used)));
        }
    }
}

/// A run that has not ended, that is a step, or that an open run goes on from is refused, and it is said
/// which one needs it. Once it is deleted nothing goes on from it.
pub async fn a_run_that_another_one_needs_is_not_deleted(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let root = sample.run.id;
    assert_eq!(why(store, root).await, "it has not ended");
    let parent = Parent {
        run_id: root,
        task_id: sample.tasks["one"].id,
        step: "one".to_owned(),
    };
    let under = |run| Run {
        parent: Some(parent),
        ..run
    };
    let (below, _) = another(store, sample, under).await;
    end(store, sample, root).await;
    let told = format!("run {} below it has not ended", below.id);
    assert_eq!(why(store, root).await, told);
    end(store, sample, below.id).await;
    let told = format!("it is a step of run {root}, which it is deleted with");
    assert_eq!(why(store, below.id).await, told);

    let after = |run| Run {
        continues: Some(below.id),
        ..run
    };
    let (again, _) = another(store, sample, after).await;
    let told = format!("run {}, which has not ended, goes on from it", again.id);
    assert_eq!(why(store, root).await, told);
    end(store, sample, again.id).await;

    delete(store, root).await.unwrap();
    assert_eq!(why(store, root).await, "that is under way");
    let late = Run {
        id: office.world.fresh(),
        ..after(sample.run.clone())
    };
    for limit in [1, 1_000] {
        let refused = store.create(late.clone()).await;
        assert!(is_not_found(&refused, below.id), "{refused:?}");
        take_out(store, limit).await;
    }
    let gone = delete(store, root).await;
    assert!(is_not_found(&gone, root), "{gone:?}");
    let kept: Run = store.get(again.id).await.unwrap();
    assert_eq!(kept.continues, Some(below.id));
}

fn is_not_found(answer: &Result<()>, run: RunId) -> bool {
    matches!(answer, Err(Error::NotFound { entity: "run", id }) if *id == run.to_string())
}

/// The same of a task outside that waits for one of its tasks, and of an agent that has still to read one of
/// its messages.
pub async fn a_run_that_open_work_needs_is_not_deleted(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let root = sample.run.id;
    end(store, sample, root).await;
    let waits = Wanted {
        needs: vec![sample.tasks["one"].id],
        ..wanted("waits", 0)
    };
    let waiting = office.put(waits).await;
    let told = format!(
        "the task 'waits' ({}), which has not ended, needs one of it",
        waiting.id
    );
    assert_eq!(why(store, root).await, told);
    let cancelled = Task {
        state: TaskState::Cancelled,
        ..waiting
    };
    store.update(cancelled).await.unwrap();

    let reader = office.agent("reader", &[]).await;
    let mut letter = office.world.letter();
    letter.recipients = vec![reader.id];
    letter.message.recipient_agent_ids = Some(vec![reader.id]);
    letter.message.expiry_at = None;
    let message = letter.message.id;
    store.commit(sending(letter)).await.unwrap();
    let told = "the agent 'reader' has still to read a message of it";
    assert_eq!(why(store, root).await, told);
    let read = Outcome::Delivered;
    settle(store, &office.world, reader.id, &[message], read).await;
    delete(store, root).await.unwrap();
    take_out(store, 5).await;
    let message: Option<Message> = store.find(message).await.unwrap();
    assert_eq!(message, None);
    // What is not of the run is as it was.
    assert_eq!(store.get(reader.id).await.unwrap(), reader);
}

/// A message to an agent that goes has the status of the deliveries that are left; one to several stays.
pub async fn a_message_of_another_stays_when_its_reader_is_deleted(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    let (sender, reader) = (
        office.agent("sender", &[]).await,
        office.agent("reader", &[]).await,
    );
    let gone = sample.agents["b"].id;
    let mut letter = office.world.letter();
    letter.recipients = vec![gone, reader.id];
    letter.message.recipient_agent_ids = Some(letter.recipients.clone());
    letter.message.sender_agent_id = Some(sender.id);
    letter.message.run_id = None;
    letter.message.expiry_at = None;
    let id = letter.message.id;
    store.commit(sending(letter)).await.unwrap();
    let failed = Outcome::Failed("it ended".to_owned());
    settle(store, &office.world, gone, &[id], failed).await;
    let read = Outcome::Delivered;
    settle(store, &office.world, reader.id, &[id], read).await;
    let before: Message = store.get(id).await.unwrap();
    assert_eq!(before.delivery_status, DeliveryStatus::Failed);
    end(store, sample, sample.run.id).await;
    delete(store, sample.run.id).await.unwrap();
    take_out(store, 2).await;
    let after: Message = store.get(id).await.unwrap();
    assert_eq!(after.delivery_status, DeliveryStatus::Delivered);
    let left = store.deliveries(id).await.unwrap();
    let left: Vec<_> = left.iter().map(|delivery| delivery.agent_id).collect();
    assert_eq!(left, [reader.id]);
}

/// Of a deletion and of a run that goes on from it at the same moment one is refused.
pub async fn a_run_is_not_deleted_under_one_that_goes_on_from_it(store: &dyn Store) {
    let office = Office::open(store).await;
    let sample = office.sample();
    for round in 0..20 {
        let (run, _) = another(store, sample, |run| run).await;
        end(store, sample, run.id).await;
        let next = Run {
            id: office.world.fresh(),
            state: WorkflowState::Running,
            continues: Some(run.id),
            created_at: at(round),
            ..sample.run.clone()
        };
        let (deleted, begun) =
            futures::future::join(delete(store, run.id), store.create(next)).await;
        assert_ne!(deleted.is_ok(), begun.is_ok(), "{deleted:?} {begun:?}");
    }
}
