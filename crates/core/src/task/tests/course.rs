//! Random graphs with conditions, failures, attempts, rounds and items, run to their end by the rules
//! alone; then once more by the event log alone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Ids, agent, now, task};
use crate::{
    Again, AgentState, Backoff, CancelReason, Change, Decision, Item, Moment, NewEvent, OnFailure,
    RetrySpec, Row, Task, TaskId, TaskState,
};

/// What a step does when it is its turn.
#[derive(Debug, Clone)]
struct Plan {
    needs: Vec<usize>,
    condition: bool,
    /// Attempts of each round or item that fail before one succeeds.
    failing: u32,
    max_attempts: u32,
    rounds: u32,
    /// How many items, and how many of them at once.
    items: Option<(u32, Option<u32>)>,
    on_failure: OnFailure,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let shape = (
        proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        prop::bool::weighted(0.85),
        0..3_u32,
        1..4_u32,
        1..4_u32,
    );
    let items = prop::option::weighted(0.3, (0..7_u32, prop::option::of(1..4_u32)));
    let policy = prop::sample::select(OnFailure::ALL);
    proptest::collection::vec((shape, items, policy), 1..25).prop_map(|steps| {
        let steps = steps.into_iter().enumerate();
        steps
            .map(|(number, (shape, items, on_failure))| {
                let (raw, condition, failing, max_attempts, rounds) = shape;
                let needs: BTreeSet<usize> = match number {
                    0 => BTreeSet::new(),
                    _ => raw.iter().map(|need| need.index(number)).collect(),
                };
                Plan {
                    needs: needs.into_iter().collect(),
                    condition,
                    failing,
                    max_attempts,
                    rounds,
                    items,
                    on_failure,
                }
            })
            .collect()
    })
}

/// A store in memory.
#[derive(Default)]
struct World {
    tasks: BTreeMap<TaskId, Task>,
    open: i64,
    log: Vec<NewEvent>,
}

impl World {
    fn of(plans: &[Plan]) -> Self {
        let mut world = Self::default();
        for (number, plan) in plans.iter().enumerate() {
            let mut task = task(number, TaskState::Queued, &plan.needs);
            task.course.on_failure = plan.on_failure;
            task.required_capabilities = ["x"].into_iter().collect();
            world.tasks.insert(task.id, task);
            world.open += 1;
        }
        world
    }

    /// Writes a decision; `released` is the task that was given back for it.
    fn commit(&mut self, decision: Decision, released: Option<TaskId>) {
        if let Some(task) = released.and_then(|id| self.tasks.get_mut(&id)) {
            task.state = TaskState::Queued;
            task.version += 1;
        }
        for change in decision.changes {
            self.write(change);
        }
        self.log.extend(decision.events);
    }

    fn write(&mut self, change: Change) {
        match change {
            Change::Create(Row::Task(task)) => {
                let before = self.tasks.insert(task.id, *task);
                assert_eq!(before, None, "made twice");
            }
            Change::Update(Row::Task(task)) => self.update(*task),
            Change::ReleaseSuccessors(id) => self.release(id),
            Change::ReleaseItem(fan_out) => self.release_item(fan_out),
            Change::FanOut { task_id, count, .. } => {
                self.tasks.get_mut(&task_id).unwrap().unmet_dependencies += count;
                self.open += i64::from(count);
            }
            Change::CloseTasks { count, .. } => self.open -= i64::from(count),
            // Nobody counts the time here, and there are as many agents as it takes.
            Change::CountDependencies(_)
            | Change::WakePool
            | Change::WakeTask(_)
            | Change::Postpone { .. }
            | Change::Create(_)
            | Change::Update(_)
            | Change::Delete { .. }
            | Change::BookUsage { .. }
            | Change::HoldRoom(_)
            | Change::SettleRoom { .. }
            | Change::Wake { .. }
            | Change::Watch { .. }
            | Change::Reserve { .. }
            | Change::Progress { .. }
            | Change::NameSnapshot { .. }
            | Change::BeginEntry(_)
            | Change::UpdateEntry(_)
            | Change::DeleteRun(_)
            | Change::ForgetFiles(_)
            | Change::SendMessage(_)
            | Change::SettleDeliveries(_) => {}
        }
    }

    fn update(&mut self, task: Task) {
        let kept = &self.tasks[&task.id];
        assert_eq!(kept.version, task.version, "{} moved on", task.name);
        let task = Task {
            unmet_dependencies: kept.unmet_dependencies,
            version: task.version + 1,
            ..task
        };
        self.tasks.insert(task.id, task);
    }

    fn release(&mut self, id: TaskId) {
        let item = self.tasks[&id].course.item.as_ref();
        let fan_out = item.map(|item| item.fan_out);
        for task in self.tasks.values_mut() {
            if task.dependencies.contains(&id) || fan_out == Some(task.id) {
                task.unmet_dependencies = task.unmet_dependencies.checked_sub(1).unwrap();
            }
        }
    }

