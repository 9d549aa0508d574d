//! Callers who commit all the time, each one event after the other, and what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fusion_core::Coded;
use fusion_persistence::{Error, Store};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::world::{self, Ids};

/// Callers at once.
const CALLERS: usize = 8;

/// The longest that a caller may wait for a refusal: eight seconds for an answer, five for a new
/// connection, and the rest for a busy machine.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// What one caller was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<String>,
    refused: usize,
    unknown: usize,
    /// The longest wait for a refusal of work that was not under COMMIT.
    slowest: Duration,
}

/// How many answers all callers have got so far.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: Vec<AtomicUsize>,
    stop: AtomicBool,
}

/// Callers under way.
pub(super) struct Load {
    tally: Arc<Tally>,
    ids: Arc<Ids>,
    callers: Vec<JoinHandle<Told>>,
}

impl Load {
    pub(super) fn start(store: &(impl Store + Clone + 'static)) -> Self {
        let tally = Arc::new(Tally {
            acknowledged: (0..CALLERS).map(|_| AtomicUsize::new(0)).collect(),
            stop: AtomicBool::new(false),
        });
        let ids = Arc::new(Ids::default());
        let tracker = TaskTracker::new();
        let callers = (0..CALLERS)
            .map(|number| {
                let (store, tally, ids) = (store.clone(), Arc::clone(&tally), Arc::clone(&ids));
                tracker.spawn(async move { call(number, &store, &tally, &ids).await })
            })
            .collect();
        Self {
            tally,
            ids,
            callers,
        }
    }

    /// Until each caller was acknowledged `more` commits from now on.
    pub(super) async fn each_acknowledged(&self, more: usize) {
        reach(&self.tally.acknowledged, more).await;
    }

    /// One caller more, who comes while the server is away and is refused. The others may all have
    /// shared the COMMIT that was under way: they wait until it is known what became of it.
    pub(super) async fn a_newcomer_is_refused(&self, store: &impl Store) {
        let begun = Instant::now();
        let answer = store.commit(self.ids.telling("the newcomer speaks")).await;
        assert!(
            matches!(answer, Err(Error::Unavailable { .. })),
            "{answer:?}"
        );
        assert!(begun.elapsed() < LONGEST_WAIT, "{:?}", begun.elapsed());
    }

    /// Ends the calls. Exactly what was acknowledged is there, in a log without gaps; gives how many
    /// commits of theirs were refused.
    pub(super) async fn end(self, store: &impl Store) -> usize {
        self.tally.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        let mut refused = 0;
        let mut unknown = 0;
        for caller in self.callers {
            let told = caller.await.unwrap();
            assert!(told.slowest < LONGEST_WAIT, "waited {:?}", told.slowest);
            acknowledged.extend(told.acknowledged);
            refused += told.refused;
            unknown += told.unknown;
        }
        let mut stored = world::messages(store).await;
        assert_eq!(unknown, 0, "the server came back: it can tell");
        stored.sort();
        acknowledged.sort();
        assert_eq!(stored, acknowledged);
        refused
    }
}

async fn reach(counters: &[AtomicUsize], more: usize) {
    let now = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let goals: Vec<usize> = counters.iter().map(|counter| now(counter) + more).collect();
    let begun = Instant::now();
    let reached = || {
        let mut each = counters.iter().zip(&goals);
        each.all(|(counter, goal)| now(counter) >= *goal)
    };
    while !reached() {
        assert!(
            begun.elapsed() < 4 * LONGEST_WAIT,
            "{counters:?}, wanted {goals:?}"
        );
        tokio::task::yield_now().await;
    }
}

async fn call(number: usize, store: &impl Store, tally: &Tally, ids: &Ids) -> Told {
    let mut told = Told::default();
    for count in 0.. {
        if tally.stop.load(Ordering::Relaxed) {
            break;
        }
        let message = format!("caller {number} says {count}");
        let begun = Instant::now();
        let answer = store.commit(ids.telling(&message)).await;
        match answer {
            Ok(_) => {
                told.acknowledged.push(message);
                tally.acknowledged[number].fetch_add(1, Ordering::Relaxed);
            }
            Err(Error::OutcomeUnknown) => told.unknown += 1,
            Err(error) => {
                let Error::Unavailable { action, .. } = &error else {
                    panic!("{error:?}");
                };
                assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
                // Who shares an interrupted COMMIT waits until the server can tell what became of it.
                if *action != "commit" {
                    told.slowest = told.slowest.max(begun.elapsed());
                }
                told.refused += 1;
            }
        }
    }
    told
}
