//! The port behind `bench`.

use async_trait::async_trait;
use fusion_api_types::{BenchReport, Problem};

use crate::args::{BenchModel, BenchRow, BenchStore};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchRequest {
    /// What is done.
    pub row: BenchRow,
    /// Units, where they were named.
    pub number: Option<u64>,
    /// Units at once, where they were named.
    pub at_once: Option<u32>,
    /// Where things are kept.
    pub store: BenchStore,
    /// Who answers.
    pub llm: BenchModel,
    /// Whether the way is that over a server.
    pub via_api: bool,
}

/// Measures what the framework costs.
#[async_trait]
pub trait Benchmarks {
    /// Does the units of a row and says what they cost. Nothing of it is left afterwards.
    ///
    /// # Errors
    /// A server that is needed is not named or does not answer, the row can't be done so, or a unit
    /// failed.
    async fn bench(&self, request: &BenchRequest) -> Result<BenchReport, Problem>;
}
