//! What a task of its own may cost.

use fusion_core::{Budget, Raise, Run, Task, TaskId, limited};
use fusion_persistence::{Batch, Repository as _};

use crate::races::Races;
use crate::{Coordinator, Error, Result};

impl Coordinator {
    /// Gives a task of its own another limit for what its model calls may use in all. It holds from the next
    /// time on that the task is begun; one that waits is begun anew at once. `by` is who asked; taken down in
    /// the event log.
    ///
    /// # Errors
    /// There is no such task, it is a step of a workflow, or it has ended.
    pub async fn limit_task(&self, id: TaskId, limit: Budget, by: &str) -> Result<Task> {
        let mut races = Races::new();
        loop {
            let task: Task = self.parts.store.get(id).await?;
            let run: Run = self.parts.store.get(task.run_id).await?;
            if task.pool.is_none() {
                let (task, run) = (task.name, task.run_id);
                return Err(Error::OfWorkflow { task, run });
            }
            if run.state.is_final() {
                let (run, state) = (run.id, run.state);
                return Err(Error::Ended { run, state });
            }
            let Some(mut decision) = run.raise_budgets(Raise::of_run(limit)) else {
                return Ok(task);
            };
            if let Some(usd) = limit.usd {
                decision = decision.telling(limited(by, &task, usd, self.moment()));
            }
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                self.wake(task.run_id, true).await?;
                self.hint_pool(&task, None);
                return Ok(task);
            }
        }
    }
}
