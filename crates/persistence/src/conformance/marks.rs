//! Rules of marks, by which it is known that nothing has changed.

use fusion_core::{Agent, AgentState, Change, Decision};

use super::sample::at;
use super::world::World;
use crate::{Batch, CapabilityFilter, Page, Repository, Store, WriteRepository};

/// Nobody committed anything between two equal marks: they end with any commit, and with nothing else.
pub async fn a_mark_ends_with_the_next_commit(store: &dyn Store) {
    let world = World::store(store).await;
    let Some(before) = store.mark() else {
        return;
    };
    let everything = CapabilityFilter::default();
    store.list(&everything, Page::first(1)).await.unwrap();
    store.count(&everything).await.unwrap();
    assert_eq!(store.mark(), Some(before));
    let mut marks = vec![before];
    let mut agent: Agent = store.get(world.sample.agents["a"].id).await.unwrap();
    agent.transition(AgentState::Paused, at(501)).unwrap();
    store.update(agent.clone()).await.unwrap();
    marks.extend(store.mark());
    let noted = Change::Progress {
        agents: vec![agent.id],
        at: at(502),
    };
    let noted = Batch::free(Decision::default().with(noted));
    store.commit(noted).await.unwrap();
    marks.extend(store.mark());
    // What is refused has changed nothing, or is at least no older state.
    agent.version = 0;
    store.update(agent).await.unwrap_err();
    store.create(world.bare_agent()).await.unwrap();
    marks.extend(store.mark());
    for (place, mark) in marks.iter().enumerate() {
        assert!(!marks[..place].contains(mark), "{marks:?}");
    }
    assert_eq!(marks.len(), 4);
}
