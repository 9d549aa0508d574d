//! Tools that only read: what they are asked and what they say is written together, when that is soon.

use fusion_core::{EffectClass, EntryKind, JournalEntry};
use fusion_providers::ToolCall;
use tokio::time::timeout;

use super::Work;
use super::halt::Halt;
use crate::entry::ToolOutcome;
use crate::{Journal, JournalRefused};

/// Whether an effect may be begun before the journal has it: after a crash nothing would have to be undone,
/// or told of it.
pub(super) fn may_follow(entry: &JournalEntry) -> bool {
    entry.kind == EntryKind::Tool && entry.effect == EffectClass::Read
}

impl Work<'_> {
    /// Calls a tool. What waits to be written is written while it is at work, unless it is done soon.
    pub(super) async fn call(
        &mut self,
        call: ToolCall,
        journal: &dyn Journal,
    ) -> Result<ToolOutcome, Halt> {
        let calling = self.toolbox.call(call, &self.place);
        tokio::pin!(calling);
        if !self.unrecorded.is_empty() {
            if let Ok(answer) = timeout(self.runtime.reads_within, &mut calling).await {
                return Ok(answer?);
            }
            let waiting = std::mem::take(&mut self.unrecorded);
            let written = journal.record(waiting).await;
            written.map_err(|JournalRefused| Halt::Refused)?;
        }
        Ok(calling.await?)
    }
}
