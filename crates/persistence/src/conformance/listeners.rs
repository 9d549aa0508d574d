//! Rules of batches that are written where nobody listens.

use std::collections::BTreeMap;

use fusion_core::{Agent, AgentState, Change, RunId};
use futures::future::{join, join_all};
use uuid::Uuid;

use super::sample::{Sample, agent_named, step};
use crate::{
    Batch, Committed, Error, EventFilter, Listeners, Repository, Result, Store, WriteRepository,
};

/// Two agents that listen to nothing.
async fn sample(store: &dyn Store) -> Sample {
    let steps = [("one", "a"), ("two", "b")];
    let steps = steps.map(|(id, agent)| step(id, agent_named(agent), &[], 0));
    let sample = Sample::store(store, steps.into()).await;
    for name in ["a", "b"] {
        lets_hear(store, &sample, name, &[]).await;
    }
    sample
}

/// An agent listens to these patterns from now on; gives the place at which that is told.
async fn lets_hear(store: &dyn Store, sample: &Sample, name: &str, patterns: &[&str]) -> u64 {
    let mut agent: Agent = store.get(sample.agents[name].id).await.unwrap();
    agent.message_subscriptions = patterns.iter().copied().map(str::to_owned).collect();
    let decision = sample.telling("listens").with(Change::update(agent));
    store.commit(Batch::free(decision)).await.unwrap().last_seq
}

async fn listen(store: &dyn Store, sample: &Sample, patterns: &[&str]) -> u64 {
    lets_hear(store, sample, "a", patterns).await
}

async fn unheard(store: &dyn Store, sample: &Sample, run: RunId) -> Result<Committed> {
    let batch = Batch::free(sample.telling("unheard"));
    store.commit(batch.unheard_in(run)).await
}

/// Written where just the first agent listens, and to just these patterns.
async fn heard(store: &dyn Store, sample: &Sample, patterns: &[&str]) -> Result<Committed> {
    let patterns = patterns.iter().copied().map(str::to_owned).collect();
    let listeners = Listeners {
        run: sample.run.id,
        patterns: BTreeMap::from([(sample.agents["a"].id, patterns)]),
    };
    let batch = Batch::free(sample.telling("heard"));
    store.commit(batch.heard_by(listeners)).await
}

fn assert_heard(refused: Result<Committed>, sample: &Sample) {
    match refused.unwrap_err() {
        Error::Heard { run } => assert_eq!(run, sample.run.id),
        other => panic!("{other:?}"),
    }
}

/// Nothing of it is written when an agent of the run listens, and all of it when none does: one that
/// has ended does not, and those of another run do not count. Neighbours are not disturbed.
pub async fn a_batch_that_expects_nobody_to_listen_is_refused_when_one_does(store: &dyn Store) {
    let sample = sample(store).await;
    let (run, quiet) = (sample.run.id, RunId::from_uuid(Uuid::nil()));
    unheard(store, &sample, run).await.unwrap();
    listen(store, &sample, &["task.*"]).await;
    let runs = [quiet, run].into_iter().cycle().take(20);
    let commits = runs.map(|run| unheard(store, &sample, run));
    for (number, done) in join_all(commits).await.into_iter().enumerate() {
        if number % 2 == 0 {
            done.unwrap();
        } else {
            assert_heard(done, &sample);
        }
    }
    let of_run = EventFilter::of_run(run);
    let events = store.events_after(&of_run, 0, 100).await.unwrap();
    let told = events
        .iter()
        .filter(|event| event.event.message == "unheard");
    assert_eq!(told.count(), 11);
    let mut ended: Agent = store.get(sample.agents["a"].id).await.unwrap();
    ended.state = AgentState::Terminated;
    store.update(ended).await.unwrap();
    unheard(store, &sample, run).await.unwrap();
}

/// Nothing of it is written when others listen than it names, or one listens to something else.
pub async fn a_batch_to_those_who_listen_is_refused_when_others_do(store: &dyn Store) {
    let sample = sample(store).await;
    listen(store, &sample, &["task.*"]).await;
    heard(store, &sample, &["task.*"]).await.unwrap();
    assert_heard(heard(store, &sample, &["task.failed.*"]).await, &sample);
    lets_hear(store, &sample, "b", &["workflow.*"]).await;
    assert_heard(heard(store, &sample, &["task.*"]).await, &sample);
    lets_hear(store, &sample, "b", &[]).await;
    heard(store, &sample, &["task.*"]).await.unwrap();
    listen(store, &sample, &[]).await;
    assert_heard(heard(store, &sample, &["task.*"]).await, &sample);
}

/// Whoever subscribes in another process at the same moment comes after the batch in the log, or the
/// batch is refused: one that expects nobody to listen, and one that names a listener.
pub async fn nobody_who_subscribes_before_a_batch_is_overlooked(
    one: &dyn Store,
    other: &dyn Store,
) {
    let sample = sample(one).await;
    for _ in 0..40 {
        let subscribing = listen(one, &sample, &["task.*"]);
        let (subscribed, done) = join(subscribing, unheard(other, &sample, sample.run.id)).await;
        assert_before_or_heard(done, subscribed, &sample);
        let subscribing = lets_hear(one, &sample, "b", &["task.*"]);
        let (subscribed, done) = join(subscribing, heard(other, &sample, &["task.*"])).await;
        assert_before_or_heard(done, subscribed, &sample);
        for name in ["a", "b"] {
            lets_hear(one, &sample, name, &[]).await;
        }
    }
}

fn assert_before_or_heard(done: Result<Committed>, subscribed: u64, sample: &Sample) {
    match done {
        Ok(committed) => assert!(committed.last_seq < subscribed),
        refused @ Err(_) => assert_heard(refused, sample),
    }
}
