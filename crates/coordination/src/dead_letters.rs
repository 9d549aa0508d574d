//! Gives up messages that nobody will read.

use fusion_core::{Outcome, Undelivered, error_chain, settle_undelivered};
use fusion_persistence::Batch;

use crate::{Coordinator, Result};

/// Deliveries given up in one commit: little enough that others hardly wait for it.
const AT_ONCE: u32 = 200;

/// Why a message to an agent that has ended is given up.
const ENDED: &str = "the agent has ended";

impl Coordinator {
    /// Gives up the messages that have expired, and those to agents that have ended. Says how many
    /// deliveries that were.
    ///
    /// # Errors
    /// The store fails; what is left is given up the next time.
    pub async fn give_up_mail(&self) -> Result<usize> {
        let mut given_up = 0;
        loop {
            match self.give_up_some_mail().await? {
                0 => return Ok(given_up),
                some => given_up += some,
            }
        }
    }

    /// The same for a few of them: a heartbeat must not wait for all, its leases would run out.
    ///
    /// # Errors
    /// As [`give_up_mail`](Self::give_up_mail).
    pub(crate) async fn give_up_some_mail(&self) -> Result<usize> {
        let store = &self.parts.store;
        let overdue = store.overdue_deliveries(AT_ONCE).await?;
        self.settle(&overdue, &Outcome::Expired).await?;
        let stranded = store.stranded_deliveries(AT_ONCE).await?;
        let ended = Outcome::Failed(ENDED.to_owned());
        self.settle(&stranded, &ended).await?;
        Ok(overdue.len() + stranded.len())
    }

    async fn settle(&self, undelivered: &[Undelivered], outcome: &Outcome) -> Result<()> {
        if undelivered.is_empty() {
            return Ok(());
        }
        // Another process may look at the same time: the second changes nothing.
        let decision = settle_undelivered(undelivered, outcome, self.moment());
        self.commit(Batch::free(decision)).await
    }

    /// The same when a run has ended, where it must not be what fails.
    pub(crate) async fn clear_mail(&self) {
        if let Err(error) = self.give_up_mail().await {
            let error = error_chain(&error);
            tracing::warn!(error, "messages that nobody will read were not given up");
        }
    }
}
