//! Files that deleted runs named.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use fusion_core::RunId;

use crate::Result;

/// Which of some files somebody names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFiles {
    /// The SHA-256 of their contents, in hexadecimal digits.
    pub files: BTreeSet<String>,
    /// All is seen that was committed with events up to this place of the log.
    pub up_to: u64,
}

/// Tells which kept files may have nobody left who names them.
#[async_trait]
pub trait KeptFileReader {
    /// Files that deleted runs named, until `ForgetFiles` says that they were dealt with: the first by their
    /// hashes that come after one, at most `limit`. Each with the number of its last noting; no two notings
    /// of a file ever have the same.
    ///
    /// # Errors
    /// The store fails.
    async fn loose_files(&self, after: Option<&str>, limit: u32) -> Result<BTreeMap<String, u64>>;

    /// Those of some files that a task or an imported run names. It reads what all tasks have made, however
    /// many files are asked for.
    ///
    /// # Errors
    /// The store fails.
    async fn files_named(&self, files: &BTreeSet<String>) -> Result<NamedFiles>;

    /// Those of some files that tasks and imported runs name of which the log tells after a place. Whoever
    /// makes a task name a file, or stores a run with such tasks, tells of it in the same commit. It reads no
    /// other task. `None` where the log has lost a part of that.
    ///
    /// # Errors
    /// The store fails.
    async fn files_named_since(
        &self,
        files: &BTreeSet<String>,
        place: u64,
    ) -> Result<Option<BTreeSet<String>>>;

    /// Whether the deletion of a run has begun and what it holds is being taken out.
    ///
    /// # Errors
    /// The store fails.
    async fn is_being_deleted(&self, run: RunId) -> Result<bool>;
}
