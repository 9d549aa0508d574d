use proptest::prelude::*;
use serde_json::{Map, json};
use uuid::Uuid;

use super::{Halt, HaltKind};
use crate::clock::counted::Ids;
use crate::{
    Agent, AgentId, AgentState, CancelReason, CapabilitySet, Change, Decision, EventType, Moment,
    NewEvent, PauseAt, Raise, Row, Run, RunId, Task, TaskId, TaskState, Timestamp, Usage,
    WorkflowId, WorkflowState, run_subject,
};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn moment(ids: &Ids) -> Moment<'_> {
    Moment { now: now(), ids }
}

fn run(state: WorkflowState) -> Run {
    Run {
        id: RunId::from_uuid(Uuid::nil()),
        workflow_id: WorkflowId::from_uuid(Uuid::nil()),
        workflow_name: "w".into(),
        state,
        inputs: Map::new(),
        outputs: None,
        error_message: None,
        total_tasks: 2,
        open_tasks: 2,
        usage: Usage::default(),
        halt: None,
        continues: None,
        parent: None,
        called: [].into(),
        raised: Raise::default(),
        imported: None,
        is_standalone: false,
        created_at: now(),
        started_at: None,
        completed_at: None,
        version: 5,
    }
}

fn halted(kind: HaltKind) -> Halt {
    Halt {
        kind,
        since: now(),
        by: "ada".into(),
        is_from_above: false,
    }
}

fn task(number: u128, state: TaskState, agent: Option<AgentId>) -> Task {
    Task {
        id: TaskId::from_uuid(Uuid::from_u128(number)),
        name: format!("s{number}"),
        description: String::new(),
        agent_id: agent,
        priority: 0,
        required_capabilities: CapabilitySet::default(),
        state,
        queued_at: now(),
        started_at: None,
        completed_at: None,
        unmet_dependencies: 0,
        dependencies: vec![],
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
        pool: None,
        course: crate::Course::default(),
        usage: Usage::default(),
        version: 1,
    }
}

fn agent(number: u128, state: AgentState, run: Option<RunId>) -> Agent {
    Agent {
        id: AgentId::from_uuid(Uuid::from_u128(number)),
        name: format!("a{number}"),
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
        run_id: run,
        version: 1,
    }
}

#[test]
fn a_pause_keeps_who_said_it_first_and_now_outdoes_the_next_step() {
    let ids = Ids::default();
    let (held, decision) = run(WorkflowState::Running)
        .pause(PauseAt::NextStep, "ada", moment(&ids))
        .unwrap();
    assert_eq!(held.halt, Some(halted(HaltKind::NextStep)));
    assert_eq!((held.version, held.is_paused()), (6, true));
    assert_eq!(decision.events[0].event_type, EventType::WorkflowPaused);
    let (held, _) = held.pause(PauseAt::Now, "bob", moment(&ids)).unwrap();
    assert_eq!(held.halt, Some(halted(HaltKind::Now)));
    let (same, nothing) = held
        .clone()
        .pause(PauseAt::NextStep, "bob", moment(&ids))
        .unwrap();
    assert_eq!((same, nothing), (held, Decision::default()));
}

#[test]
fn what_has_ended_or_was_told_to_end_is_neither_held_nor_let_go_on() {
    let ids = Ids::default();
    let mut told = run(WorkflowState::Running);
    told.halt = Some(halted(HaltKind::Cancel));
    for run in [run(WorkflowState::Completed), told] {
        let pause = run.clone().pause(PauseAt::Now, "bob", moment(&ids));
        let release = run.release("bob", moment(&ids));
        assert!(pause.is_err() && release.is_err());
    }
    let ended = run(WorkflowState::Failed).order_cancel("bob", moment(&ids));
    assert_eq!(
        ended.unwrap_err().to_string(),
        "a failed workflow can't become cancelled"
    );
}

#[test]
fn a_held_run_is_let_go_on_and_another_is_only_told_of() {
    let ids = Ids::default();
    let mut held = run(WorkflowState::Running);
    held.halt = Some(halted(HaltKind::Now));
    let (free, decision) = held.release("bob", moment(&ids)).unwrap();
    assert_eq!((free.halt.clone(), decision.changes.len()), (None, 1));
    let (_, decision) = free.release("bob", moment(&ids)).unwrap();
    assert_eq!((decision.changes.len(), decision.events.len()), (0, 1));
}

