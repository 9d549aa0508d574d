//! Capabilities: what an agent can do and a task needs.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CapabilityId, Timestamp};

/// An entry of the capability registry (FR-006).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// Names the entry.
    pub id: CapabilityId,
    /// The unique name that agents and tasks use.
    pub name: String,
    /// What an agent with it can do.
    pub description: String,
    /// Groups entries for people.
    pub category: String,
    /// Free JSON object.
    pub metadata: Value,
    /// When the entry was made.
    pub created_at: Timestamp,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

/// A set of capability names, kept sorted, so that equal sets have equal text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapabilitySet(BTreeSet<String>);

impl CapabilitySet {
    /// Whether an agent with this set can take a task that needs `required`.
    #[must_use]
    pub fn satisfies(&self, required: &Self) -> bool {
        required.0.is_subset(&self.0)
    }

    /// The one text of this set (`a,b,c`, sorted): distinct sets are few, so the store
    /// matches tasks by it with an index.
    #[must_use]
    pub fn key(&self) -> String {
        self.0
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The set with this [`key`](Self::key): no name has a comma.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        key.split(',').filter(|name| !name.is_empty()).collect()
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether no capability is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> FromIterator<T> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::CapabilitySet;
    use proptest::prelude::*;

    fn sets() -> impl Strategy<Value = CapabilitySet> {
        proptest::collection::btree_set("[a-e]", 0..5).prop_map(|names| names.into_iter().collect())
    }

    proptest! {
        #[test]
        fn an_agent_fits_exactly_when_it_has_every_required_name(has in sets(), needs in sets()) {
            let every = needs.iter().all(|need| has.iter().any(|name| name == need));
            prop_assert_eq!(has.satisfies(&needs), every);
        }

        #[test]
        fn equal_sets_have_equal_keys_whatever_the_order(names in proptest::collection::vec("[a-e]{1,3}", 0..6)) {
            let forward: CapabilitySet = names.iter().cloned().collect();
            let backward: CapabilitySet = names.into_iter().rev().collect();
            prop_assert_eq!(forward.key(), backward.key());
            prop_assert_eq!(CapabilitySet::of_key(&forward.key()), forward);
        }
    }
}
