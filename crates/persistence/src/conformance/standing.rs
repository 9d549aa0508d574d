//! Rules of agents that live outside of runs.

use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, Letter, Run, RunId, RunPlan, Workspace,
    WorkspaceId,
};
use serde_json::Map;

use super::inboxes::lasting;
use super::messages::sent;
use super::sample::{Ids, Sample, agent_named, at, step, workflow};
use super::world::World;
use crate::{AgentFilter, Batch, Claim, Page, Repository, Store, WorkspaceFilter};

/// Stores an idle agent that no run spawned.
async fn standing(store: &dyn Store, sample: &Sample) -> (Agent, Workspace) {
    let model = sample.agents["a"].clone();
    let filter = WorkspaceFilter {
        agent: Some(model.id),
    };
    let workspace: Workspace = store.list(&filter, Page::first(1)).await.unwrap().remove(0);
    let id = AgentId::from_uuid(sample.moment().ids.uuid());
    let agent = Agent {
        id,
        name: "s".to_owned(),
        state: AgentState::Idle,
        workspace_path: "/workspaces/s".to_owned(),
        run_id: None,
        version: 1,
        ..model
    };
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(sample.moment().ids.uuid()),
        agent_id: id,
        root_path: "/workspaces/s".to_owned(),
        process_uid: None,
        version: 1,
        ..workspace
    };
    let both = Decision::default()
        .with(Change::create(agent.clone()))
        .with(Change::create(workspace.clone()));
    store.commit(Batch::free(both)).await.unwrap();
    (agent, workspace)
}

/// Stores a run of one step on a standing agent.
async fn run_on(store: &dyn Store, ids: &Ids, both: (Agent, Workspace)) -> Run {
    let moment = fusion_core::Moment { now: at(300), ids };
    let steps = vec![step("only", agent_named("s"), &[], 0)];
    let workflow = workflow(ids, "standing", 1, steps);
    let plan = RunPlan {
        run_id: RunId::from_uuid(moment.ids.uuid()),
        workflow: &workflow,
        inputs: Map::new(),
        agents: [("s".to_owned(), both)].into(),
        parent: None,
        called: [].into(),
        limit: fusion_core::Budget::default(),
    };
    let (run, created) = plan.create(moment);
    let mut decision = workflow.create(moment);
    decision.merge(created);
    store.commit(Batch::free(decision)).await.unwrap();
    run
}

/// A standing agent works for runs that it was not spawned by, and a claim for one run gives it no task
/// of another.
pub async fn a_standing_agent_works_for_the_run_that_gave_it_a_task(store: &dyn Store) {
    let world = World::store(store).await;
    let sample = &world.sample;
    let both = standing(store, sample).await;
    let run = run_on(store, &sample.ids, both.clone()).await;
    let (agent, workspace) = both;
    assert_eq!(
        store.agents_of_run(run.id).await.unwrap(),
        [(agent.clone(), workspace)]
    );
    let of_sample = store.agents_of_run(sample.run.id).await.unwrap();
    assert!(of_sample.iter().all(|(other, _)| other.id != agent.id));
    let claim = |of: RunId| Claim {
        agent: agent.id,
        run: of,
        capability_sets: Vec::new(),
        ..sample.claim("a", &[], sample.node())
    };
    assert_eq!(store.claim_task(claim(sample.run.id)).await.unwrap(), None);
    let claimed = store.claim_task(claim(run.id)).await.unwrap().unwrap();
    assert_eq!((claimed.task.run_id, claimed.agent.id), (run.id, agent.id));
}

/// Standing agents are selected as such and by their name, and found when they are idle and have mail.
pub async fn standing_agents_with_mail_are_found_while_they_are_idle(store: &dyn Store) {
    let world = World::store(store).await;
    let (agent, _) = standing(store, &world.sample).await;
    let filter = AgentFilter {
        standing: true,
        name: Some("s".to_owned()),
        ..AgentFilter::default()
    };
    let found = store.list(&filter, Page::first(9)).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&agent));
    let filter = AgentFilter {
        standing: true,
        name: Some("a".to_owned()),
        ..AgentFilter::default()
    };
    let found: Vec<Agent> = store.list(&filter, Page::first(9)).await.unwrap();
    assert_eq!(found, []);
    // Mail of an agent of a run begins nothing.
    sent(store, lasting(&world, &["a"])).await;
    assert_eq!(store.agents_with_mail(9).await.unwrap(), []);
    for _ in 0..2 {
        let letter = Letter {
            recipients: vec![agent.id],
            ..lasting(&world, &["a"])
        };
        sent(store, letter).await;
    }
    assert_eq!(store.agents_with_mail(9).await.unwrap(), [agent.id]);
    let mut paused = agent.clone();
    paused.transition(AgentState::Paused, at(400)).unwrap();
    let pause = Decision::default().with(Change::update(paused));
    store.commit(Batch::free(pause)).await.unwrap();
    assert_eq!(store.agents_with_mail(9).await.unwrap(), []);
}

/// Progress is noted without a new version: who has read the row can still write it.
pub async fn progress_leaves_the_version_of_an_agent_as_it_is(store: &dyn Store) {
    let world = World::store(store).await;
    let before = world.sample.agents["a"].clone();
    let noted = Change::Progress {
        agents: vec![before.id],
        at: at(500),
    };
    let noted = Batch::free(Decision::default().with(noted));
    store.commit(noted).await.unwrap();
    let after: Agent = store.get(before.id).await.unwrap();
    let wanted = Agent {
        last_heartbeat: Some(at(500)),
        ..before.clone()
    };
    assert_eq!(after, wanted);
    let mut paused = before;
    paused.transition(AgentState::Paused, at(501)).unwrap();
    let pause = Decision::default().with(Change::update(paused));
    store.commit(Batch::free(pause)).await.unwrap();
}