    fn release_item(&mut self, fan_out: TaskId) {
        let waiting = self.tasks.values_mut().filter(|task| {
            let is_item = task.course.item.as_ref().map(|item| item.fan_out) == Some(fan_out);
            is_item && task.state == TaskState::Queued && task.unmet_dependencies > 0
        });
        if let Some(next) = waiting.min_by_key(|task| place(task)) {
            next.unmet_dependencies -= 1;
        }
    }

    fn items(&self, fan_out: TaskId) -> Vec<Task> {
        let is_item =
            |task: &&Task| task.course.item.as_ref().map(|item| item.fan_out) == Some(fan_out);
        let mut items: Vec<Task> = self.tasks.values().filter(is_item).cloned().collect();
        items.sort_by_key(place);
        items
    }
}

fn place(task: &Task) -> Option<u32> {
    task.course.item.as_ref().map(|item| item.index)
}

/// How often each task was begun, by round and attempt.
type Begun = BTreeMap<(TaskId, u32, u32), u32>;

/// Does one ready task as the engine would.
fn turn(world: &mut World, plan: &Plan, id: TaskId, begun: &mut Begun, moment: Moment<'_>) {
    let mut task = world.tasks[&id].clone();
    task.state = TaskState::Assigned;
    world.tasks.insert(id, task.clone());
    let all: Vec<Task> = world.tasks.values().cloned().collect();
    let item = task.course.item.clone();
    let is_needless = item.as_ref().is_some_and(|item| {
        let mut items = world.items(item.fan_out).into_iter();
        items.any(|item| item.state == TaskState::Failed)
    });
    if is_needless && !task.bears_failed_items() {
        return world.commit(task.leave_out(moment).unwrap(), None);
    }
    let joins = task.course.items.is_some();
    if item.is_none() && !joins && !plan.condition {
        return world.commit(task.skip("false", &all, moment).unwrap(), None);
    }
    if let (Some((count, at_once)), None, false) = (plan.items, &item, joins)
        && count > 0
    {
        let values = (0..count).map(|number| json!(number)).collect();
        let fanned = task.fan_out(values, at_once, moment).unwrap();
        return world.commit(fanned, Some(id));
    }
    let joined = (plan.items.is_some() && item.is_none()).then(|| task.join(&world.items(id)));
    let course = &task.course;
    *begun
        .entry((id, course.rounds, course.failures))
        .or_default() += 1;
    work(world, plan, task, joined, moment);
}

/// Begins a task and ends it, or has it begun anew.
fn work(
    world: &mut World,
    plan: &Plan,
    task: Task,
    joined: Option<Result<Value, String>>,
    moment: Moment<'_>,
) {
    let all: Vec<Task> = world.tasks.values().cloned().collect();
    let (idle, course) = (agent(AgentState::Idle), task.course.clone());
    let (task, worker, opening) = task.begin(idle, json!({}), moment).unwrap();
    world.commit(opening, None);
    let retry = RetrySpec {
        max_attempts: plan.max_attempts,
        backoff: Backoff::Fixed,
        delay_seconds: 1,
    };
    let is_failing = joined.is_none() && course.failures < plan.failing;
    let again = match retry.wait_after(course.failures + 1) {
        Some(wait) if is_failing => Some(Again::Attempt {
            error: "broke",
            max_attempts: plan.max_attempts,
            wait,
        }),
        Some(_) | None => (joined.is_none() && !is_failing && course.rounds + 1 < plan.rounds)
            .then(|| Again::Round {
                outputs: json!(course.rounds),
                max: plan.rounds,
            }),
    };
    if let Some(again) = again {
        let anew = task.begin_anew(worker, again, 1, moment).unwrap();
        return world.commit(anew, Some(task.id));
    }
    let done = |outputs: Value| json!({ "outputs": outputs, "artifacts": [] });
    let ended = match joined {
        Some(Ok(outputs)) => task.complete(worker, done(outputs), moment),
        Some(Err(why)) => task.fail(worker, &why, &all, moment),
        None if is_failing => task.fail(worker, "broke", &all, moment),
        None => task.complete(worker, done(json!({})), moment),
    };
    world.commit(ended.unwrap(), None);
}

/// The states of all tasks as the log alone tells them.
fn replayed(log: &[NewEvent], queued: Vec<TaskId>) -> BTreeMap<TaskId, TaskState> {
    let mut states: BTreeMap<TaskId, TaskState> = queued
        .into_iter()
        .map(|id| (id, TaskState::Queued))
        .collect();
    for event in log {
        let id = serde_json::from_value(event.data["task_id"].clone()).unwrap();
        let state = match event.event_type.as_str() {
            "task.queued" | "task.retried" => TaskState::Queued,
            "task.started" => TaskState::Running,
            "task.completed" => TaskState::Completed,
            "task.failed" => TaskState::Failed,
            "task.cancelled" => TaskState::Cancelled,
            other => panic!("{other}"),
        };
        let before = states.insert(id, state);
        let went_on = before.is_some_and(TaskState::is_final);
        assert!(!went_on, "{id} went on after its end");
    }
    states
}

