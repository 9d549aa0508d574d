//! Who sends to the run from another process, as the engine does: commits, then tells the bus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::SubsecRound;
use fusion_core::{
    Agent, Audience, Draft, IdSource, MessageId, MessageLimits, Moment, RunId, TaskState,
    Timestamp, inbox_subject,
};
use fusion_messaging::Bus;
use fusion_messaging_redis::{RedisBus, Settings};
use fusion_persistence::{AgentReader, Batch, Page, Repository, RunFilter, Store, TaskReader};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use fusion_testkit::Postgres;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{EVERY, PAIRS};
use crate::support::breathe;

/// The name of the agent in whose name it sends.
pub(super) const OUTSIDE: &str = "outside";

/// Other ids for each run: they begin as its own does.
#[derive(Debug)]
struct Ids {
    run: RunId,
    next: AtomicU64,
}

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        let (run, _) = self.run.uuid().as_u64_pair();
        Uuid::from_u64_pair(run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock that the other process reads"
)]
fn now() -> Timestamp {
    chrono::Utc::now().trunc_subsecs(6)
}

#[derive(Debug)]
pub(super) struct Sender {
    store: SqlStore,
    bus: RedisBus,
    run: RunId,
    agents: BTreeMap<String, Agent>,
    ids: Ids,
    stop: CancellationToken,
}

impl Sender {
    /// Joins the newest run, once all of its steps are under way.
    pub(super) async fn join(postgres: &Postgres, redis_url: &str) -> Self {
        let location = Location::from_url(&postgres.url(), Durability::Full).unwrap();
        let store = SqlStore::open(&location, &TaskTracker::new())
            .await
            .unwrap();
        let (address, origin) = (redis_url.parse().unwrap(), Uuid::from_u128(1));
        let bus = RedisBus::open(address, Settings::default(), origin, &TaskTracker::new());
        assert_eq!(bus.fault().await, None);
        let began = Instant::now();
        let run = loop {
            let runs = store
                .list(&RunFilter::default(), Page::first(1))
                .await
                .unwrap();
            if let Some(run) = runs.first()
                && is_at_work(&store, run.id).await
            {
                break run.id;
            }
            breathe(began, "all steps to run").await;
        };
        let agents = store.agents_of_run(run).await.unwrap().into_iter();
        Self {
            agents: agents
                .map(|(agent, _)| (agent.name.clone(), agent))
                .collect(),
            store,
            bus,
            run,
            ids: Ids {
                run,
                next: AtomicU64::new(1),
            },
            stop: CancellationToken::new(),
        }
    }

    /// Ends [`send_on`](Self::send_on).
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) const fn run(&self) -> RunId {
        self.run
    }

    pub(super) fn store(&self) -> SqlStore {
        self.store.clone()
    }

    /// Sends to one pair after the other until it is stopped. Gives what it sent, and the longest time
    /// that a call to the bus took.
    pub(super) async fn send_on(self) -> (BTreeSet<MessageId>, Duration) {
        let (mut sent, mut longest) = (BTreeSet::new(), Duration::ZERO);
        let mut ticks = interval(EVERY / u32::try_from(PAIRS).unwrap());
        for pair in (0..PAIRS).cycle() {
            ticks.tick().await;
            if self.stop.is_cancelled() {
                break;
            }
            let (message, call) = self.send(&format!("first{pair}")).await;
            sent.insert(message);
            longest = longest.max(call);
        }
        (sent, longest)
    }

    async fn send(&self, name: &str) -> (MessageId, Duration) {
        let to = self.agents[name].id;
        let draft = Draft {
            sender: Some(&self.agents[OUTSIDE]),
            run_id: Some(self.run),
            audience: Audience::Agents(vec![to]),
            topic: inbox_subject(to),
            message_type: "message".to_owned(),
            payload: "hello".into(),
            reply_to: None,
            expiry_at: None,
        };
        let moment = Moment {
            now: now(),
            ids: &self.ids,
        };
        let (message, sending) = draft.send(MessageLimits::default(), moment).unwrap();
        let subjects = sending.subjects();
        self.store.commit(Batch::free(sending)).await.unwrap();
        let called = Instant::now();
        for subject in subjects {
            self.bus.publish(&subject.parse().unwrap(), Arc::from([]));
        }
        (message.id, called.elapsed())
    }
}

async fn is_at_work(store: &SqlStore, run: RunId) -> bool {
    let tasks = store.tasks_of_run(run).await.unwrap();
    let mut states = tasks.iter().map(|task| task.state);
    tasks.len() == 2 * PAIRS && states.all(|state| state == TaskState::Running)
}
