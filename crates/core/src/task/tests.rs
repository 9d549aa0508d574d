mod course;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{CancelReason, Task, TaskState};
use crate::clock::counted::Ids;
use crate::transition::StateMachine;
use crate::{
    Agent, AgentId, AgentState, CapabilitySet, Change, Decision, Moment, Row, RunId, TaskId,
    Timestamp, Usage,
};

fn now() -> Timestamp {
    DateTime::from_timestamp(1_000, 0).unwrap()
}

pub(super) fn task(number: usize, state: TaskState, needs: &[usize]) -> Task {
    let id = |number: usize| TaskId::from_uuid(Uuid::from_u128(number as u128 + 1));
    Task {
        id: id(number),
        name: format!("s{number}"),
        description: String::new(),
        agent_id: None,
        priority: 0,
        required_capabilities: CapabilitySet::default(),
        state,
        queued_at: now(),
        started_at: None,
        completed_at: None,
        unmet_dependencies: u32::try_from(needs.len()).unwrap(),
        dependencies: needs.iter().map(|need| id(*need)).collect(),
        input_artifacts: json!({}),
        output_artifacts: None,
        error_message: None,
        cancel_reason: None,
        communication_channels: vec![],
        workflow_id: None,
        run_id: RunId::from_uuid(Uuid::nil()),
        fence: 1,
        attempts: 0,
        waiting: None,
        course: crate::Course::default(),
        pool: None,
        usage: Usage::default(),
        version: 1,
    }
}

fn agent(state: AgentState) -> Agent {
    Agent {
        id: AgentId::from_uuid(Uuid::from_u128(7)),
        name: "a".into(),
        state,
        created_at: now(),
        updated_at: now(),
        last_heartbeat: None,
        workspace_path: "/w".into(),
        provider: "scripted".into(),
        model_name: "m".into(),
        capabilities: CapabilitySet::default(),
        provider_id: None,
        metadata: json!({}),
        message_subscriptions: vec![],
        project_id: None,
        run_id: None,
        version: 1,
    }
}

/// Applies a decision to tasks in memory, as a store would.
fn apply(tasks: &mut BTreeMap<TaskId, Task>, open: &mut i64, decision: &Decision) {
    for change in &decision.changes {
        match change {
            Change::Update(Row::Task(task)) => {
                let unmet = tasks[&task.id].unmet_dependencies;
                tasks.insert(
                    task.id,
                    Task {
                        unmet_dependencies: unmet,
                        ..Task::clone(task)
                    },
                );
            }
            Change::ReleaseSuccessors(id) => {
                for task in tasks
                    .values_mut()
                    .filter(|task| task.dependencies.contains(id))
                {
                    task.unmet_dependencies -= 1;
                }
            }
            Change::CloseTasks { count, .. } => *open -= i64::from(*count),
            Change::Create(_)
            | Change::Update(_)
            | Change::Delete { .. }
            | Change::ReleaseItem(_)
            | Change::FanOut { .. }
            | Change::BookUsage { .. }
            | Change::HoldRoom(_)
            | Change::SettleRoom { .. }
            | Change::BeginEntry(_)
            | Change::CountDependencies(_)
            | Change::WakePool
            | Change::Postpone { .. }
            | Change::Wake { .. }
            | Change::WakeTask(_)
            | Change::Watch { .. }
            | Change::Reserve { .. }
            | Change::Progress { .. }
            | Change::NameSnapshot { .. }
            | Change::UpdateEntry(_)
            | Change::DeleteRun(_)
            | Change::ForgetFiles(_)
            | Change::SendMessage(_)
            | Change::SettleDeliveries(_) => {}
        }
    }
}

#[test]
fn a_task_has_exactly_the_moves_of_the_specification() {
    use TaskState::{Assigned, Cancelled, Completed, Failed, Queued, Running};
    let allowed: Vec<(TaskState, TaskState)> = TaskState::ALL
        .iter()
        .flat_map(|from| TaskState::ALL.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from.allows(*to))
        .collect();
    assert_eq!(
        allowed,
        [
            (Queued, Assigned),
            (Queued, Cancelled),
            (Assigned, Queued),
            (Assigned, Running),
            (Assigned, Cancelled),
            (Running, Queued),
            (Running, Completed),
            (Running, Failed),
            (Running, Cancelled),
        ]
    );
}

#[test]
fn a_queued_task_cannot_finish() {
    let ids = Ids::default();
    let refused = task(0, TaskState::Queued, &[]).complete(
        agent(AgentState::Working),
        json!({}),
        Moment {
            now: now(),
            ids: &ids,
        },
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "a queued task can't become completed"
    );
}

/// What happens to a task when it is its turn.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Completes,
    Fails,
    IsSkipped,
}

fn fates() -> impl Strategy<Value = Vec<(Fate, Vec<prop::sample::Index>, i32)>> {
    let fate =
        prop_oneof![4 => Just(Fate::Completes), 1 => Just(Fate::Fails), 1 => Just(Fate::IsSkipped)];
    let needs = proptest::collection::vec(any::<prop::sample::Index>(), 0..4);
    proptest::collection::vec((fate, needs, -2..3_i32), 1..30)
}

