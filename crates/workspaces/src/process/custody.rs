//! What the commands of an agent use of the machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::tree::{Spent, looked_at};
use crate::{Error, Result};

/// What commands used since somebody began to count, and hold now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Time of processors. It never becomes less.
    pub cpu: Duration,
    /// Bytes read from disks. They never become less.
    pub read: u64,
    /// Bytes written to disks. They never become less.
    pub written: u64,
    /// Bytes of memory without a file behind them that processes hold now: what the limit on memory
    /// counts.
    pub memory: u64,
}

/// Counts what the commands of a launcher use ([`Launcher::counted`](crate::Launcher::counted)).
/// Clones count together.
///
/// What a command used is exact when it has ended. While it runs, an ordinary user is not told of
/// the disk traffic of some of its processes; it is told then.
#[derive(Debug, Clone, Default)]
pub struct Custody(Arc<Mutex<Ledger>>);

#[derive(Debug, Default)]
struct Ledger {
    ended: Spent,
    /// The helpers of running commands, and what was seen of them last.
    running: BTreeMap<i32, Spent>,
}

/// A command that is counted, until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    custody: Custody,
    helper: i32,
}

impl Custody {
    /// Looks at what the commands of each of these use, in one look at the machine; without any
    /// command that runs, at nothing.
    ///
    /// # Errors
    /// Processes can't be listed.
    pub fn look(all: &[Self]) -> Result<Vec<Consumed>> {
        let helpers = all.iter().flat_map(Self::helpers);
        let helpers: Vec<i32> = helpers.collect();
        let mut seen = BTreeMap::new();
        if !helpers.is_empty() {
            let looked = looked_at(&helpers).map_err(Error::io("list processes in", "/proc"))?;
            seen.extend(helpers.into_iter().zip(looked));
        }
        Ok(all.iter().map(|custody| custody.take_in(&seen)).collect())
    }

    fn helpers(&self) -> Vec<i32> {
        self.lock().running.keys().copied().collect()
    }

    fn take_in(&self, seen: &BTreeMap<i32, (Spent, u64)>) -> Consumed {
        let mut ledger = self.lock();
        let mut memory = 0_u64;
        for (helper, known) in &mut ledger.running {
            if let Some((spent, held)) = seen.get(helper) {
                *known = known.or_more(*spent);
                memory = memory.saturating_add(*held);
            }
        }
        let running = ledger.running.values().copied();
        let spent = running.fold(ledger.ended, Spent::plus);
        Consumed {
            cpu: spent.cpu,
            read: spent.read,
            written: spent.written,
            memory,
        }
    }

    pub(super) fn begin(&self, helper: Option<u32>) -> Option<Counted> {
        let helper = i32::try_from(helper?).ok()?;
        self.lock().running.insert(helper, Spent::default());
        let custody = self.clone();
        Some(Counted { custody, helper })
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // Each figure in it is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// The command has ended, and its helper said what it used.
    pub(super) fn end(self, spent: Spent) {
        if let Some(known) = self.custody.lock().running.get_mut(&self.helper) {
            *known = known.or_more(spent);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut ledger = self.custody.lock();
        if let Some(known) = ledger.running.remove(&self.helper) {
            ledger.ended = ledger.ended.plus(known);
        }
    }
}
