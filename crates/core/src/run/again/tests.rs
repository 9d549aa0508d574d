use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, json};
use uuid::Uuid;

use super::{Continuation, Difference, Unlike};
use crate::clock::counted::Ids;
use crate::{
    Agent, AgentId, AgentSpec, AgentState, Assignee, Budget, CapabilitySet, Change, Decision,
    EventType, IdSource, Moment, Row, Run, RunId, RunPlan, StepSpec, Task, TaskState, Timestamp,
    Usage, Workflow, WorkflowDefinition, WorkflowId, WorkflowState, Workspace, WorkspaceId,
};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn step(number: usize, needs: &[usize]) -> StepSpec {
    let assignee = Assignee::Agent("a".into());
    StepSpec {
        needs: needs.iter().map(|need| format!("s{need}")).collect(),
        ..StepSpec::new(format!("s{number}"), assignee, "p")
    }
}

fn workflow(needs: &[Vec<usize>]) -> Workflow {
    let steps = needs.iter().enumerate();
    Workflow {
        id: WorkflowId::from_uuid(Uuid::nil()),
        name: "w".into(),
        description: String::new(),
        definition: WorkflowDefinition {
            name: "w".into(),
            description: String::new(),
            inputs: BTreeMap::new(),
            agents: [("a".to_owned(), AgentSpec::new("p", "m"))].into(),
            steps: steps.map(|(number, needs)| step(number, needs)).collect(),
            outputs: BTreeMap::new(),
            budget: Budget::default(),
            artifacts: Vec::new(),
            total_budget: Budget::default(),
            message_flow: None,
        },
        source: String::new(),
        base_dir: "/".into(),
        state: WorkflowState::Ready,
        created_at: now(),
        project_id: None,
        definition_version: 1,
        version: 1,
    }
}

/// The rows of a new run of a workflow.
fn rows(workflow: &Workflow, ids: &Ids) -> (Run, Decision) {
    let id = AgentId::from_uuid(ids.uuid());
    let run_id = RunId::from_uuid(ids.uuid());
    let agent = Agent {
        id,
        name: "a".into(),
        state: AgentState::Spawning,
        created_at: now(),
        updated_at: now(),
        last_heartbeat: None,
        workspace_path: "/w".into(),
        provider: "p".into(),
        model_name: "m".into(),
        capabilities: CapabilitySet::default(),
        provider_id: None,
        metadata: json!({}),
        message_subscriptions: vec![],
        project_id: None,
        run_id: Some(run_id),
        version: 1,
    };
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(ids.uuid()),
        agent_id: id,
        root_path: "/w".into(),
        projects_path: "/w/projects".into(),
        logs_path: "/w/logs".into(),
        initialized: false,
        initialization_error: None,
        agent_config: json!({}),
        environment_variables: BTreeMap::new(),
        process_uid: None,
        created_at: now(),
        size_bytes: 0,
        file_count: 0,
        version: 1,
    };
    let plan = RunPlan {
        run_id,
        workflow,
        inputs: Map::new(),
        agents: [("a".to_owned(), (agent, workspace))].into(),
        parent: None,
        called: BTreeMap::new(),
        limit: Budget::default(),
    };
    plan.create(Moment { now: now(), ids })
}

fn tasks(decision: &Decision) -> Vec<Task> {
    let new = decision.changes.iter();
    new.filter_map(|change| {
        if let Change::Create(Row::Task(task)) = change {
            Some((**task).clone())
        } else {
            None
        }
    })
    .collect()
}

fn agents(decision: &Decision) -> Vec<Agent> {
    let new = decision.changes.iter();
    new.filter_map(|change| {
        if let Change::Create(Row::Agent(agent)) = change {
            Some((**agent).clone())
        } else {
            None
        }
    })
    .collect()
}

/// Needs of a random graph, and how each of its tasks ended.
fn ended() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<bool>, usize)> {
    (1_usize..12).prop_flat_map(|count| {
        let needs: Vec<_> = (0..count)
            .map(|number| {
                prop::collection::btree_set(0..number.max(1), 0..=number.min(3)).prop_map(
                    move |needs| {
                        needs
                            .into_iter()
                            .filter(|need| *need < number)
                            .collect::<Vec<_>>()
                    },
                )
            })
            .collect();
        (
            needs,
            prop::collection::vec(any::<bool>(), count),
            0..=count,
        )
    })
}

