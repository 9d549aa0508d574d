//! The messages of a run, told while it goes on.

use fusion_cli::Progress;
use fusion_core::{Message, RunId};
use fusion_persistence::{MessageFilter, Reader, Result};

use super::AT_ONCE;
use super::views::Names;

/// Which messages of a run were told.
#[derive(Debug)]
pub(crate) struct Sent {
    filter: MessageFilter,
    /// The place of the last one.
    last: u64,
    names: Names,
}

impl Sent {
    /// Those that are sent from now on.
    pub(crate) async fn from_now(store: &dyn Reader, run: RunId) -> Result<Self> {
        Ok(Self {
            filter: MessageFilter {
                run: Some(run),
                ..MessageFilter::default()
            },
            last: store.last_message().await?,
            names: Names::default(),
        })
    }

    /// Tells those that were not told yet. How a step ended is seen at the step.
    pub(crate) async fn tell(
        &mut self,
        store: &dyn Reader,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        loop {
            let end = store.last_message().await?;
            if end <= self.last {
                return Ok(());
            }
            let new = store
                .messages_after(&self.filter, self.last, AT_ONCE)
                .await?;
            for message in new.iter().filter(|message| !message.is_of_engine()) {
                self.tell_one(store, message, progress).await?;
            }
            let is_all = new.len() < AT_ONCE as usize;
            self.last = match new.last() {
                Some(last) if !is_all => last.seq,
                last => last.map_or(end, |last| end.max(last.seq)),
            };
        }
    }

    /// Names also those who got it because they listen.
    async fn tell_one(
        &mut self,
        store: &dyn Reader,
        message: &Message,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let mut view = self.names.message(store, message).await?;
        if view.recipients.is_none() {
            view.recipients = Some(self.names.recipients(store, message.id).await?);
        }
        progress.message(&view);
        Ok(())
    }
}
