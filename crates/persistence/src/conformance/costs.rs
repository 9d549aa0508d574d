//! Rules of what model calls cost.

use fusion_core::{
    Agent, Change, Cost, CostBy, Decision, EffectClass, EntryKind, EntryState, IdSource as _,
    JournalEntry, JournalEntryId, Parent, Project, Run, Task, TaskState, Timestamp, Usage,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::sample::{Sample, agent_named, at, step, workflow};
use super::world::bare_project;
use crate::{
    AgentWork, Batch, CostQuery, CostRow, CostSum, Costs, Page, Repository, Store, TaskFilter,
    WriteRepository as _,
};

fn used(turns: u64, tokens: u64, picos: i64) -> Usage {
    Usage {
        turns,
        input_tokens: tokens,
        output_tokens: tokens + 1,
        cost: Cost::from_picos(picos),
    }
}

/// The end of the first day, in seconds.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// Work of two agents in three runs, and what its calls used.
pub(super) struct Spent {
    pub(super) agents: [Agent; 2],
    /// Of the agent `a`, of `b`, of `b` in a run of a step, and of its own.
    pub(super) tasks: [Task; 4],
    projects: [Project; 2],
    pub(super) sample: Sample,
}

impl Spent {
    pub(super) async fn store(store: &dyn Store) -> Self {
        let steps = vec![
            step("one", agent_named("a"), &[], 0),
            step("two", agent_named("b"), &[], 0),
        ];
        let sample = Sample::store(store, steps).await;
        let mut projects = [
            bare_project(sample.ids.uuid()),
            bare_project(sample.ids.uuid()),
        ];
        for (project, name) in projects.iter_mut().zip(["of the agent", "from above"]) {
            name.clone_into(&mut project.name);
            store.create(project.clone()).await.unwrap();
        }
        let (a, b) = (sample.agents["a"].clone(), sample.agents["b"].clone());
        let a = Agent {
            project_id: Some(projects[0].id),
            ..a
        };
        store.update(a.clone()).await.unwrap();
        let tasks = [
            worked(store, &sample.tasks["one"], &a).await,
            worked(store, &sample.tasks["two"], &b).await,
            below(store, &sample, &projects[1], &b).await,
            own(store, &sample, &b).await,
        ];
        let spent = Self {
            agents: [a, b],
            tasks,
            projects,
            sample,
        };
        spent.book(store, &spent.sample).await;
        spent
    }

    /// Calls of all tasks, and one call of the second that has no answer.
    async fn book(&self, store: &dyn Store, sample: &Sample) {
        let [one, two, below, own] = &self.tasks;
        let priced = json!({ "answer": { "cost_source": "computed", "text": "x" } });
        let free = json!({ "answer": { "cost_source": "provider", "text": "x" } });
        // What a model says is no word on its price.
        let unknown = json!({ "answer": { "cost_source": "unknown", "text": "x" } });
        let says = json!({ "answer": { "cost_source": "provider",
            "text": "\"cost_source\":\"unknown\"", "tool_calls": [{ "cost_source": "unknown" }] } });
        let calls = [
            (one, "m", DAY - 1, used(1, 10, 7), &priced),
            (one, "n", DAY, used(1, 10, 0), &unknown),
            (two, "m", DAY, used(1, 20, 5), &priced),
            (below, "m", DAY + 5, used(1, 30, 40), &priced),
            (own, "n", DAY + 9, used(1, 2, 0), &free),
            (own, "n", 3 * DAY, used(1, 1, 0), &says),
        ];
        for (number, (task, model, ended, usage, outcome)) in calls.into_iter().enumerate() {
            let seq = u32::try_from(number).unwrap() + 1;
            call(store, sample, (task, seq, model), (ended, usage, outcome)).await;
        }
        let book = Change::BookUsage {
            run_id: two.run_id,
            task_id: two.id,
            usage: used(0, 0, 3),
        };
        commit(store, Decision::default().with(book)).await;
    }
}

async fn commit(store: &dyn Store, decision: Decision) {
    store.commit(Batch::free(decision)).await.unwrap();
}

/// The same task as its agent worked on it, on the first days.
async fn worked(store: &dyn Store, task: &Task, agent: &Agent) -> Task {
    let task = Task {
        agent_id: Some(agent.id),
        started_at: Some(at(DAY - 9)),
        ..task.clone()
    };
    store.update(task.clone()).await.unwrap();
    task
}

/// A run with a task, and how it differs from that of the sample.
async fn another(
    store: &dyn Store,
    sample: &Sample,
    agent: &Agent,
    run: impl FnOnce(Run) -> Run,
) -> Task {
    let run = run(Run {
        id: sample.ids.uuid().into(),
        usage: Usage::default(),
        ..sample.run.clone()
    });
    let task = Task {
        id: sample.ids.uuid().into(),
        name: format!("of {}", run.workflow_name),
        agent_id: Some(agent.id),
        run_id: run.id,
        state: TaskState::Running,
        started_at: Some(at(DAY)),
        ..sample.tasks["two"].clone()
    };
    store.create(run).await.unwrap();
    store.create(task.clone()).await.unwrap();
    task
}

/// A task of a run that is a step of a step of a run of a project.
async fn below(store: &dyn Store, sample: &Sample, project: &Project, agent: &Agent) -> Task {
    let mut stored = workflow(&sample.ids, "outer", 1, vec![]);
    stored.project_id = Some(project.id);
    store.create(stored.clone()).await.unwrap();
    let under = |run: &Task| Parent {
        run_id: run.run_id,
        task_id: run.id,
        step: run.name.clone(),
    };
    let outer = another(store, sample, agent, |run| Run {
        workflow_id: stored.id,
        workflow_name: "outer".to_owned(),
        ..run
    });
    let outer = outer.await;
    let middle = another(store, sample, agent, |run| Run {
        workflow_name: "middle".to_owned(),
        parent: Some(under(&outer)),
        ..run
    });
    let middle = middle.await;
    let inner = another(store, sample, agent, |run| Run {
        workflow_name: "inner".to_owned(),
        parent: Some(under(&middle)),
        ..run
    });
    inner.await
}

/// A task of its own, of nobody.
async fn own(store: &dyn Store, sample: &Sample, agent: &Agent) -> Task {
    let task = another(store, sample, agent, |run| Run {
        workflow_name: "hidden".to_owned(),
        is_standalone: true,
        ..run
    });
    task.await
}

/// A call that ended: its turn, and what it used.
pub(super) async fn call(
    store: &dyn Store,
    sample: &Sample,
    (task, seq, model): (&Task, u32, &str),
    (ended, usage, outcome): (i64, Usage, &Value),
) {
    let begun = JournalEntry {
        id: JournalEntryId::from_uuid(sample.ids.uuid()),
        task_id: task.id,
        run_id: task.run_id,
        seq,
        kind: EntryKind::Turn,
        name: model.to_owned(),
        effect: EffectClass::ModelTurn,
        state: EntryState::Started,
        request: Value::Null,
        outcome: None,
        usage: Usage::default(),
        attempts: 1,
        started_at: at(1),
        finished_at: None,
    };
    let done = JournalEntry {
        state: EntryState::Finished,
        outcome: Some(outcome.clone()),
        usage,
        finished_at: Some(at(ended)),
        ..begun.clone()
    };
    commit(store, Decision::default().with(Change::BeginEntry(begun))).await;
    let book = Change::BookUsage {
        run_id: task.run_id,
        task_id: task.id,
        usage,
    };
    let decision = Decision::default().with(Change::UpdateEntry(done));
    commit(store, decision.with(book)).await;
}

pub(super) const fn sum(
    turns: u64,
    (input, output): (u64, u64),
    picos: i64,
    without_price: u64,
) -> CostSum {
    CostSum {
        usage: Usage {
            turns,
            input_tokens: input,
            output_tokens: output,
            cost: Cost::from_picos(picos),
        },
        calls_without_price: without_price,
    }
}

fn row(id: Option<Uuid>, name: Option<&str>, sum: CostSum) -> CostRow {
    CostRow {
        id,
        name: name.map(str::to_owned),
        sum,
    }
}

pub(super) async fn costs(store: &dyn Store, by: CostBy, time: [Option<Timestamp>; 2]) -> Costs {
    let [since, until] = time;
    let query = CostQuery {
        by,
        since,
        until,
        limit: 100,
    };
    store.costs(&query).await.unwrap()
}

/// What the calls of the agent `a` used.
const FIRST: CostSum = sum(2, (20, 22), 7, 1);
/// Those of the second task.
const SECOND: CostSum = sum(1, (20, 22), 8, 0);
/// Those of the run of a step of a step.
const INNER: CostSum = sum(1, (30, 31), 40, 0);
/// Those of the task of its own.
const ALONE: CostSum = sum(2, (3, 5), 0, 0);
/// Those whose end nobody heard.
const LOST: CostSum = sum(0, (0, 1), 3, 0);

/// The rows of a grouping.
fn rows(spent: &Spent, by: CostBy) -> Vec<CostRow> {
    let [a, b] = spent.agents.each_ref().map(|agent| Some(agent.id.uuid()));
    let [of_agent, from_above] = spent.projects.each_ref().map(|it| Some(it.id.uuid()));
    let [one, two, below, own] = spent.tasks.each_ref().map(|task| Some(task.id.uuid()));
    match by {
        CostBy::Agent => vec![
            row(b, Some("b"), sum(4, (53, 58), 48, 0)),
            row(a, Some("a"), FIRST),
        ],
        CostBy::Model => vec![
            row(None, Some("m"), sum(3, (60, 63), 52, 0)),
            row(None, None, LOST),
            row(None, Some("n"), sum(3, (13, 16), 0, 1)),
        ],
        CostBy::Task => vec![
            row(below, Some("of inner"), INNER),
            row(two, Some("two"), SECOND),
            row(one, Some("one"), FIRST),
            row(own, Some("of hidden"), ALONE),
        ],
        CostBy::Workflow => vec![
            row(None, Some("inner"), INNER),
            row(None, Some("sample"), sum(3, (40, 44), 15, 1)),
            row(None, None, ALONE),
        ],
        CostBy::Project => vec![
            row(from_above, Some("from above"), INNER),
            row(None, None, sum(3, (23, 27), 8, 0)),
            row(of_agent, Some("of the agent"), FIRST),
        ],
        CostBy::Day => vec![
            row(None, Some("1970-01-02"), sum(4, (62, 66), 45, 1)),
            row(None, Some("1970-01-01"), sum(1, (10, 11), 7, 0)),
            row(None, None, LOST),
            row(None, Some("1970-01-04"), sum(1, (1, 2), 0, 0)),
        ],
    }
}

/// Each grouping has all that was booked, as the rows of runs and tasks have it: also what has no model
/// and no day, because nobody heard the end of the call.
pub async fn costs_are_what_was_booked_however_they_are_grouped(store: &dyn Store) {
    let nothing = costs(store, CostBy::Agent, [None, None]).await;
    assert_eq!(nothing, Costs::default());
    let spent = Spent::store(store).await;
    let total = sum(6, (73, 80), 55, 1);
    for by in CostBy::ALL {
        let rows = rows(&spent, *by);
        let groups = u64::try_from(rows.len()).unwrap();
        let wanted = Costs {
            rows,
            groups,
            total,
            undated: Usage::default(),
        };
        assert_eq!(costs(store, *by, [None, None]).await, wanted, "{by}");
    }
    let mut booked = Usage::default();
    for task in &spent.tasks {
        booked += store.get(task.id).await.unwrap().usage;
    }
    assert_eq!(booked, total.usage);
}

/// A call counts for the moment at which it ended. Of calls whose end nobody heard no moment is known:
/// they are told apart, where their task was at work in that time.
pub async fn costs_of_a_time_are_those_of_calls_that_ended_in_it(store: &dyn Store) {
    Spent::store(store).await;
    let (m, n) = (Some("m"), Some("n"));
    let lost = used(0, 0, 3);
    let [before, midnight, after] = [DAY - 1, DAY, DAY + 1].map(|it| Some(at(it)));
    for (time, rows, undated) in [
        ([None, before], vec![], lost),
        ([None, Some(at(5))], vec![], Usage::default()),
        (
            [before, midnight],
            vec![row(None, m, sum(1, (10, 11), 7, 0))],
            lost,
        ),
        (
            [midnight, after],
            vec![
                row(None, m, sum(1, (20, 21), 5, 0)),
                row(None, n, sum(1, (10, 11), 0, 1)),
            ],
            lost,
        ),
        (
            [Some(at(2 * DAY)), None],
            vec![row(None, n, sum(1, (1, 2), 0, 0))],
            lost,
        ),
    ] {
        let mut total = CostSum::default();
        for row in &rows {
            total.usage += row.sum.usage;
            total.calls_without_price += row.sum.calls_without_price;
        }
        let groups = u64::try_from(rows.len()).unwrap();
        let wanted = Costs {
            rows,
            groups,
            total,
            undated,
        };
        assert_eq!(costs(store, CostBy::Model, time).await, wanted, "{time:?}");
    }
}

/// What is left out is still in the total and counted.
pub async fn the_greatest_costs_come_first_and_the_rest_is_counted(store: &dyn Store) {
    Spent::store(store).await;
    let all = costs(store, CostBy::Task, [None, None]).await;
    let query = CostQuery {
        by: CostBy::Task,
        since: None,
        until: None,
        limit: 2,
    };
    let some = store.costs(&query).await.unwrap();
    let wanted = Costs {
        rows: all.rows[..2].to_vec(),
        ..all
    };
    assert_eq!(some, wanted);
}

/// What an agent used and what came of its tasks is told of all of them; the oldest task that it works on
/// goes before those that wait.
pub async fn work_of_an_agent_is_all_that_it_was_given(store: &dyn Store) {
    let spent = Spent::store(store).await;
    let [a, b] = &spent.agents;
    let [one, two, _, own] = &spent.tasks;
    let of_a = AgentWork {
        usage: FIRST.usage,
        task: Some(stored(store, one).await),
        ..AgentWork::default()
    };
    assert_eq!(store.work_of_agent(a.id).await.unwrap(), of_a);
    let mut usage = SECOND.usage;
    usage += INNER.usage;
    usage += ALONE.usage;
    let running = TaskFilter {
        agent: Some(b.id),
        states: vec![TaskState::Running],
        ..TaskFilter::default()
    };
    let running: Vec<Task> = store.list(&running, Page::first(9)).await.unwrap();
    let at_work = AgentWork {
        usage,
        task: running.last().cloned(),
        ..AgentWork::default()
    };
    assert_eq!(store.work_of_agent(b.id).await.unwrap(), at_work);
    for task in running {
        let state = if task.id == own.id {
            TaskState::Failed
        } else {
            TaskState::Completed
        };
        store.update(Task { state, ..task }).await.unwrap();
    }
    let waiting = AgentWork {
        usage,
        completed: 3,
        failed: 1,
        task: Some(stored(store, two).await),
    };
    assert_eq!(store.work_of_agent(b.id).await.unwrap(), waiting);
    let nobody = spent.projects[0].id.uuid().into();
    let none = store.work_of_agent(nobody).await.unwrap();
    assert_eq!(none, AgentWork::default());
}

async fn stored(store: &dyn Store, task: &Task) -> Task {
    store.get(task.id).await.unwrap()
}