fn settle(task: &Task, fate: Fate, siblings: &[Task], moment: Moment<'_>) -> Decision {
    let mut assigned = task.clone();
    assigned.state = TaskState::Assigned;
    match fate {
        Fate::IsSkipped => assigned.skip("false", siblings, moment).unwrap(),
        Fate::Completes => {
            let (running, agent, _) = assigned
                .begin(agent(AgentState::Idle), json!({}), moment)
                .unwrap();
            running.complete(agent, json!({}), moment).unwrap()
        }
        Fate::Fails => {
            let (running, agent, _) = assigned
                .begin(agent(AgentState::Idle), json!({}), moment)
                .unwrap();
            running.fail(agent, "broke", siblings, moment).unwrap()
        }
    }
}

proptest! {
    /// Runs random graphs with random failures and conditions to their end.
    #[test]
    fn order_is_kept_nothing_runs_twice_and_nothing_is_stuck(plan in fates()) {
        let ids = Ids::default();
        let moment = Moment { now: now(), ids: &ids };
        let mut tasks: BTreeMap<TaskId, Task> = BTreeMap::new();
        let mut fate_of = BTreeMap::new();
        for (number, (fate, raw, priority)) in plan.iter().enumerate() {
            let mut needs: Vec<usize> = if number == 0 { vec![] } else { raw.iter().map(|need| need.index(number)).collect() };
            needs.sort_unstable();
            needs.dedup();
            let task = Task { priority: *priority, ..task(number, TaskState::Queued, &needs) };
            fate_of.insert(task.id, *fate);
            tasks.insert(task.id, task);
        }
        let mut open = i64::try_from(tasks.len()).unwrap();
        let mut ran: Vec<TaskId> = vec![];
        loop {
            let mut ready: Vec<&Task> = tasks.values().filter(|task| task.is_ready()).collect();
            ready.sort_by(|a, b| a.queue_order(b));
            let Some(next) = ready.first().map(|task| (*task).clone()) else { break };
            for need in &next.dependencies {
                prop_assert_eq!(tasks[need].state, TaskState::Completed);
            }
            prop_assert!(!ran.contains(&next.id));
            ran.push(next.id);
            let siblings: Vec<Task> = tasks.values().cloned().collect();
            let decision = settle(&next, fate_of[&next.id], &siblings, moment);
            apply(&mut tasks, &mut open, &decision);
        }
        prop_assert_eq!(open, 0);
        for task in tasks.values() {
            prop_assert!(task.state.is_final(), "{task:?} is stuck");
            let bad = task.dependencies.iter().any(|need| tasks[need].state != TaskState::Completed);
            prop_assert_eq!(bad, !ran.contains(&task.id), "runs exactly when all it needs completed");
            if bad {
                let failed = task.dependencies.iter().any(|need| tasks[need].state == TaskState::Failed);
                prop_assert_eq!(task.state, TaskState::Cancelled);
                prop_assert!(!failed || task.cancel_reason.is_some());
            }
        }
    }
}

#[test]
fn the_queue_is_ordered_by_priority_then_age() {
    let earlier = DateTime::from_timestamp(10, 0).unwrap();
    let low_old = Task {
        queued_at: earlier,
        ..task(0, TaskState::Queued, &[])
    };
    let low_new = task(1, TaskState::Queued, &[]);
    let high_new = Task {
        priority: 5,
        ..task(2, TaskState::Queued, &[])
    };
    let mut queue = [low_new.clone(), high_new.clone(), low_old.clone()];
    queue.sort_by(Task::queue_order);
    assert_eq!(queue, [high_new, low_old, low_new]);
}

#[test]
fn a_failure_says_which_step_it_came_from() {
    let ids = Ids::default();
    let running = task(0, TaskState::Running, &[]);
    let siblings = [
        running.clone(),
        task(1, TaskState::Queued, &[0]),
        task(2, TaskState::Queued, &[1]),
    ];
    let decision = running
        .fail(
            agent(AgentState::Working),
            "no answer",
            &siblings,
            Moment {
                now: now(),
                ids: &ids,
            },
        )
        .unwrap();
    let told: Vec<(&str, &str)> = decision
        .events
        .iter()
        .map(|event| (event.event_type.as_str(), event.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("task.failed", "s0 failed: no answer"),
            (
                "task.cancelled",
                "s1 cancelled: it needs 's0', which failed"
            ),
            (
                "task.cancelled",
                "s2 cancelled: it needs 's0', which failed"
            ),
        ]
    );
    let mut reasons = vec![];
    for change in &decision.changes {
        if let Change::Update(Row::Task(task)) = change {
            reasons.push(task.cancel_reason);
        }
    }
    assert_eq!(
        reasons,
        [
            Some(CancelReason::DependencyFailed),
            Some(CancelReason::DependencyFailed),
            None
        ]
    );
}

