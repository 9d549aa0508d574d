//! Everything that a store is asked to write in the life of a run, one call after the other.

use std::fmt::{Debug, Write};
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fusion_core::{
    Audience, CapabilitySet, Change, Decision, Draft, EffectClass, EntryKind, EntryState,
    EventType, JournalEntry, JournalEntryId, MessageLimits, MetricsId, NewEvent, NewOutboxEntry,
    NodeId, ResourceMetrics, RunId, Task, Timestamp, Usage, deliver,
};
use fusion_persistence::{
    AgentReader, Batch, Claim, Claimed, Error, Fence, Idempotency, Lease, Page, Prune, Repository,
    Result, Store, TaskFilter, TaskReader,
};
use fusion_persistence_sql::SqlStore;
use serde_json::json;

use super::world::{self, Ids, at};

/// What is done beside the calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// What the store holds before each call is noted.
    Note(&'a Mutex<Vec<String>>),
    /// A call that finds the disk full is made again; it must have left what is noted here.
    Again(&'a Mutex<Vec<String>>),
}

/// Plays the script; gives what it answered and what it left in the store.
pub(super) async fn play(store: &SqlStore, beside: Beside<'_>) -> String {
    let script = Script {
        store,
        ids: &Ids::default(),
        beside,
        calls: AtomicUsize::new(0),
    };
    let mut told = script.run().await;
    told.push_str(&world::dump(store).await.unwrap());
    told
}

struct Script<'a> {
    store: &'a SqlStore,
    ids: &'a Ids,
    beside: Beside<'a>,
    calls: AtomicUsize,
}

