//! What came of sending the event log again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;

/// What `events replay` sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// The receiver.
    pub to: String,
    /// Nothing was sent: these are the events that would be.
    pub dry_run: bool,
    /// How many events it took.
    pub events: u64,
    /// The place in the log of the first of them.
    pub first_seq: Option<u64>,
    /// The place in the log of the last of them.
    pub last_seq: Option<u64>,
    /// What `--after` goes on with.
    pub next_after: u64,
    /// A signal ended it.
    pub interrupted: bool,
    /// Why it stopped before the end.
    pub stopped: Option<Problem>,
}