proptest! {
    /// What is taken over is finished, all that it needs is too, and nothing else has ended; the counts
    /// are those of the rows.
    #[test]
    fn a_new_attempt_takes_over_what_is_finished_with_all_that_it_needs(
        (needs, well, from) in ended()
    ) {
        let ids = Ids::default();
        let workflow = workflow(&needs);
        let (old, decision) = rows(&workflow, &ids);
        let mut before = tasks(&decision);
        for (task, well) in before.iter_mut().zip(&well) {
            task.state = if *well { TaskState::Completed } else { TaskState::Failed };
            task.agent_id = agents(&decision).first().map(|agent| agent.id);
            task.output_artifacts = Some(json!({ "outputs": { "text": task.name } }));
            task.usage = Usage { turns: 3, ..Usage::default() };
        }
        let known = agents(&decision);
        let name = format!("s{from}");
        let from = (from < needs.len()).then_some(name.as_str());
        let continuation = Continuation::new(&old, &before, &known, from);
        let (new, decision) = rows(&workflow, &ids);
        let moment = Moment { now: now(), ids: &ids };
        let decision = continuation.take_over(decision, moment);
        let after = tasks(&decision);
        let kept: BTreeSet<&str> = continuation.finished().collect();
        let own = agents(&decision).first().map(|agent| agent.id);
        let mut open = 0;
        for (task, (old, needs)) in after.iter().zip(before.iter().zip(&needs)) {
            let is_kept = kept.contains(task.name.as_str());
            if is_kept {
                prop_assert_eq!(old.state, TaskState::Completed);
                let are_kept = needs.iter().all(|need| kept.contains(format!("s{need}").as_str()));
                prop_assert!(are_kept);
                prop_assert!(from != Some(task.name.as_str()));
                prop_assert_eq!(&task.output_artifacts, &old.output_artifacts);
                prop_assert_eq!((task.state, task.usage, task.agent_id),
                    (TaskState::Completed, Usage::default(), own));
            } else {
                open += 1;
                prop_assert_eq!(task.state, TaskState::Queued);
                // Maximal: something about it or before it must be done again.
                let is_needed = from == Some(task.name.as_str())
                    || old.state != TaskState::Completed
                    || needs.iter().any(|need| !kept.contains(format!("s{need}").as_str()));
                prop_assert!(is_needed);
            }
            let unmet = needs.iter().filter(|need| !kept.contains(format!("s{need}").as_str()));
            prop_assert_eq!(task.unmet_dependencies as usize, unmet.count());
        }
        let stored = decision.changes.iter().find_map(|change| {
            if let Change::Create(Row::Run(run)) = change {
                Some((**run).clone())
            } else {
                None
            }
        });
        let stored = stored.unwrap();
        prop_assert_eq!((stored.id, stored.open_tasks, stored.continues), (new.id, open, Some(old.id)));
        let told = |kind| decision.events.iter().filter(|event| event.event_type == kind).count();
        prop_assert_eq!(told(EventType::TaskQueued), open as usize);
        prop_assert_eq!(told(EventType::TaskCompleted), kept.len());
    }
}

#[test]
fn a_newer_version_must_say_the_same_of_what_is_finished_and_only_of_that() {
    let ids = Ids::default();
    let old = workflow(&[vec![], vec![0], vec![1]]);
    let (run, decision) = rows(&old, &ids);
    let mut before = tasks(&decision);
    before[0].state = TaskState::Completed;
    before[1].state = TaskState::Failed;
    let known = agents(&decision);
    let continuation = Continuation::new(&run, &before, &known, None);
    let check = |change: &dyn Fn(&mut WorkflowDefinition)| {
        let mut new = old.definition.clone();
        change(&mut new);
        continuation.fits(&old.definition, &new)
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(check(&|new| new.steps[1].prompt = "other".into()), Ok(()));
    let unlike = |how| {
        Err(Unlike {
            step: "s0".into(),
            how,
        })
    };
    let changed = check(&|new| new.steps[0].prompt = "other".into());
    assert_eq!(changed, unlike(Difference::Changed));
    let gone = check(&|new| drop(new.steps.remove(0)));
    assert_eq!(gone, unlike(Difference::Gone));
    let other = check(&|new| {
        new.agents.insert("a".into(), AgentSpec::new("p", "other"));
    });
    assert_eq!(other, unlike(Difference::Agent { agent: "a".into() }));
    assert_eq!(
        other.unwrap_err().to_string(),
        "the finished step 's0' was done by the agent 'a', which is another one in the newer version"
    );
}
