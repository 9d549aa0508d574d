//! Tasks that kill whoever works on them.

use fusion_core::{Agent, Run, Task, TaskState};
use fusion_persistence::{Batch, Fence, Loss, Repository};

use crate::plan::end_standalone;
use crate::{Coordinator, Result};

impl Coordinator {
    /// What ends a task that may not be given to anybody again: it lost as many leases as may be while it
    /// was at work, this one included. A person may let it go on, to lose as many again.
    pub(crate) async fn quarantine(
        &self,
        task: &Task,
        fence: Fence,
        agent: Option<&Agent>,
    ) -> Result<Option<Batch>> {
        let most = usize::try_from(self.options.most_losses).unwrap_or(usize::MAX);
        if task.state != TaskState::Running || most == 0 {
            return Ok(None);
        }
        let losses = self.parts.store.losses(task.id).await?;
        if !(losses.len() + 1).is_multiple_of(most) {
            return Ok(None);
        }
        let agent = match (agent, task.agent_id) {
            (Some(agent), _) => Some(agent.clone()),
            // A standing agent.
            (None, Some(id)) => self.parts.store.find(id).await?,
            (None, None) => None,
        };
        let Some(agent) = agent else {
            return Ok(None);
        };
        let evidence = self.evidence(task, &losses).await?;
        let dependents = self.parts.store.downstream(task.id).await?;
        let run: Run = self.parts.store.get(task.run_id).await?;
        let (ended, moment) = (task.clone(), self.moment());
        let mut decision = ended.fail(agent, &evidence, &dependents, moment)?;
        end_standalone(&run, &mut decision, moment)?;
        tracing::warn!(task.id = %task.id, evidence, "a task is quarantined");
        Ok(Some(Batch::expired(fence, decision)))
    }

    /// What a person needs to find out what happened: who died when, and what was done last.
    async fn evidence(&self, task: &Task, losses: &[Loss]) -> Result<String> {
        let journal = self.parts.store.journal(task.id).await?;
        let last = journal.last().map_or_else(
            || "nothing of it was written".to_owned(),
            |entry| format!("its last entry was {} (number {})", entry.name, entry.seq),
        );
        let times: Vec<String> = losses.iter().map(told).collect();
        let times = if times.is_empty() {
            String::new()
        } else {
            format!("; before: {}", times.join(", "))
        };
        Ok(format!(
            "quarantined: {} processes ended, or fell silent, while they worked on it; {last}{times}",
            losses.len() + 1
        ))
    }
}

fn told(loss: &Loss) -> String {
    let node = loss.node_name.as_deref().unwrap_or("a process");
    format!("{node} until {}", loss.at.format("%Y-%m-%d %H:%M:%S"))
}
