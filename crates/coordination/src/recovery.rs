//! Takes back what a dead process had in its hands.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{Agent, RunId, Task};
use fusion_persistence::{Batch, Fence};

use crate::{Coordinator, Result};

impl Coordinator {
    /// Gives every task that another node holds back to the queue, at once.
    ///
    /// To be called when this process has become the only one at its database: then whoever
    /// holds a lease is dead. The task's journal stays; whoever claims it goes on from there.
    /// Says how many tasks that were.
    ///
    /// # Errors
    /// The store fails.
    pub async fn recover(&self) -> Result<usize> {
        let held = self.parts.store.tasks_held_by_others(self.node).await?;
        let runs: BTreeSet<RunId> = held.iter().map(|task| task.run_id).collect();
        let mut agents = BTreeMap::new();
        for run in runs {
            let of_run = self.parts.store.agents_of_run(run).await?;
            agents.extend(of_run.into_iter().map(|(agent, _)| (agent.id, agent)));
        }
        for task in &held {
            self.take_back(task, task.agent_id.and_then(|id| agents.remove(&id)))
                .await?;
        }
        Ok(held.len())
    }

    async fn take_back(&self, task: &Task, agent: Option<Agent>) -> Result<()> {
        let decision = task.take_back(agent, "its process ended", self.moment())?;
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        match self.commit(Batch::requeue(fence, decision)).await {
            // It ended or was taken back between the look and the commit: nothing is left to do.
            Err(error) if error.is_fenced() => Ok(()),
            other => other,
        }
    }
}