impl Script<'_> {
    async fn run(&self) -> String {
        let mut told = String::new();
        let plan = world::plan(self.ids, 2, steps());
        let run = plan.run;
        self.note(&mut told, self.commit(plan.create).await);
        self.note(&mut told, self.commit(plan.launch).await);
        let first = self.work(run, &mut told).await;
        self.talk(run, &mut told).await;
        self.give_back(run, &mut told).await;
        self.be_rescued(run, &mut told).await;
        self.be_refused(&first, &mut told).await;
        self.tidy_up(run, &mut told).await;
        told
    }

    fn note(&self, told: &mut String, answer: impl Debug) {
        writeln!(told, "{answer:?}").unwrap();
    }

    /// Makes a call.
    async fn call<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if let Beside::Note(states) = self.beside {
            let now = world::dump(self.store).await.unwrap();
            states.lock().unwrap().push(now);
        }
        loop {
            match (call().await, self.beside) {
                (Err(Error::DiskFull { .. }), Beside::Again(states)) => {
                    let now = world::dump(self.store).await.unwrap();
                    assert_eq!(now, states.lock().unwrap()[number]);
                }
                (answer, _) => return answer,
            }
        }
    }

    async fn commit(&self, batch: Batch) -> Result<u64> {
        let answer = self.call(|| self.store.commit(batch.clone())).await;
        answer.map(|committed| committed.last_seq)
    }

    async fn claim(&self, run: RunId, agent: usize, duration: Duration) -> Claimed {
        let agents = self.store.agents_of_run(run).await.unwrap();
        let moment = self.ids.moment(200);
        let claim = Claim {
            agent: agents[agent].0.id,
            run,
            capability_sets: vec![["x"].into_iter().collect::<CapabilitySet>().key()],
            lease: Lease {
                owner: node(),
                duration,
            },
            driver: None,
            event: NewEvent::of_run(moment, EventType::TaskAssigned, run, "given".to_owned()),
        };
        let claimed = self.call(|| self.store.claim_task(claim.clone())).await;
        claimed.unwrap().unwrap()
    }

    /// A task from its claim to its end, which readies its successors. Gives it as it was claimed.
    async fn work(&self, run: RunId, told: &mut String) -> Task {
        let Claimed { task, agent } = self.claim(run, 0, LONG).await;
        let fence = fence_of(&task);
        let begun = task
            .clone()
            .begin(agent, json!({ "a": 1 }), self.ids.moment(210));
        let (running, agent, opening) = begun.unwrap();
        let mut opening = Batch::fenced(fence, opening);
        opening.idempotency = Some(asked());
        opening.decision.outbox.push(NewOutboxEntry {
            topic: "task.started".to_owned(),
            payload: json!({ "task": task.id }),
            created_at: at(210),
        });
        self.note(told, self.commit(opening).await);
        let mut entry = self.entry(&task);
        let begin = Decision::default().with(Change::BeginEntry(entry.clone()));
        self.note(told, self.commit(Batch::fenced(fence, begin)).await);
        entry.state = EntryState::Finished;
        entry.outcome = Some(json!({ "ok": true }));
        entry.usage.turns = 1;
        let finish = Decision::default()
            .with(Change::UpdateEntry(entry.clone()))
            .with(Change::BookUsage {
                run_id: run,
                task_id: task.id,
                usage: entry.usage,
            });
        self.note(told, self.commit(Batch::fenced(fence, finish)).await);
        let complete = running.complete(agent, json!({ "b": 2 }), self.ids.moment(220));
        let complete = Batch::fenced(fence, complete.unwrap());
        self.note(told, self.commit(complete).await);
        task
    }

    async fn give_back(&self, run: RunId, told: &mut String) {
        let Claimed { task, agent } = self.claim(run, 0, LONG).await;
        let lease = Lease {
            owner: node(),
            duration: LONG,
        };
        self.note(told, self.call(|| self.store.extend_leases(lease)).await);
        let decision = task.take_back(Some(agent), "no more time", self.ids.moment(230));
        let release = Batch::release(fence_of(&task), decision.unwrap());
        self.note(told, self.commit(release).await);
    }

    async fn be_rescued(&self, run: RunId, told: &mut String) {
        let Claimed { task, agent } = self.claim(run, 1, Duration::ZERO).await;
        while self.store.expired_leases(10).await.unwrap().is_empty() {}
        let decision = task.take_back(Some(agent), "it is gone", self.ids.moment(240));
        let rescue = Batch::rescue(fence_of(&task), decision.unwrap());
        self.note(told, self.commit(rescue).await);
    }

    /// Batches that are refused for what they are, each after it has written something.
    async fn be_refused(&self, ended: &Task, told: &mut String) {
        let event = |message: &str| {
            let moment = self.ids.moment(250);
            let message = message.to_owned();
            NewEvent::of_run(moment, EventType::SystemError, ended.run_id, message)
        };
        let stale = Decision::default()
            .telling(event("stale"))
            .with(Change::BookUsage {
                run_id: ended.run_id,
                task_id: ended.id,
                usage: Usage::default(),
            })
            .with(Change::update(ended.clone()));
        self.note(told, self.commit(Batch::free(stale)).await);
        let mut repeated = Batch::free(Decision::default().telling(event("repeated")));
        repeated.idempotency = Some(asked());
        self.note(told, self.commit(repeated).await);
        let late = Decision::default().telling(event("late"));
        let late = Batch::fenced(fence_of(ended), late);
        self.note(told, self.commit(late).await);
    }

    async fn tidy_up(&self, run: RunId, told: &mut String) {
        let agents = self.store.agents_of_run(run).await.unwrap();
        let sample = |seconds| {
            Change::create(ResourceMetrics {
                id: MetricsId::from_uuid(fusion_core::IdSource::uuid(self.ids)),
                agent_id: agents[0].0.id,
                timestamp: at(seconds),
                cpu_percent: 1.5,
                memory_mb: 2.5,
                disk_io_read_mb: 0.0,
                disk_io_write_mb: 0.0,
                api_calls_count: 1,
                api_provider: None,
                api_tokens_used: 2,
                api_cost_usd: fusion_core::Cost::ZERO,
            })
        };
        let samples = Decision::default().with(sample(10)).with(sample(1_000));
        self.note(told, self.commit(Batch::free(samples)).await);
        let old = Prune {
            events_before: Some(at(150)),
            messages_before: Some(at(230)),
            metrics_before: Some(at(500)),
            keys_before: Some(at(150)),
            outbox_up_to: Some(1),
            outbox_before: Some(at(150)),
            deleted_runs: true,
            limit: 3,
        };
        self.note(told, self.call(|| self.store.prune(old)).await);
        let tasks = TaskFilter::default();
        let tasks = self.store.list(&tasks, Page::first(10)).await.unwrap();
        assert_eq!(tasks.len(), 5);
    }

    /// A message to both agents, which one of them reads.
    async fn talk(&self, run: RunId, told: &mut String) {
        let agents = self.store.agents_of_run(run).await.unwrap();
        let [first, second] = [&agents[0].0, &agents[1].0];
        let draft = Draft {
            sender: Some(first),
            run_id: Some(run),
            audience: Audience::Listeners(vec![first.id, second.id]),
            topic: "broadcast.all".to_owned(),
            message_type: "note".to_owned(),
            payload: json!("hello"),
            reply_to: None,
            expiry_at: None,
        };
        let limits = MessageLimits::default();
        let (message, sent) = draft.send(limits, self.ids.moment(225)).unwrap();
        self.note(told, self.commit(Batch::free(sent)).await);
        let read = deliver(second, &[message], self.ids.moment(226));
        self.note(told, self.commit(Batch::free(read)).await);
    }

    fn entry(&self, task: &Task) -> JournalEntry {
        JournalEntry {
            id: JournalEntryId::from_uuid(fusion_core::IdSource::uuid(self.ids)),
            task_id: task.id,
            run_id: task.run_id,
            seq: 1,
            kind: EntryKind::Turn,
            name: "model".to_owned(),
            effect: EffectClass::ModelTurn,
            state: EntryState::Started,
            request: json!({ "q": "?" }),
            outcome: None,
            usage: Usage::default(),
            attempts: 1,
            started_at: at(215),
            finished_at: None,
        }
    }
}

const LONG: Duration = Duration::from_secs(600);

/// One that readies two others, and two that wait for those.
fn steps() -> Vec<fusion_core::StepSpec> {
    let needs = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    vec![
        world::step("first", &[]),
        world::step("left", &needs(&["first"])),
        world::step("right", &needs(&["first"])),
        world::step("both", &needs(&["left", "right"])),
        world::step("last", &needs(&["both"])),
    ]
}

fn node() -> NodeId {
    NodeId::from_uuid(uuid::Uuid::from_u128(7))
}

fn asked() -> Idempotency {
    let far = Timestamp::from_timestamp(10_000, 0);
    Idempotency {
        scope: "scope".to_owned(),
        key: "key".to_owned(),
        request_hash: "hash".to_owned(),
        answer: json!({ "yes": true }),
        created_at: at(200),
        expires_at: far.unwrap(),
    }
}

const fn fence_of(task: &Task) -> Fence {
    Fence {
        task: task.id,
        number: task.fence,
    }
}