#[test]
fn only_a_run_that_was_told_to_end_is_cancelled() {
    let ids = Ids::default();
    let refused = run(WorkflowState::Running).cancel(&[], vec![], moment(&ids));
    assert!(refused.is_err());
}

/// The last row of each id that a decision writes.
fn written(decision: &Decision) -> (Vec<Run>, Vec<Task>, Vec<Agent>) {
    let (mut runs, mut tasks, mut agents) = (vec![], vec![], vec![]);
    for change in &decision.changes {
        if let Change::Update(Row::Run(run)) = change {
            runs.push((**run).clone());
        } else if let Change::Update(Row::Task(task)) = change {
            tasks.push((**task).clone());
        } else if let Change::Update(Row::Agent(agent)) = change {
            agents.push((**agent).clone());
        }
    }
    (runs, tasks, agents)
}

proptest! {
    #[test]
    fn a_cancelled_run_leaves_no_open_task_and_no_agent_of_its_own(
        states in prop::collection::vec(prop::sample::select(TaskState::ALL), 0..12),
        agents in prop::collection::vec(prop::sample::select(AgentState::ALL), 0..5),
        is_ready: bool,
    ) {
        let ids = Ids::default();
        let state = if is_ready { WorkflowState::Ready } else { WorkflowState::Running };
        let (told, _) = run(state).order_cancel("ada", moment(&ids)).unwrap();
        let tasks: Vec<Task> = (0..)
            .zip(&states)
            .map(|(number, state)| task(number, *state, None))
            .collect();
        let own: Vec<Agent> = (0..)
            .zip(&agents)
            .map(|(number, state)| agent(number, *state, Some(told.id)))
            .collect();
        let open = tasks.iter().filter(|task| !task.state.is_final()).count();
        let decision = told.cancel(&tasks, own, moment(&ids)).unwrap();
        let (runs, ended, gone) = written(&decision);
        prop_assert_eq!(runs.last().unwrap().state, WorkflowState::Cancelled);
        prop_assert_eq!(ended.len(), open);
        for task in &ended {
            let how = (task.state, task.cancel_reason);
            prop_assert_eq!(how, (TaskState::Cancelled, Some(CancelReason::Requested)));
        }
        let closed: u32 = decision
            .changes
            .iter()
            .map(|change| {
                if let Change::CloseTasks { count, .. } = change {
                    *count
                } else {
                    0
                }
            })
            .sum();
        prop_assert_eq!(closed as usize, open);
        let living = agents.iter().filter(|state| **state != AgentState::Terminated).count();
        let terminated = gone.iter().filter(|agent| agent.state == AgentState::Terminated).count();
        prop_assert_eq!(terminated, living);
    }
}

#[test]
fn a_standing_agent_is_freed_only_from_work_for_this_run() {
    let ids = Ids::default();
    let (told, _) = run(WorkflowState::Running)
        .order_cancel("ada", moment(&ids))
        .unwrap();
    let here = agent(1, AgentState::Working, None);
    let elsewhere = agent(2, AgentState::Working, None);
    let tasks = [
        task(1, TaskState::Running, Some(here.id)),
        task(2, TaskState::Queued, Some(elsewhere.id)),
    ];
    let agents = vec![here.clone(), elsewhere];
    let decision = told.cancel(&tasks, agents, moment(&ids)).unwrap();
    let (_, _, freed) = written(&decision);
    let freed: Vec<(AgentId, AgentState)> =
        freed.iter().map(|agent| (agent.id, agent.state)).collect();
    assert_eq!(freed, [(here.id, AgentState::Idle)]);
}

#[test]
fn of_a_run_that_nobody_drives_nothing_is_said_when_it_is_made() {
    let ids = Ids::default();
    let said = |is_standalone: bool, made: bool| {
        let mut run = run(WorkflowState::Running);
        run.is_standalone = is_standalone;
        let told = NewEvent::of_run(moment(&ids), EventType::TaskQueued, run.id, String::new());
        let told = NewEvent {
            message_queue_topic: Some("task.queued.1".to_owned()),
            ..told
        };
        let subject = run_subject(run.id);
        let change = if made {
            Change::create(run)
        } else {
            Change::update(run)
        };
        let decision = Decision::default().with(change).telling(told);
        (
            decision.subjects().contains("task.queued.1"),
            decision.subjects().contains(&subject),
        )
    };
    assert_eq!(
        [
            said(true, true),
            said(true, false),
            said(false, true),
            said(false, false)
        ],
        [(true, false), (true, true), (true, true), (true, true)]
    );
}
