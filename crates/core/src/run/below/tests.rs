use std::time::Duration;

use serde_json::{Map, json};
use uuid::Uuid;

use super::{Parent, Raise};
use crate::clock::counted::Ids;
use crate::{
    Budget, CapabilitySet, Change, Course, HaltKind, Moment, PauseAt, Row, Run, RunId, Task,
    TaskId, TaskState, Timestamp, Usage, WorkflowId, WorkflowState,
};

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_000, 0).unwrap()
}

fn moment(ids: &Ids) -> Moment<'_> {
    Moment { now: now(), ids }
}

fn outer() -> RunId {
    RunId::from_uuid(Uuid::from_u128(1))
}

fn step() -> TaskId {
    TaskId::from_uuid(Uuid::from_u128(2))
}

fn child(state: WorkflowState) -> Run {
    Run {
        id: RunId::from_uuid(Uuid::from_u128(3)),
        workflow_id: WorkflowId::from_uuid(Uuid::nil()),
        workflow_name: "inner".into(),
        state,
        is_standalone: false,
        inputs: Map::new(),
        outputs: None,
        error_message: None,
        total_tasks: 0,
        open_tasks: 0,
        usage: Usage::default(),
        halt: None,
        continues: None,
        parent: Some(Parent {
            run_id: outer(),
            task_id: step(),
            step: "review".into(),
        }),
        called: [].into(),
        raised: Raise::default(),
        imported: None,
        created_at: now(),
        started_at: None,
        completed_at: None,
        version: 5,
    }
}

fn waiting(state: TaskState) -> Task {
    Task {
        id: step(),
        name: "review".into(),
        description: "inner".into(),
        agent_id: None,
        waiting: None,
        pool: None,
        priority: 0,
        required_capabilities: CapabilitySet::default(),
        state,
        queued_at: now(),
        started_at: None,
        completed_at: None,
        dependencies: vec![],
        unmet_dependencies: 0,
        input_artifacts: json!({}),
        output_artifacts: None,
        error_message: None,
        cancel_reason: None,
        communication_channels: vec![],
        workflow_id: None,
        run_id: outer(),
        fence: 1,
        attempts: 0,
        course: Course::default(),
        usage: Usage::default(),
        version: 7,
    }
}

#[test]
fn a_task_waits_for_a_run_with_the_run_noted_and_no_longer_than_it_may() {
    let ids = Ids::default();
    let run = child(WorkflowState::Ready);
    let wait = Some(Duration::from_secs(9));
    let decision = waiting(TaskState::Assigned)
        .await_run(&run, wait, moment(&ids))
        .unwrap();
    let next = Task {
        started_at: Some(now()),
        course: Course {
            child: Some(run.id),
            ..Course::default()
        },
        version: 8,
        ..waiting(TaskState::Queued)
    };
    let postponed = Change::Postpone {
        task_id: step(),
        wait: Duration::from_secs(9),
        reason: format!("run {} of workflow 'inner'", run.id),
    };
    assert_eq!(decision.changes, [Change::update(next), postponed]);
    for state in [TaskState::Queued, TaskState::Completed] {
        assert!(waiting(state).await_run(&run, None, moment(&ids)).is_err());
    }
}

#[test]
fn whatever_ends_a_run_wakes_the_step_that_waits_for_it_first_and_tells_the_run_above() {
    let ids = Ids::default();
    let ended = |error: Option<String>| {
        let run = child(WorkflowState::Running);
        run.end(error, vec![], moment(&ids)).unwrap()
    };
    let (told, _) = child(WorkflowState::Ready)
        .order_cancel("ada", moment(&ids))
        .unwrap();
    let cancelled = told.cancel(&[], vec![], moment(&ids)).unwrap();
    let above = format!("workflow.{}.events", outer());
    for decision in [ended(None), ended(Some("x".into())), cancelled] {
        assert_eq!(decision.changes[0], Change::WakeTask(step()));
        assert!(decision.subjects().contains(&above));
    }
    let alone = Run {
        parent: None,
        ..child(WorkflowState::Running)
    };
    let decision = alone.end(None, vec![], moment(&ids)).unwrap();
    assert!(!decision.changes.contains(&Change::WakeTask(step())));
    assert!(!decision.subjects().contains(&above));
}

#[test]
fn the_end_of_a_step_is_heard_in_the_run_that_its_work_was() {
    let ids = Ids::default();
    let run = child(WorkflowState::Running);
    let task = Task {
        course: Course {
            child: Some(run.id),
            ..Course::default()
        },
        ..waiting(TaskState::Queued)
    };
    let (_, decision) = task.stop(&[], None, moment(&ids)).unwrap();
    let below = format!("workflow.{}.events", run.id);
    assert!(decision.subjects().contains(&below));
}

#[test]
fn a_run_that_is_held_from_above_says_so_and_one_that_a_person_held_stays_theirs() {
    let ids = Ids::default();
    let (held, _) = child(WorkflowState::Running)
        .pause_from_above(PauseAt::Now, "ada", moment(&ids))
        .unwrap();
    let halt = held.halt.unwrap();
    assert_eq!((halt.kind, halt.is_from_above), (HaltKind::Now, true));
    let (held, _) = child(WorkflowState::Running)
        .pause(PauseAt::Now, "bob", moment(&ids))
        .unwrap();
    let (held, nothing) = held
        .pause_from_above(PauseAt::Now, "ada", moment(&ids))
        .unwrap();
    assert_eq!(nothing, crate::Decision::default());
    let halt = held.halt.unwrap();
    assert_eq!((halt.by.as_str(), halt.is_from_above), ("bob", false));
}

#[test]
fn a_raise_names_some_limits_and_leaves_the_others() {
    let tokens = |tokens| Raise {
        run: Budget {
            usd: None,
            tokens: Some(tokens),
        },
        total: Budget::default(),
    };
    let run = Run {
        raised: tokens(5),
        ..child(WorkflowState::Running)
    };
    let raised = run.clone().raise_budgets(tokens(9)).unwrap();
    let [Change::Update(Row::Run(row))] = raised.changes.as_slice() else {
        panic!("{raised:?}");
    };
    assert_eq!(row.raised, tokens(9));
    assert_eq!(run.clone().raise_budgets(tokens(5)), None);
    assert_eq!(run.raise_budgets(Raise::default()), None);
}
