//! One task of the pool: from its claim to its end, or back into the pool.

use std::sync::Arc;

use fusion_core::{
    Agent, Change, Decision, Run, Task, TaskId, TaskState, Workflow, Workspace, error_chain,
};
use fusion_persistence::{Batch, Claimed, Fence, Page, Repository, WorkspaceFilter};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::AT_ONCE;
use crate::agents::spec_in_run;
use crate::budgets::Budgets;
use crate::follow::Follow;
use crate::plan::Plan;
use crate::tasks::TASK;
use crate::unserved::REST;
use crate::{Coordinator, Error, Raised, Result};

/// Bytes of the results of other tasks that a task is told; it may be told all of them at most once.
const RESULTS: usize = 96 * 1_024;

impl Coordinator {
    /// Does a claimed task of the pool. What can't be done now is put off.
    pub(super) async fn do_task(&self, claimed: Claimed, stop: &CancellationToken) {
        let fence = Fence {
            task: claimed.task.id,
            number: claimed.task.fence,
        };
        if let Err(error) = Box::pin(self.try_to_do(claimed, stop)).await {
            self.put_off_for(&error, fence).await;
        }
    }

    async fn put_off_for(&self, error: &Error, fence: Fence) {
        let why = error_chain(error);
        tracing::warn!(task.id = %fence.task, error = why, "a task is put off");
        if let Err(error) = self.put_off(fence, &why).await {
            tell_of(&error, fence.task);
        }
    }

    async fn try_to_do(&self, claimed: Claimed, stop: &CancellationToken) -> Result<()> {
        let plan = self.plan_of_one(&claimed).await?;
        let follow = Follow::nothing();
        Box::pin(self.work(&plan, claimed, stop, &follow)).await
    }

    /// The plan of a run that is one task: with the agent that has it as the run's own.
    async fn plan_of_one(&self, claimed: &Claimed) -> Result<Plan> {
        let (task, agent) = (&claimed.task, &claimed.agent);
        let store = &self.parts.store;
        let mut run: Run = store.get(task.run_id).await?;
        let mut workflow = Workflow::clone(&*self.workflow_version(run.workflow_id).await?);
        let filter = WorkspaceFilter {
            agent: Some(agent.id),
        };
        let workspace: Option<Workspace> = store.list(&filter, Page::first(1)).await?.pop();
        let workspace = workspace
            .ok_or_else(|| Error::Broken(format!("agent {} has no workspace", agent.id)))?;
        let definition = &mut workflow.definition;
        definition
            .agents
            .insert(agent.name.clone(), spec_in_run(agent)?);
        let asked = self.asked(task, &run.inputs).await?;
        run.inputs = Map::from_iter([(TASK.to_owned(), asked.into())]);
        let raised = Raised::default();
        let budgets = Budgets::new(
            definition,
            &raised,
            &run,
            &[agent],
            std::slice::from_ref(task),
        );
        let agents = vec![(agent.clone(), workspace)];
        Ok(Plan::new(run, Arc::new(workflow), agents, budgets))
    }

    /// The whole of what is asked: the words, what was given, and what the tasks made that it needs.
    async fn asked(&self, task: &Task, given: &Map<String, Value>) -> Result<String> {
        let mut asked = task.description.clone();
        if !given.is_empty() {
            asked.push_str(&format!("\n\nGiven, as JSON:\n{}", json!(given)));
        }
        let mut room = RESULTS;
        for id in &task.dependencies {
            let needed: Task = self.parts.store.get(*id).await?;
            let made = needed.output_artifacts.unwrap_or_default();
            let made = made.get("outputs").cloned().unwrap_or_default().to_string();
            let mut end = made.len().min(room);
            while !made.is_char_boundary(end) {
                end -= 1;
            }
            room -= end;
            let told = made.get(..end).unwrap_or_default();
            let cut = if end < made.len() { " (cut off)" } else { "" };
            let name = &needed.name;
            asked.push_str(&format!("\n\nWhat '{name}' made, as JSON{cut}:\n{told}"));
        }
        Ok(asked)
    }

    /// Lets nobody take a task for a while, whether it is still leased or went back already.
    async fn put_off(&self, fence: Fence, why: &str) -> Result<()> {
        let task: Task = self.parts.store.get(fence.task).await?;
        let batch = match task.state {
            TaskState::Queued => Batch::free(postponed(task.id, why)),
            TaskState::Assigned | TaskState::Running if task.fence == fence.number => {
                let agent: Option<Agent> = match task.agent_id {
                    Some(id) => self.parts.store.find(id).await?,
                    None => None,
                };
                Batch::release(fence, task.postpone(agent, REST, why, self.moment())?)
            }
            TaskState::Assigned
            | TaskState::Running
            | TaskState::Completed
            | TaskState::Failed
            | TaskState::Cancelled => return Ok(()),
        };
        match self.commit(batch).await {
            // It moved on meanwhile.
            Err(error) if error.lost_a_race() => Ok(()),
            other => other,
        }
    }

    /// Cancels the tasks of the pool that need one that ended badly: this one, or any.
    pub(super) async fn give_up_doomed(&self, ended: Option<TaskId>) -> Result<()> {
        loop {
            let doomed = self.parts.store.pool_doomed(ended, AT_ONCE).await?;
            let mut given_up = 0_usize;
            for (task, needed) in &doomed {
                let run: Run = self.parts.store.get(task.run_id).await?;
                let moment = self.moment();
                let Ok((task, mut decision)) = task.clone().give_up(needed, moment) else {
                    continue;
                };
                decision.merge(run.end_with(&task, moment)?);
                match self.commit(Batch::free(decision)).await {
                    Ok(()) => given_up += 1,
                    Err(error) if error.lost_a_race() => {}
                    Err(error) => return Err(error),
                }
            }
            if given_up == 0 {
                return Ok(());
            }
        }
    }
}

fn tell_of(error: &Error, task: TaskId) {
    let error = error_chain(error);
    tracing::error!(task.id = %task, error, "a task could not be put off");
}

fn postponed(task_id: TaskId, why: &str) -> Decision {
    Decision::default().with(Change::Postpone {
        task_id,
        wait: REST,
        reason: why.to_owned(),
    })
}
