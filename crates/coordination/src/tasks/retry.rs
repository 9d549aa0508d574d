//! A task that ended badly, asked for again.

use std::time::Duration;

use fusion_core::{ApiTokenId, Run, Task, TaskId, TaskState, Workflow, asked_again};
use fusion_persistence::Repository as _;

use super::NewTask;
use crate::{AgainFault, Ask, Coordinator, Error, Result};

/// How a task is asked for again.
#[derive(Debug, Clone, Default)]
pub struct RetryTask<'a> {
    /// Who asks; taken down in the event log.
    pub by: &'a str,
    /// The token that they showed; none at the machine itself.
    pub token: Option<ApiTokenId>,
    /// What is asked instead.
    pub description: Option<String>,
}

impl Coordinator {
    /// Asks again for what a task that failed or was cancelled was to do, or for what is said instead: a
    /// new task that begins from the start, which `ask` gets.
    ///
    /// # Errors
    /// There is no such task, it is a step of a workflow, or it did not end badly; else as
    /// [`create_task`](Self::create_task).
    pub async fn retry_task(
        &self,
        id: TaskId,
        again: RetryTask<'_>,
        ask: impl Fn(&Task) -> Ask + Send + Sync,
    ) -> Result<Task> {
        let task: Task = self.parts.store.get(id).await?;
        let run: Run = self.parts.store.get(task.run_id).await?;
        if run.is_imported() {
            return Err(AgainFault::Imported { run: run.id }.into());
        }
        let Some(pool) = task.pool else {
            let (task, run) = (task.name, task.run_id);
            return Err(Error::OfWorkflow { task, run });
        };
        if !matches!(task.state, TaskState::Failed | TaskState::Cancelled) {
            return Err(Error::NotEnded { task: task.name });
        }
        let workflow: Workflow = self.parts.store.get(run.workflow_id).await?;
        let step = workflow.definition.steps.first();
        let agent = task.agent_id.filter(|_| pool.is_demanded);
        let is_changed = again.description.as_ref();
        let is_changed = is_changed.is_some_and(|text| *text != task.description);
        let new = NewTask {
            name: Some(task.name),
            description: again.description.unwrap_or(task.description),
            capabilities: task.required_capabilities,
            agent,
            is_demanded: agent.is_some(),
            priority: task.priority,
            dependencies: task.dependencies,
            inputs: run.inputs,
            project: pool.project,
            delay: None,
            timeout: step.map(|step| Duration::from_secs(step.timeout_seconds)),
            max_attempts: step
                .and_then(|step| step.retry)
                .map(|retry| retry.max_attempts),
            limit: run.raised.run,
        };
        let told = |made: &Task| {
            let asked = ask(made);
            let event = asked_again(
                (again.by, again.token),
                (id, made.id),
                is_changed,
                self.moment(),
            );
            Ask {
                also: asked.also.telling(event),
                ..asked
            }
        };
        self.create_task(new, told).await
    }
}
