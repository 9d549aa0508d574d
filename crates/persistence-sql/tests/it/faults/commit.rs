//! The connection breaks in the middle of a COMMIT, and the other ways of a network to fail.

use std::time::{Duration, Instant};

use fusion_core::{AgentId, AgentState, Change, Coded, Decision, Project, ProjectId};
use fusion_persistence::{
    AgentReader, Batch, Error, Patience, Patient, Repository, Store, TaskFilter,
};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use serde_json::json;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::load::LONGEST_WAIT;
use super::proxy::{After, Proxy, Way};
use super::world::{Ids, at, launch, messages, step};

struct Far {
    proxy: Proxy,
    store: SqlStore,
    ids: Ids,
}

impl Far {
    async fn open() -> Self {
        let url = crate::postgres::empty_database().await;
        let proxy = Proxy::before(&url).await;
        let store = crate::postgres::open(&proxy.url(&url)).await;
        let ids = Ids::default();
        store.commit(ids.telling("before")).await.unwrap();
        Self { proxy, store, ids }
    }

    async fn say(&self, message: &str) -> fusion_persistence::Result<()> {
        self.store
            .commit(self.ids.telling(message))
            .await
            .map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found_to_be_done() {
    let far = Far::open().await;
    for message in ["a", "b", "c"] {
        far.proxy.set(Way::CutAfterCommit(After::Open));
        far.say(message).await.unwrap();
        far.proxy.cut().await;
    }
    far.say("after").await.unwrap();
    assert_eq!(
        messages(&far.store).await,
        ["before", "a", "b", "c", "after"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrived_is_found_not_to_be_done() {
    let far = Far::open().await;
    for message in ["a", "b", "c"] {
        far.proxy.set(Way::CutBeforeCommit(After::Open));
        let error = far.say(message).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        far.say(message).await.unwrap();
    }
    assert_eq!(messages(&far.store).await, ["before", "a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_settled_the_same_way_when_the_look_for_it_is_lost_too() {
    let far = Far::open().await;
    far.proxy.set(Way::CutAfterCommit(After::CutLook));
    far.say("done").await.unwrap();
    far.proxy.cut().await;
    far.proxy.set(Way::CutBeforeCommit(After::CutLook));
    let error = far.say("not done").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    far.say("after").await.unwrap();
    assert_eq!(messages(&far.store).await, ["before", "done", "after"]);
}

fn project(number: u128, name: &str) -> Batch {
    Batch::free(Decision::default().with(Change::create(Project {
        id: ProjectId::from_uuid(Uuid::from_u128(number)),
        name: name.to_owned(),
        description: String::new(),
        message_queue_config: json!({}),
        default_provider_id: None,
        budget: fusion_core::Budget::default(),
        budget_per_day: fusion_core::Budget::default(),
        archived_at: None,
        created_at: at(1),
        updated_at: at(1),
        metadata: json!({}),
        version: 1,
    })))
}

/// What becomes of batches that share a transaction.
async fn together<const N: usize>(
    far: &Far,
    then: Way,
    batches: [Batch; N],
) -> Vec<fusion_persistence::Result<()>> {
    let rest = batches.map(|batch| async { far.store.commit(batch).await.map(|_| ()) });
    while_held(far, then, futures::future::join_all(rest)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_refused_for_what_a_neighbour_wrote_is_not_told_so_before_that_is_durable()
{
    let far = Far::open().await;
    let cut = Way::CutBeforeCommit(After::Open);
    let batches = [project(1, "same"), project(2, "same")];
    let answers = together(&far, cut, batches).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    far.store.commit(project(2, "same")).await.unwrap();
    let id = ProjectId::from_uuid(Uuid::from_u128(2));
    assert_eq!(far.store.get(id).await.unwrap().name, "same");
}

/// Holds the way while the first job, which writes nothing, waits for the server; what is done meanwhile
/// shares one transaction.
async fn while_held<T>(far: &Far, then: Way, rest: impl Future<Output = T>) -> T {
    far.proxy.set(Way::Held);
    let nobody = far.ids.claim_of_nobody();
    let first = async { assert_eq!(far.store.claim_task(nobody).await.unwrap(), None) };
    let rest = async {
        far.proxy.held().await;
        // Once all of them have been polled they are in the queue.
        let release = async { far.proxy.set(then) };
        futures::future::join(rest, release).await.0
    };
    futures::future::join(first, rest).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_paused_in_the_same_transaction_is_given_no_task() {
    let far = Far::open().await;
    let steps = ["one", "two"].map(|id| step(id, &[])).into();
    let run = launch(&far.store, 2, steps).await;
    let agents = far.store.agents_of_run(run).await.unwrap();
    let [(paused, _), (idle, _)] = &agents[..] else {
        panic!("{agents:?}");
    };
    let mut pause = paused.clone();
    pause.state = AgentState::Paused;
    let pause = Batch::free(Decision::default().with(Change::update(pause)));
    let claim = |agent: AgentId| {
        let mut claim = far.ids.claim_of_nobody();
        (claim.agent, claim.run) = (agent, run);
        claim.capability_sets = vec!["x".to_owned()];
        far.store.claim_task(claim)
    };
    let all = async {
        let claims = [paused.id, idle.id].map(claim);
        futures::future::join(far.store.commit(pause), futures::future::join_all(claims)).await
    };
    let (pause, claimed) = while_held(&far, Way::Open, all).await;
    pause.unwrap();
    let given: Vec<Option<AgentId>> = claimed
        .into_iter()
        .map(|claimed| claimed.unwrap().map(|claimed| claimed.agent.id))
        .collect();
    assert_eq!(given, [None, Some(idle.id)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_fails_among_others_fails_alone() {
    let far = Far::open().await;
    for round in 0..3 {
        let name = format!("name {round}");
        let [a, b] = [1, 2].map(|number| project(10 * (round + 1) + number, &name));
        let [before, after] = ["before", "after"].map(|message| far.ids.telling(message));
        let answers = together(&far, Way::Open, [before, a, b, after]).await;
        let [
            Ok(()),
            Ok(()),
            Err(Error::Exists { name: taken, .. }),
            Ok(()),
        ] = &answers[..]
        else {
            panic!("{answers:?}");
        };
        assert_eq!(*taken, name);
    }
    let told = messages(&far.store).await;
    assert_eq!(told[1..], ["before", "after"].repeat(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_commit_is_done_once_wherever_the_connection_breaks() {
    let far = Far::open().await;
    let patient = Patient::new(far.store.clone(), Patience::default());
    for cut in [Way::CutBeforeCommit, Way::CutAfterCommit] {
        far.proxy.set(cut(After::Open));
        patient.commit(far.ids.telling("once each")).await.unwrap();
        far.proxy.cut().await;
    }
    assert_eq!(
        messages(&far.store).await,
        ["before", "once each", "once each"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_knows_what_became_of_a_commit_other_callers_are_told_to_try_later() {
    let far = Far::open().await;
    for (cut, is_done) in [
        (Way::CutAfterCommit(After::Closed), true),
        (Way::CutBeforeCommit(After::Closed), false),
    ] {
        far.proxy.set(cut);
        let (first, ()) = futures::future::join(far.say("first"), async {
            far.proxy.cut().await;
            let begun = Instant::now();
            let error = far.say("second").await.unwrap_err();
            assert!(
                begun.elapsed() < LONGEST_WAIT,
                "told after {:?}",
                begun.elapsed()
            );
            assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
            far.proxy.set(Way::Open);
        })
        .await;
        assert_eq!(first.is_ok(), is_done, "{first:?}");
        far.say("third").await.unwrap();
    }
    let stored = messages(&far.store).await;
    assert_eq!(stored, ["before", "first", "third", "third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_mute_for_ever_is_given_up_for_a_new_one() {
    let far = Far::open().await;
    far.proxy.set(Way::Mute);
    let begun = Instant::now();
    while far.say("through a new one").await.is_err() {
        assert!(begun.elapsed() < 2 * LONGEST_WAIT, "{:?}", begun.elapsed());
    }
    while far.store.count(&TaskFilter::default()).await.is_err() {
        assert!(begun.elapsed() < 4 * LONGEST_WAIT, "{:?}", begun.elapsed());
    }
    let stored = messages(&far.store).await;
    assert_eq!(stored, ["before", "through a new one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_gives_up_on_a_server_that_is_mute() {
    let url = crate::postgres::empty_database().await;
    let proxy = Proxy::before(&url).await;
    proxy.set(Way::Held);
    let location = Location::from_url(&proxy.url(&url), Durability::Full).unwrap();
    let begun = Instant::now();
    let opened = SqlStore::open(&location, &TaskTracker::new()).await;
    assert!(matches!(opened, Err(Error::Unavailable { .. })));
    assert!(begun.elapsed() < LONGEST_WAIT, "{:?}", begun.elapsed());
}

/// As by a network that has only just come up, or something before a server that is not there yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_tries_again_while_connections_are_broken_off() {
    let url = crate::postgres::empty_database().await;
    let proxy = Proxy::before(&url).await;
    proxy.set(Way::Closed);
    let location = Location::from_url(&proxy.url(&url), Durability::Full).unwrap();
    let tracker = TaskTracker::new();
    let mending = async {
        proxy.turned_away(3).await;
        proxy.set(Way::Open);
    };
    let opening = async { SqlStore::open(&location, &tracker).await.unwrap() };
    let (store, ()) = tokio::join!(opening, mending);
    assert_eq!(messages(&store).await, [""; 0]);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_gives_up_on_a_server_that_breaks_every_connection_off() {
    let url = crate::postgres::empty_database().await;
    let proxy = Proxy::before(&url).await;
    proxy.set(Way::Closed);
    let location = Location::from_url(&proxy.url(&url), Durability::Full).unwrap();
    let begun = Instant::now();
    let opened = SqlStore::open(&location, &TaskTracker::new()).await;
    assert!(matches!(opened, Err(Error::Unavailable { .. })));
    assert!(begun.elapsed() < LONGEST_WAIT, "{:?}", begun.elapsed());
}
