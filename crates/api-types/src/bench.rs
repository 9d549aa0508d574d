//! What `bench` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One row of a benchmark: what the framework cost on this machine. Seconds, megabytes of 1,000,000
/// bytes, bytes. What was done to warm up is in none of the figures but the memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BenchReport {
    /// The program that was measured: `fusion-kit`.
    pub peer: String,
    /// The row, such as `W3`.
    pub w: String,
    /// Units that were asked for.
    pub n: u64,
    /// Units at once.
    pub conc: u32,
    /// Where things were kept: `memory`, `sqlite`, `sqlite-full` or `postgres`.
    pub store: String,
    /// Who answered: `raw`, a server over HTTP, or `none`, a script.
    pub llm: String,
    /// Units that were done.
    pub units: u64,
    /// Answers of models.
    pub llm_calls: u64,
    /// Steps of workflows that were completed.
    pub steps: u64,
    /// From the first unit to the end of the last.
    pub wall: f64,
    /// Of this process, user and system; where processes were started to be measured, of these.
    pub cpu: f64,
    /// Of the servers that it worked with, by their names.
    pub srv_cpu: BTreeMap<String, f64>,
    /// Of all of them.
    pub cpu_total: f64,
    /// Memory of this process at the end, resident; of the server where one was measured.
    pub rss_mb: f64,
    /// The most that it ever was.
    pub maxrss_mb: f64,
    /// Written to disks by this process and its server; to the log of PostgreSQL where that is the store.
    pub write_bytes: u64,
    /// What each idle agent added to the memory, where agents were measured.
    pub bytes_per_agent: Option<u64>,
}
