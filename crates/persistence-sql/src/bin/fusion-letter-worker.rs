//! A worker process of the storm of messages in `tests/it/letters.rs`; no part of the product.
//!
//! It sends for half of the agents of the only run in a database and reads for all of them, until its
//! input ends. Each sender numbers its messages; after a death its next process goes on after the last
//! number in the store. Readers are naive on purpose: they take no lease, so that another process reads
//! the same inbox, and only the store keeps a message from being acknowledged twice. What was
//! acknowledged to a sender goes into a ledger beside the store.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_core::{
    Agent, Audience, Draft, IdSource, MessageLimits, Moment, RunId, Timestamp, deliver,
};
use fusion_persistence::{
    AgentReader, Batch, Error, MessageFilter, MessageReader, Page, Patience, Patient, Repository,
    RunFilter, Store,
};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use futures::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

type Fault = Box<dyn StdError + Send + Sync>;

/// Readers of one process at once.
const READERS: u64 = 8;

/// Messages of an inbox that are read at once.
const AT_ONCE: u32 = 20;

/// The wait before somebody without work looks again.
const IDLE: Duration = Duration::from_millis(10);

/// Every how many messages of a sender goes to several agents.
const WIDE: u64 = 10;

/// How many these are.
const RECIPIENTS: u64 = 5;

/// What the storm hands over, in this order.
struct Orders {
    url: String,
    ledger: String,
    /// Its number among the processes, and how many there are.
    process: u64,
    processes: u64,
    /// Another one at every start: ids come from it.
    seed: u64,
    /// How many messages each agent sends.
    messages: u64,
    guarded: bool,
}

fn orders() -> Result<Orders, Fault> {
    let mut given = std::env::args().skip(1);
    Ok(Orders {
        url: next(&mut given)?,
        ledger: next(&mut given)?,
        process: next(&mut given)?,
        processes: next(&mut given)?,
        seed: next(&mut given)?,
        messages: next(&mut given)?,
        guarded: next(&mut given)?,
    })
}

fn next<T: FromStr<Err: StdError + Send + Sync + 'static>>(
    given: &mut impl Iterator<Item = String>,
) -> Result<T, Fault> {
    Ok(given.next().ok_or("an argument is missing")?.parse()?)
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let orders = orders()?;
    if !orders.guarded {
        fail::cfg("persistence_sql::settle_again", "return")?;
    }
    let stop = stop_at_end_of_input();
    let location = Location::from_url(&orders.url, Durability::Full)?;
    let store = loop {
        match SqlStore::open(&location, &TaskTracker::new()).await {
            Err(Error::Unavailable { .. }) => sleep(IDLE).await,
            opened => break opened?,
        }
    };
    let runs = store.list(&RunFilter::default(), Page::first(1)).await?;
    let run = runs.first().ok_or("there is no run")?.id;
    let agents = store.agents_of_run(run).await?.into_iter();
    let worker = Worker {
        ledger: OpenOptions::new().append(true).open(&orders.ledger)?,
        agents: (0..).zip(agents.map(|(agent, _)| agent)).collect(),
        seeded: Seeded::new(orders.seed),
        store: Patient::new(store, Patience::default()),
        orders,
        run,
    };
    let senders = worker.agents.keys();
    let own = senders.filter(|number| *number % worker.orders.processes == worker.orders.process);
    let sending = try_join_all(own.map(|number| worker.send_all(*number, &stop)));
    let reading = try_join_all((0..READERS).map(|_| worker.read_all(&stop)));
    try_join(sending, reading).await.map(|_| ())
}

/// The input ends with the process that started this one, too.
fn stop_at_end_of_input() -> CancellationToken {
    let stop = CancellationToken::new();
    let ended = stop.clone();
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        ended.cancel();
    });
    stop
}

/// Ids and chances that follow from a seed.
#[derive(Debug)]
struct Seeded {
    seed: u64,
    ids: AtomicU64,
    chances: AtomicU64,
}

impl IdSource for Seeded {
    fn uuid(&self) -> Uuid {
        Uuid::from_u64_pair(self.seed, self.ids.fetch_add(1, Ordering::Relaxed))
    }
}

impl Seeded {
    const fn new(seed: u64) -> Self {
        Self {
            seed,
            ids: AtomicU64::new(1),
            chances: AtomicU64::new(seed),
        }
    }

    /// The generator `SplitMix64`.
    fn chance(&self, below: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.chances.fetch_add(step, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }
}

struct Worker {
    orders: Orders,
    store: Patient<SqlStore>,
    ledger: File,
    seeded: Seeded,
    run: RunId,
    /// By their numbers.
    agents: BTreeMap<u64, Agent>,
}

impl Worker {
    fn moment(&self) -> Moment<'_> {
        Moment {
            now: Timestamp::UNIX_EPOCH,
            ids: &self.seeded,
        }
    }

    fn agent(&self, number: u64) -> Result<&Agent, Fault> {
        let number = number % u64::try_from(self.agents.len())?;
        Ok(self.agents.get(&number).ok_or("there is no such agent")?)
    }

    async fn send_all(&self, sender: u64, stop: &CancellationToken) -> Result<(), Fault> {
        let mut number = self.sent_by(self.agent(sender)?).await?;
        while number < self.orders.messages && !stop.is_cancelled() {
            let batch = self.draft(sender, number)?;
            match self.store.commit(batch).await {
                Ok(_) => {
                    self.note(sender, number)?;
                    number += 1;
                }
                Err(Error::InboxFull { .. }) => sleep(IDLE).await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many messages of an agent are in the store.
    async fn sent_by(&self, agent: &Agent) -> Result<u64, Fault> {
        let filter = MessageFilter {
            sender: Some(agent.id),
            ..MessageFilter::default()
        };
        Ok(self.store.count(&filter).await?)
    }

    fn draft(&self, sender: u64, number: u64) -> Result<Batch, Fault> {
        let recipients = if number.is_multiple_of(WIDE) {
            RECIPIENTS
        } else {
            1
        };
        let mut audience = Vec::new();
        for next in 0..recipients {
            audience.push(self.agent(sender + number + 1 + next)?.id);
        }
        let draft = Draft {
            sender: Some(self.agent(sender)?),
            run_id: Some(self.run),
            audience: Audience::Listeners(audience),
            topic: format!("news.{}", number % 2),
            message_type: "number".to_owned(),
            payload: json!({ "sender": sender, "number": number }),
            reply_to: None,
            expiry_at: None,
        };
        let (_, sent) = draft.send(MessageLimits::default(), self.moment())?;
        Ok(Batch::free(sent))
    }

    /// One line, out of reach of a kill when this returns.
    fn note(&self, sender: u64, number: u64) -> Result<(), Fault> {
        Ok((&self.ledger).write_all(format!("{sender} {number}\n").as_bytes())?)
    }

    async fn read_all(&self, stop: &CancellationToken) -> Result<(), Fault> {
        let agents = u64::try_from(self.agents.len())?;
        while !stop.is_cancelled() {
            let agent = self.agent(self.seeded.chance(agents))?;
            let waiting = self.store.inbox(agent.id, 0, AT_ONCE).await?;
            if waiting.is_empty() {
                sleep(IDLE).await;
                continue;
            }
            // A turn begins: time for another process to read the same.
            sleep(Duration::from_millis(self.seeded.chance(5))).await;
            let read = deliver(agent, &waiting, self.moment());
            self.store.commit(Batch::free(read)).await?;
        }
        Ok(())
    }
}