#[test]
fn a_postponed_task_is_told_with_its_wait_and_leaves_its_agent_idle() {
    let ids = Ids::default();
    let moment = Moment {
        now: now(),
        ids: &ids,
    };
    let task = task(0, TaskState::Running, &[]);
    let wait = Duration::from_millis(61_200);
    let decision = task.postpone(Some(agent(AgentState::Working)), wait, "no quota", moment);
    let decision = decision.unwrap();
    let [Change::Update(Row::Agent(agent)), postpone] = decision.changes.as_slice() else {
        panic!("{decision:?}");
    };
    assert_eq!(agent.state, AgentState::Idle);
    let expected = Change::Postpone {
        task_id: task.id,
        wait,
        reason: "no quota".to_owned(),
    };
    assert_eq!(postpone, &expected);
    let told = &decision.events[0];
    assert_eq!(told.message, "s0 waits 62 s: no quota");
    assert_eq!(told.data["wait_s"], 62);
    let queued = Task {
        state: TaskState::Queued,
        ..task
    };
    queued.postpone(None, wait, "x", moment).unwrap_err();
}

/// Tasks 0 to 3: held by the agent; bound to it; for anybody; needs the first.
fn left_behind(held: TaskState) -> [Task; 4] {
    let (gone, can) = (agent(AgentState::Working), ["review"]);
    let mut tasks = [
        task(0, held, &[]),
        task(1, TaskState::Queued, &[]),
        task(2, TaskState::Queued, &[]),
        task(3, TaskState::Queued, &[0]),
    ];
    tasks[0].agent_id = Some(gone.id);
    tasks[0].attempts = u32::from(held == TaskState::Running);
    tasks[0].required_capabilities = can.into_iter().collect();
    tasks[1].agent_id = Some(gone.id);
    tasks[2].required_capabilities = can.into_iter().collect();
    tasks[3].required_capabilities = can.into_iter().collect();
    tasks
}

/// What becomes of them when the agent ends: state, reason, and who may do it.
fn after_the_end(tasks: &[Task], others: &[Agent]) -> Vec<(TaskState, Option<CancelReason>, bool)> {
    let gone = agent(AgentState::Working);
    let orphans = crate::Orphans {
        agent: &gone,
        others,
        tasks,
    };
    let ids = Ids::default();
    let decision = orphans.settle(Moment {
        now: now(),
        ids: &ids,
    });
    let mut after = tasks.to_vec();
    let mut closed = 0;
    for change in decision.unwrap().changes {
        if let Change::Update(Row::Task(changed)) = change {
            let place = after.iter_mut().find(|task| task.id == changed.id).unwrap();
            assert_eq!(
                place.version, changed.version,
                "{} is written once",
                changed.name
            );
            assert!(place.state == changed.state || place.state.allows(changed.state));
            *place = *changed;
        } else if let Change::CloseTasks { count, .. } = change {
            closed += count;
        } else {
            panic!("{change:?}");
        }
    }
    let ended = after.iter().filter(|task| task.state.is_final()).count();
    assert_eq!(usize::try_from(closed).unwrap(), ended);
    let shown = after.iter();
    shown
        .map(|task| (task.state, task.cancel_reason, task.agent_id.is_some()))
        .collect()
}

fn colleague() -> Agent {
    Agent {
        id: AgentId::from_uuid(Uuid::from_u128(77)),
        capabilities: ["review", "coding"].into_iter().collect(),
        ..agent(AgentState::Idle)
    }
}

#[test]
fn what_was_not_begun_goes_to_who_can_do_it_and_the_rest_ends_with_its_agent() {
    use CancelReason::{AgentEnded, DependencyFailed};
    use TaskState::{Assigned, Cancelled, Failed, Queued, Running};
    let bound = (Cancelled, Some(AgentEnded), true);
    let (pooled, doomed) = (
        (Queued, None, false),
        (Cancelled, Some(DependencyFailed), false),
    );
    // Not begun: back to the pool. What needs it still can run.
    let after = after_the_end(&left_behind(Assigned), &[colleague()]);
    assert_eq!(after, [pooled, bound, pooled, pooled]);
    // At work: it fails, and with it what needs it.
    let after = after_the_end(&left_behind(Running), &[colleague()]);
    assert_eq!(after, [(Failed, None, true), bound, pooled, doomed]);
    // By its state, whatever its count says.
    let mut working = left_behind(Running);
    working[0].attempts = 0;
    let after = after_the_end(&working, &[colleague()]);
    assert_eq!(after, [(Failed, None, true), bound, pooled, doomed]);
    // Begun once and given back: the work on it lies in the agent's workspace.
    let mut begun = left_behind(Queued);
    begun[0].attempts = 1;
    let after = after_the_end(&begun, &[colleague()]);
    assert_eq!(after, [bound, bound, pooled, doomed]);
    // Nobody is left who can do anything; one that has ended counts for nobody.
    let ended = Agent {
        state: AgentState::Terminated,
        ..colleague()
    };
    let nobody = (Cancelled, Some(AgentEnded), false);
    let after = after_the_end(&left_behind(Running), &[ended]);
    assert_eq!(after, [(Failed, None, true), bound, nobody, doomed]);
}