/// Whether a task lets those run that need it.
fn lets_go(task: &Task) -> bool {
    let bears = task.course.on_failure == OnFailure::Continue;
    task.state == TaskState::Completed || (task.state == TaskState::Failed && bears)
}

/// No more items of a list can begin than its step says.
fn check_items(world: &World, plans: &[Plan]) {
    for task in world.tasks.values() {
        if let (Some((_, Some(at_once))), None) = (plan_of(plans, task).items, &task.course.item) {
            let items = world.items(task.id);
            let ready = items.iter().filter(|item| item.is_ready()).count();
            assert!(ready <= usize::try_from(at_once).unwrap(), "{ready}");
        }
    }
}

fn plan_of<'p>(plans: &'p [Plan], task: &Task) -> &'p Plan {
    let number: usize = task.step_id().trim_start_matches('s').parse().unwrap();
    &plans[number]
}

fn run(plans: &[Plan], choice: &[prop::sample::Index]) {
    let ids = Ids::default();
    let moment = Moment {
        now: now(),
        ids: &ids,
    };
    let mut world = World::of(plans);
    let first: Vec<TaskId> = world.tasks.keys().copied().collect();
    let mut begun = Begun::new();
    for turns in 0_usize.. {
        assert!(turns < 100_000, "it does not come to its end");
        check_items(&world, plans);
        let ready = world.tasks.values().filter(|task| task.is_ready());
        let ready: Vec<Task> = ready.cloned().collect();
        if ready.is_empty() {
            break;
        }
        let next = &ready[choice[turns % choice.len()].index(ready.len())];
        for need in &next.dependencies {
            assert!(lets_go(&world.tasks[need]), "{} was too early", next.name);
        }
        let plan = plan_of(plans, next);
        turn(&mut world, plan, next.id, &mut begun, moment);
    }
    check_end(&world, plans, &begun);
    let states = world.tasks.values().map(|task| (task.id, task.state));
    assert_eq!(replayed(&world.log, first), states.collect());
}

fn check_end(world: &World, plans: &[Plan], begun: &Begun) {
    assert_eq!(world.open, 0);
    for task in world.tasks.values() {
        assert!(task.state.is_final(), "{task:?} is stuck");
        if task.course.item.is_none() {
            let mut needs = task.dependencies.iter();
            let may_run = needs.all(|need| lets_go(&world.tasks[need]));
            let had_its_turn = task
                .cancel_reason
                .is_none_or(|reason| reason == CancelReason::ConditionFalse);
            assert_eq!(may_run, had_its_turn, "{task:?}");
        }
    }
    for ((id, round, attempt), times) in begun {
        assert_eq!(*times, 1, "{id} was done {times} times");
        let plan = plan_of(plans, &world.tasks[id]);
        assert!(*round < plan.rounds && *attempt < plan.max_attempts);
    }
}

proptest! {
    #[test]
    fn whatever_fails_repeats_and_fans_out_order_is_kept_and_nothing_is_stuck_or_done_twice(
        plans in plans(),
        choice in proptest::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        run(&plans, &choice);
    }

    /// The number of paths through them is 2 to the 40th: none may be walked one by one.
    #[test]
    fn forty_diamonds_in_a_row_come_to_their_end(
        failing in 0..2_u32,
        choice in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let plain = |needs: Vec<usize>| Plan {
            needs,
            condition: true,
            failing: 0,
            max_attempts: 1,
            rounds: 1,
            items: None,
            on_failure: OnFailure::Fail,
        };
        let mut plans = vec![Plan { failing, ..plain(vec![]) }];
        for layer in 0..40 {
            let top = layer * 3;
            let sides = [plain(vec![top]), plain(vec![top])];
            plans.extend(sides);
            plans.push(plain(vec![top + 1, top + 2]));
        }
        run(&plans, &choice);
    }
}

#[test]
fn a_failed_item_names_its_place_and_its_reason() {
    let mut fan_out = task(0, TaskState::Assigned, &[]);
    let of_list = |index: u32, error: Option<&str>| {
        let state = match error {
            None => TaskState::Completed,
            Some(_) => TaskState::Failed,
        };
        let mut item = task(usize::try_from(index).unwrap() + 1, state, &[]);
        let made = json!({ "outputs": { "text": index } });
        item.output_artifacts = error.is_none().then_some(made);
        item.error_message = error.map(str::to_owned);
        item.course.item = Some(Item {
            fan_out: fan_out.id,
            index,
            value: Value::Null,
            gated: false,
        });
        item
    };
    let items = [
        of_list(0, None),
        of_list(1, Some("broke")),
        of_list(2, None),
    ];
    assert_eq!(fan_out.join(&items), Err("item 1 failed: broke".to_owned()));
    fan_out.course.on_failure = OnFailure::Continue;
    let outputs = json!([{ "text": 0 }, null, { "text": 2 }]);
    assert_eq!(fan_out.join(&items), Ok(outputs));
    assert_eq!(fan_out.join(&[]), Ok(json!([])));
}
