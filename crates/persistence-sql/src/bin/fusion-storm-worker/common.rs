//! What the workers of both storms do alike.

use std::error::Error as StdError;
use std::io::Read;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_core::{Agent, IdSource, RunId};
use fusion_persistence::{AgentReader, Error, Page, Patience, Patient, Repository, RunFilter};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) type Fault = Box<dyn StdError + Send + Sync>;

/// The wait before a database that is away is tried again.
const AWAY: Duration = Duration::from_millis(20);

/// The next argument.
pub(crate) fn next<T: FromStr<Err: StdError + Send + Sync + 'static>>(
    given: &mut impl Iterator<Item = String>,
) -> Result<T, Fault> {
    Ok(given.next().ok_or("an argument is missing")?.parse()?)
}

/// The input ends with the process that started this one, too.
pub(crate) fn stop_at_end_of_input() -> CancellationToken {
    let stop = CancellationToken::new();
    let ended = stop.clone();
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        ended.cancel();
    });
    stop
}

/// A database with one run.
pub(crate) struct World {
    pub(crate) store: Patient<SqlStore>,
    pub(crate) run: RunId,
    /// By name.
    pub(crate) agents: Vec<Agent>,
}

impl World {
    pub(crate) async fn open(url: &str) -> Result<Self, Fault> {
        let location = Location::from_url(url, Durability::Full)?;
        let store = loop {
            match SqlStore::open(&location, &TaskTracker::new()).await {
                Err(Error::Unavailable { .. }) => sleep(AWAY).await,
                opened => break opened?,
            }
        };
        let runs = store.list(&RunFilter::default(), Page::first(1)).await?;
        let run = runs.first().ok_or("there is no run")?.id;
        let agents = store.agents_of_run(run).await?.into_iter();
        Ok(Self {
            agents: agents.map(|(agent, _)| agent).collect(),
            store: Patient::new(store, Patience::default()),
            run,
        })
    }
}

/// Ids and chances that follow from a seed.
#[derive(Debug)]
pub(crate) struct Seeded {
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
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            ids: AtomicU64::new(1),
            chances: AtomicU64::new(seed),
        }
    }

    /// The generator `SplitMix64`.
    pub(crate) fn chance(&self, below: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.chances.fetch_add(step, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }
}
