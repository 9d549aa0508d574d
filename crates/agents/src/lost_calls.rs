//! Calls of a turn whose end nobody heard, and what they cost.

use std::sync::{Mutex, PoisonError};

use fusion_core::Usage;
use fusion_providers::{Delta, DeltaSink};
use tokio::sync::Notify;

/// Knows the calls of a turn that may cost something without being its answer: adds up what they are
/// known to have cost, and keeps the names of the others, to ask for it later.
#[derive(Debug, Default)]
pub(crate) struct LostCalls {
    calls: Mutex<Calls>,
    /// Another name is known.
    began: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    cost: Usage,
    /// The providers' names of answers whose cost is not known, in the order of the calls.
    open: Vec<String>,
    /// The answer that is coming.
    current: Option<String>,
    /// A name was known.
    has_names: bool,
}

impl LostCalls {
    /// What they are known to have cost since this was last asked.
    pub(crate) fn take_cost(&self) -> Usage {
        std::mem::take(&mut self.locked().cost)
    }

    /// The names of the answers whose cost is not known.
    pub(crate) fn open(&self) -> Vec<String> {
        self.locked().open.clone()
    }

    /// Whether any name was known since the turn began.
    pub(crate) fn has_names(&self) -> bool {
        self.locked().has_names
    }

    /// Forgets the calls of the turn before and takes over those that a dead process had begun.
    pub(crate) fn begin(&self, open: Vec<String>) {
        let mut calls = self.locked();
        calls.has_names = !open.is_empty();
        calls.open = open;
        calls.current = None;
    }

    /// What a call cost whose end nobody heard.
    pub(crate) fn settle(&self, generation: &str, cost: Usage) {
        let mut calls = self.locked();
        if let Some(place) = calls.open.iter().position(|open| open == generation) {
            calls.open.remove(place);
            calls.cost += cost;
        }
    }

    /// Waits until another name is known.
    pub(crate) async fn another(&self) {
        self.began.notified().await;
    }

    /// Sums and lists change in one step: a poisoned lock still holds whole ones.
    fn locked(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeltaSink for LostCalls {
    fn take(&self, _: Delta<'_>) {}

    fn began(&self, generation: &str) {
        let mut calls = self.locked();
        calls.current = Some(generation.to_owned());
        calls.has_names = true;
        if !calls.open.iter().any(|open| open == generation) {
            calls.open.push(generation.to_owned());
            drop(calls);
            self.began.notify_one();
        }
    }

    /// It was asked for already.
    fn lost(&self, cost: Option<Usage>) -> bool {
        let mut calls = self.locked();
        if let Some(lost) = calls.current.take() {
            calls.open.retain(|open| *open != lost);
        }
        calls.cost += cost.unwrap_or_default();
        true
    }
}

#[cfg(test)]
mod tests {
    use fusion_core::{Cost, Usage};
    use fusion_providers::DeltaSink;

    use super::LostCalls;

    fn costing(picos: i64) -> Usage {
        Usage {
            cost: Cost::from_picos(picos),
            ..Usage::default()
        }
    }

    #[test]
    fn each_call_is_counted_once_by_its_name() {
        let calls = LostCalls::default();
        calls.begin(vec!["of a dead process".to_owned()]);
        for name in ["one", "one", "two"] {
            calls.began(name);
        }
        assert_eq!(calls.open(), ["of a dead process", "one", "two"]);
        assert!(calls.lost(Some(costing(5))));
        calls.settle("one", costing(10));
        calls.settle("one", costing(10));
        calls.settle("two", costing(10));
        assert_eq!(calls.open(), ["of a dead process"]);
        assert_eq!(calls.take_cost(), costing(15));
        assert_eq!(calls.take_cost(), Usage::default());
    }

    #[test]
    fn a_call_that_was_lost_without_a_name_takes_no_other_away() {
        let calls = LostCalls::default();
        assert!(!calls.has_names());
        calls.begin(vec!["one".to_owned()]);
        assert!(calls.lost(None));
        assert_eq!(
            (calls.open(), calls.has_names()),
            (vec!["one".to_owned()], true)
        );
        calls.begin(vec![]);
        assert_eq!((calls.open(), calls.has_names()), (vec![], false));
    }
}
