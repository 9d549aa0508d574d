//! What a run file says about itself, and how large it may be.

use fusion_core::{RunId, Timestamp};
use fusion_workspaces::BundleLimits;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The number of the format that is written.
pub const FORMAT: u32 = 1;

/// The member that comes first.
pub(super) const MANIFEST: &str = "manifest.json";

/// The lists of rows, in the order in which they stand in a file.
pub(super) const LISTS: [&str; 8] = [
    "workflows.jsonl",
    "runs.jsonl",
    "agents.jsonl",
    "tasks.jsonl",
    "journal.jsonl",
    "approvals.jsonl",
    "messages.jsonl",
    "events.jsonl",
];

/// The lists whose rows an import stores.
pub(super) const STORED: [&str; 6] = [
    "workflows.jsonl",
    "runs.jsonl",
    "agents.jsonl",
    "tasks.jsonl",
    "journal.jsonl",
    "approvals.jsonl",
];

/// The lists that say what was done. Agents may live on, and messages and events are deleted by age.
const CONTENT: [&str; 5] = [
    "workflows.jsonl",
    "runs.jsonl",
    "tasks.jsonl",
    "journal.jsonl",
    "approvals.jsonl",
];

/// What the names of kept files begin with.
pub(super) const ARTIFACTS: &str = "artifacts/";

/// Bytes of all lists together.
pub(super) const MOST_ROWS: u64 = 32 * 1024 * 1024;

/// Rows that are stored, with what steps need of each other: they are one commit, and others wait for it.
pub(super) const MOST_ENTRIES: u64 = 100_000;

/// Lists and objects in all rows: each takes hundreds of bytes of memory, and 2 of a file.
pub(super) const MOST_NESTED: u64 = 500_000;

/// Values in all rows, about: each takes tens of bytes of memory, and 2 of a file.
pub(super) const MOST_VALUES: u64 = 2_000_000;

/// Bytes of the manifest.
pub(super) const MOST_MANIFEST: u64 = 4 * 1024 * 1024;

/// Members, the manifest among them.
pub(super) const MOST_MEMBERS: u64 = 10_000;

/// What is read of a file that nobody vouches for.
pub(super) const LIMITS: BundleLimits = BundleLimits {
    members: MOST_MEMBERS,
    bytes: 4 * 1024 * 1024 * 1024,
};

/// Who writes a run file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// What the machine calls itself.
    pub machine: String,
    /// The version of the program.
    pub program: String,
}

/// What a run file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of the format: [`FORMAT`] where this program wrote it.
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// The name of its workflow.
    pub workflow: String,
    /// How many runs are in it: this one and those below it.
    pub runs: u64,
    /// When it was written.
    pub exported_at: Timestamp,
    /// What the machine calls itself on which that was.
    pub machine: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// The place in the log of that store up to which events of the run are in it.
    pub events_up_to: u64,
    /// Kept files that a result names and that were gone, by the SHA-256 of their content.
    pub missing: Vec<String>,
    /// Every other member, in their order.
    pub members: Vec<Listed>,
}

/// A member, as the manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

/// What lines of JSON will take of memory beside their texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Lists and objects that begin in them.
    pub(super) nested: u64,
    /// Values, or a few more.
    pub(super) values: u64,
}

impl Weight {
    pub(super) fn of(json: &[u8]) -> Self {
        let (mut nested, mut commas, mut in_text, mut is_escaped) = (0_u64, 0_u64, false, false);
        for byte in json {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = in_text,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => nested = nested.saturating_add(1),
                b',' if !in_text => commas = commas.saturating_add(1),
                _ => {}
            }
        }
        let values = nested.saturating_add(commas);
        Self { nested, values }
    }

    /// What is left of this, and the name of what there is too much of where nothing is.
    pub(super) fn less(self, taken: Self) -> Result<Self, String> {
        let nested = self.nested.checked_sub(taken.nested);
        let nested =
            nested.ok_or_else(|| format!("{MOST_NESTED} lists and objects in its rows"))?;
        let values = self.values.checked_sub(taken.values);
        let values = values.ok_or_else(|| format!("{MOST_VALUES} values in its rows"))?;
        Ok(Self { nested, values })
    }

    /// What all rows of a file may have.
    pub(super) const MOST: Self = Self {
        nested: MOST_NESTED,
        values: MOST_VALUES,
    };
}

impl Manifest {
    /// SHA-256, in hex, of what it says was done: the same for every export of the same run.
    #[must_use]
    pub fn content(&self) -> String {
        let mut hash = Sha256::new();
        for name in CONTENT {
            let listed = self.members.iter().find(|listed| listed.name == name);
            let sha256 = listed.map_or("-", |listed| listed.sha256.as_str());
            hash.update(format!("{name} {sha256}\n"));
        }
        data_encoding::HEXLOWER.encode(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::Weight;

    #[test]
    fn what_takes_memory_is_counted_and_nothing_in_texts() {
        let weight = |line: &[u8]| {
            let Weight { nested, values } = Weight::of(line);
            (nested, values)
        };
        let line = br#"{"a":[1,{}],"b[{":"\\\"[{,","c":"\\"}"#;
        assert_eq!(weight(line), (3, 6));
        assert_eq!(weight(b"[[[\n[[["), (6, 6));
        assert_eq!(weight(b"[1,1,1]"), (1, 3));
    }
}
