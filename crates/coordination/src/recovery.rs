//! Takes back what a dead process had in its hands.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{Agent, RunId, Task};
use fusion_persistence::{Batch, Fence};

use crate::{Coordinator, Result};

/// Tasks taken back in one go.
const AT_ONCE: u32 = 500;

impl Coordinator {
    /// Gives every task whose lease has run out back to the queue. Its journal stays; whoever
    /// claims it goes on from there. Says how many tasks that were.
    ///
    /// # Errors
    /// The store fails.
    pub async fn recover(&self) -> Result<usize> {
        let mut taken_back = 0;
        loop {
            let lost = self.parts.store.expired_leases(AT_ONCE).await?;
            if lost.is_empty() {
                return Ok(taken_back);
            }
            taken_back += lost.len();
            self.take_back_all(&lost).await?;
        }
    }

    async fn take_back_all(&self, lost: &[Task]) -> Result<()> {
        let runs: BTreeSet<RunId> = lost.iter().map(|task| task.run_id).collect();
        let mut agents = BTreeMap::new();
        for run in runs {
            let of_run = self.parts.store.agents_of_run(run).await?;
            agents.extend(of_run.into_iter().map(|(agent, _)| (agent.id, agent)));
        }
        for task in lost {
            self.take_back(task, task.agent_id.and_then(|id| agents.remove(&id)))
                .await?;
        }
        Ok(())
    }

    async fn take_back(&self, task: &Task, agent: Option<Agent>) -> Result<()> {
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let batch = match self.quarantine(task, fence, agent.as_ref()).await? {
            Some(quarantine) => quarantine,
            None => {
                let decision = task.take_back(agent, "its process ended", self.moment())?;
                Batch::rescue(fence, decision)
            }
        };
        let rescued = self.commit(batch).await;
        self.hint_pool(task, None);
        match rescued {
            // It ended, was taken back or went on between the look and the commit.
            Err(error) if error.is_fenced() || error.is_conflict() => Ok(()),
            other => other,
        }
    }
}
