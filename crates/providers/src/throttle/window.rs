//! How much was used in the last minute.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Keeps what was used in any 60 seconds within a limit. Exact: it remembers each use, which
/// also lets a use be put right afterwards.
#[derive(Debug)]
pub(super) struct Window {
    limit: u64,
    used: u64,
    uses: VecDeque<Use>,
}

#[derive(Debug)]
struct Use {
    number: u64,
    at: Instant,
    amount: u64,
}

impl Window {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            uses: VecDeque::new(),
        }
    }

    /// When there is room for an amount. One that is larger than the limit has room in an empty
    /// window: it could never be served otherwise.
    pub(super) fn room_at(&mut self, amount: u64, now: Instant) -> Instant {
        while let Some(oldest) = self.uses.front()
            && oldest.at + MINUTE <= now
        {
            self.used = self.used.saturating_sub(oldest.amount);
            self.uses.pop_front();
        }
        let mut used = self.used;
        let mut room_at = now;
        for past in &self.uses {
            if used == 0 || used.saturating_add(amount) <= self.limit {
                break;
            }
            used = used.saturating_sub(past.amount);
            room_at = past.at + MINUTE;
        }
        room_at
    }

    pub(super) fn take(&mut self, number: u64, amount: u64, now: Instant) {
        self.used = self.used.saturating_add(amount);
        self.uses.push_back(Use {
            number,
            at: now,
            amount,
        });
    }

    /// Puts right what a use amounted to.
    pub(super) fn correct(&mut self, number: u64, amount: u64) {
        let found = self.uses.binary_search_by_key(&number, |past| past.number);
        if let Some(past) = found.ok().and_then(|index| self.uses.get_mut(index)) {
            self.used = self.used.saturating_sub(past.amount).saturating_add(amount);
            past.amount = amount;
        }
    }
}
