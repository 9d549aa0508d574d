//! A worker of the storm of messages in `tests/it/letters.rs`.
//!
//! It sends for half of the agents and reads for all of them. Each sender numbers its messages; after a
//! death its next process goes on after the last number in the store. Readers are naive on purpose: they
//! take no lease, so that another process reads the same inbox, and only the store keeps a message from
//! being acknowledged twice. What was acknowledged to a sender goes into a ledger beside the store.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use fusion_core::{Agent, Audience, Draft, MessageLimits, Moment, RunId, Timestamp, deliver};
use fusion_persistence::{Batch, Error, MessageFilter, MessageReader, Patient, Repository, Store};
use fusion_persistence_sql::SqlStore;
use futures::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::common::{Fault, Seeded, World, next, stop_at_end_of_input};

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

fn orders(given: &mut impl Iterator<Item = String>) -> Result<Orders, Fault> {
    Ok(Orders {
        url: next(given)?,
        ledger: next(given)?,
        process: next(given)?,
        processes: next(given)?,
        seed: next(given)?,
        messages: next(given)?,
        guarded: next(given)?,
    })
}

pub(crate) async fn work(given: &mut impl Iterator<Item = String>) -> Result<(), Fault> {
    let orders = orders(given)?;
    if !orders.guarded {
        fail::cfg("persistence_sql::settle_again", "return")?;
    }
    let stop = stop_at_end_of_input();
    let World { store, run, agents } = World::open(&orders.url).await?;
    let worker = Worker {
        ledger: OpenOptions::new().append(true).open(&orders.ledger)?,
        agents: (0..).zip(agents).collect(),
        seeded: Seeded::new(orders.seed),
        store,
        orders,
        run,
    };
    let senders = worker.agents.keys();
    let own = senders.filter(|number| *number % worker.orders.processes == worker.orders.process);
    let sending = try_join_all(own.map(|number| worker.send_all(*number, &stop)));
    let reading = try_join_all((0..READERS).map(|_| worker.read_all(&stop)));
    try_join(sending, reading).await.map(|_| ())
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
