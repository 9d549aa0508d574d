//! Rules of the state machines: the store itself refuses a move that there is none of.

use fusion_core::{
    Agent, AgentState, Approval, ApprovalState, Run, StateMachine, Task, TaskState, Workflow,
    WorkflowState,
};
use futures::future::join;

use super::world::{Numbered, World};
use crate::{Error, Find, Repository, Store, WriteRepository};

/// Tries every pair of states, each on a row of its own at the right version.
async fn has_its_moves_only<S, T, M>(
    store: &S,
    make: impl Fn(M) -> T + Send + Sync,
    put: impl Fn(&mut T, M) + Send + Sync,
) where
    S: Store + Find<T> + ?Sized,
    T: Numbered,
    M: StateMachine + Send + Sync,
{
    for from in M::STATES {
        for to in M::STATES {
            let row = make(*from);
            store.create(row.clone()).await.unwrap();
            let mut moved = row.clone();
            put(&mut moved, *to);
            let answer = store.update(moved.clone()).await;
            let stored = store.get(row.id()).await.unwrap();
            if from == to || from.allows(*to) {
                answer.unwrap();
                let version = row.version() + 1;
                assert_eq!(stored, moved.under(row.id(), version), "{from:?} to {to:?}");
                continue;
            }
            let refused = answer.unwrap_err();
            let Error::Refused {
                entity,
                id,
                to: told,
            } = &refused
            else {
                panic!("{from:?} to {to:?}: {refused:?}");
            };
            let wanted = (T::NAME, &row.id().to_string(), to.name());
            assert_eq!((*entity, id, *told), wanted);
            assert_eq!(stored, row, "{from:?} to {to:?}");
        }
    }
}

/// Two legal moves from one state at once: the first wins, the other was decided on an old row.
async fn one_of_two_moves_wins<S, T, M>(
    store: &S,
    row: T,
    moves: [M; 2],
    put: impl Fn(&mut T, M) + Send + Sync,
) where
    S: Store + Find<T> + ?Sized,
    T: Numbered,
    M: StateMachine + Send + Sync,
{
    store.create(row.clone()).await.unwrap();
    let [mut one, mut two] = [row.clone(), row.clone()];
    put(&mut one, moves[0]);
    put(&mut two, moves[1]);
    let answers = join(store.update(one.clone()), store.update(two.clone())).await;
    let (won, lost) = match answers {
        (Ok(()), Err(lost)) => (one, lost),
        (Err(lost), Ok(())) => (two, lost),
        other => panic!("{other:?}"),
    };
    assert!(matches!(lost, Error::Conflict { .. }), "{lost:?}");
    let stored = store.get(row.id()).await.unwrap();
    assert_eq!(stored, won.under(row.id(), row.version() + 1));
}

/// An agent moves as the specification says, even when its version is right.
pub async fn an_agent_has_the_moves_of_its_machine_only(store: &dyn Store) {
    let world = World::store(store).await;
    let put = |agent: &mut Agent, state| agent.state = state;
    let make = |state| Agent {
        state,
        ..world.bare_agent()
    };
    has_its_moves_only(store, make, put).await;
    let moves = [AgentState::Working, AgentState::Paused];
    one_of_two_moves_wins(store, make(AgentState::Idle), moves, put).await;
}

/// A task moves as the specification says, even when its version is right.
pub async fn a_task_has_the_moves_of_its_machine_only(store: &dyn Store) {
    let world = World::store(store).await;
    let put = |task: &mut Task, state| task.state = state;
    let make = |state| Task {
        state,
        ..world.bare_task()
    };
    has_its_moves_only(store, make, put).await;
    let moves = [TaskState::Completed, TaskState::Failed];
    one_of_two_moves_wins(store, make(TaskState::Running), moves, put).await;
}

/// A workflow moves as the specification says, even when its version is right.
pub async fn a_workflow_has_the_moves_of_its_machine_only(store: &dyn Store) {
    let world = World::store(store).await;
    let put = |workflow: &mut Workflow, state| workflow.state = state;
    let make = |state| world.workflow(state);
    has_its_moves_only(store, make, put).await;
    let moves = [WorkflowState::Ready, WorkflowState::Draft];
    one_of_two_moves_wins(store, make(WorkflowState::Validating), moves, put).await;
}

/// A run moves as the specification says, even when its version is right.
pub async fn a_run_has_the_moves_of_its_machine_only(store: &dyn Store) {
    let world = World::store(store).await;
    let workflow = store.get(world.sample.run.workflow_id).await.unwrap();
    let put = |run: &mut Run, state| run.state = state;
    let make = |state| Run {
        state,
        ..world.run(&workflow)
    };
    has_its_moves_only(store, make, put).await;
    let moves = [WorkflowState::Completed, WorkflowState::Cancelled];
    one_of_two_moves_wins(store, make(WorkflowState::Running), moves, put).await;
}

/// An approval moves as the specification says, even when its version is right.
pub async fn an_approval_has_the_moves_of_its_machine_only(store: &dyn Store) {
    let world = World::store(store).await;
    let put = |approval: &mut Approval, state| approval.state = state;
    let make = |state| Approval {
        state,
        ..world.approval()
    };
    has_its_moves_only(store, make, put).await;
    let moves = [ApprovalState::Approved, ApprovalState::Rejected];
    one_of_two_moves_wins(store, make(ApprovalState::Pending), moves, put).await;
}
