//! The ledger that the agents' commands write beside all that is tested.

use std::collections::BTreeMap;

/// What commands wrote: how often the command of each agent and step began and ended.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    begun: BTreeMap<String, usize>,
    ended: BTreeMap<String, usize>,
}

impl Ledger {
    pub(super) fn read(text: &str) -> Self {
        let mut ledger = Self::default();
        for line in text.lines() {
            let (what, whose) = line.split_once(' ').unwrap();
            let side = match what {
                "begin" => &mut ledger.begun,
                "end" => &mut ledger.ended,
                other => panic!("{other} in the ledger"),
            };
            *side.entry(whose.to_owned()).or_default() += 1;
        }
        ledger
    }

    /// Commands that began more than once: each is an effect that must not be repeated.
    pub(crate) fn repeated(&self) -> Vec<&str> {
        let repeated = self.begun.iter().filter(|(_, count)| **count > 1);
        repeated.map(|(whose, _)| whose.as_str()).collect()
    }

    /// Commands that had begun by now and have not ended in a later ledger.
    pub(crate) fn cut_off_of(&self, later: &Self) -> Vec<&str> {
        let cut_off = self
            .begun
            .keys()
            .filter(|whose| !later.ended.contains_key(*whose));
        cut_off.map(String::as_str).collect()
    }

    /// How often commands began, repeated ones too.
    pub(crate) fn beginnings(&self) -> usize {
        self.begun.values().sum()
    }

    /// Commands that began at all.
    pub(crate) fn begun(&self) -> usize {
        self.begun.len()
    }
}
