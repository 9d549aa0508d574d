//! Files that deleted runs named.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fusion_core::RunId;

use crate::Result;

/// A file that a deleted run named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseFile {
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Whether a task or an imported run that is still there names it too.
    pub is_named: bool,
}

/// Tells which kept files may have nobody left who names them.
#[async_trait]
pub trait KeptFileReader {
    /// Files that deleted runs named, until `ForgetFiles` says that they were dealt with: in the order of
    /// their hashes, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn loose_files(&self, limit: u32) -> Result<Vec<LooseFile>>;

    /// Whether there is any such file.
    ///
    /// # Errors
    /// The store fails.
    async fn has_loose_files(&self) -> Result<bool>;

    /// Those of some files that a task or an imported run names.
    ///
    /// # Errors
    /// The store fails.
    async fn files_named(&self, files: &BTreeSet<String>) -> Result<BTreeSet<String>>;

    /// Whether the deletion of a run has begun and what it holds is being taken out.
    ///
    /// # Errors
    /// The store fails.
    async fn is_being_deleted(&self, run: RunId) -> Result<bool>;
}
