//! Steps that are runs of other workflows: begun in the commit that lets the step wait, and looked at
//! again when they have ended.

use std::path::Path;
use std::time::Duration;

use fusion_agents::Failure;
use fusion_core::{
    Agent, Budget, CallSpec, Change, Coded as _, Continuation, ErrorCode, Parent, Run, RunId, Task,
    Workflow, WorkflowState, error_chain,
};
use fusion_persistence::{Batch, Error as StoreError, Repository as _, unarchive};
use serde_json::{Map, Value, json};

use crate::artifacts::Source;
use crate::error::listed;
use crate::grants::Grants;
use crate::journal::TaskJournal;
use crate::races::Races;
use crate::spawn::{Made, Origin};
use crate::worker::Job;
use crate::{Coordinator, Error, NewRun, Result, brief, check_models};

/// Runs of one step at work at once when nobody says.
pub(crate) const AT_ONCE: u32 = 8;

/// A run that can be begun.
struct Checked {
    workflow: std::sync::Arc<Workflow>,
    new: NewRun,
    grants: Grants,
}

/// What a run goes on from.
struct Before {
    run: Run,
    tasks: Vec<Task>,
    agents: Vec<Agent>,
}

impl Coordinator {
    /// Begins the run that a step is: it is stored in the commit that lets the task wait for it.
    pub(crate) async fn call(&self, job: Job<'_>, call: &CallSpec, context: &Value) -> Result<()> {
        let checked = match self.check_call(&job, call, context).await? {
            Ok(checked) => checked,
            Err(failure) => return self.fail_before(job, failure).await,
        };
        let parent = Parent {
            run_id: job.task.run_id,
            task_id: job.task.id,
            step: job.task.name.clone(),
        };
        let wait = call.timeout_seconds.map(Duration::from_secs);
        let mut races = Races::new();
        let run = loop {
            let made = self.make_child(&job, &parent, &checked).await?;
            let mut decision = job.task.await_run(&made.run, wait, self.moment())?;
            decision.merge(made.decision);
            match self.commit(Batch::release(job.fence, decision)).await {
                // Somebody else takes over from the same workspaces, or removes one.
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(Error::Store(StoreError::Archived { project })) => {
                    let failure = archived(&checked.workflow, project);
                    return self.fail_before(job, failure).await;
                }
                committed => break committed.map(|()| made.run.id)?,
            }
        };
        fail::fail_point!("coordination::called");
        self.hint_run(run);
        Ok(())
    }

    /// Sees that the run can be begun: its inputs, its models and what its agents are granted.
    async fn check_call(
        &self,
        job: &Job<'_>,
        call: &CallSpec,
        context: &Value,
    ) -> Result<std::result::Result<Checked, Failure>> {
        let mut given = match brief::given(call, context) {
            Ok(given) => given,
            Err(why) => return Ok(Err(misfit(why))),
        };
        let reference = call.reference();
        let Some(id) = job.plan.run.called.get(&reference) else {
            return Err(Error::Broken(format!(
                "the run has no version of the workflow '{reference}'"
            )));
        };
        let workflow = self.workflow_version(*id).await?;
        let definition = &workflow.definition;
        let files = match self.files_given(job, definition, &mut given).await? {
            Ok(files) => files,
            Err(why) => return Ok(Err(misfit(why))),
        };
        let inputs = match definition.resolve_inputs_with(&given, &files) {
            Ok(inputs) => inputs,
            Err(faults) => {
                let name = &workflow.name;
                let why = format!("the inputs of '{name}' don't fit: {}", listed(&faults));
                return Ok(Err(misfit(why)));
            }
        };
        let checked = self.check_child(&workflow, inputs).await;
        match checked {
            Ok((new, grants)) => Ok(Ok(Checked {
                workflow,
                new,
                grants,
            })),
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => Ok(Err(Failure {
                code: error.code(),
                message: format!(
                    "the workflow '{}' can't be run: {}",
                    workflow.name,
                    error_chain(&error)
                ),
                help: None,
            })),
        }
    }

    async fn check_child(
        &self,
        workflow: &Workflow,
        inputs: Map<String, Value>,
    ) -> Result<(NewRun, Grants)> {
        let (definition, base_dir) = (&workflow.definition, Path::new(&workflow.base_dir));
        let models = check_models(&self.parts.providers, definition, &inputs, base_dir).await?;
        let new = NewRun {
            definition: definition.clone(),
            source: workflow.source.clone(),
            base_dir: workflow.base_dir.clone(),
            inputs,
            models,
            // That of the run above holds for it too.
            limit: Budget::default(),
        };
        let grants = self.check_grants(&new)?;
        Ok((new, grants))
    }

    /// The rows of the run, which goes on from the one of an attempt before where it can.
    async fn make_child(&self, job: &Job<'_>, parent: &Parent, checked: &Checked) -> Result<Made> {
        let origin = Origin {
            stored: Some(&checked.workflow),
            continues: None,
            parent: Some(parent),
            called: Some(&job.plan.run.called),
        };
        let before = match job.task.course.child_before {
            Some(id) => self.to_go_on_from(id, checked).await?,
            None => None,
        };
        let Some(before) = before else {
            return self.make_run(&checked.new, &checked.grants, origin).await;
        };
        match self.make_going_on(&before, checked, origin).await {
            Err(error @ Error::Workspace { .. }) => {
                let error = error_chain(&error);
                tracing::warn!(run.id = %before.run.id, error, "a run is begun anew: results are gone");
                self.make_run(&checked.new, &checked.grants, origin).await
            }
            made => made,
        }
    }

    /// The rows of a run that takes over from another.
    async fn make_going_on(
        &self,
        before: &Before,
        checked: &Checked,
        origin: Origin<'_>,
    ) -> Result<Made> {
        let Before { run, tasks, agents } = before;
        let continuation = Continuation::new(run, tasks, agents, None);
        for id in continuation.workers().into_values() {
            self.check_results(agents, id).await?;
        }
        let origin = Origin {
            continues: Some(&continuation),
            ..origin
        };
        self.make_run(&checked.new, &checked.grants, origin).await
    }

    /// A run that did not end well and can be gone on from: of the same version, with the same inputs.
    async fn to_go_on_from(&self, id: RunId, checked: &Checked) -> Result<Option<Before>> {
        let store = &self.parts.store;
        // It may have been deleted since.
        let found: Option<Run> = store.find(id).await?;
        let Some(run) = found else {
            return Ok(None);
        };
        if store.is_being_deleted(id).await? {
            return Ok(None);
        }
        let has_failed = matches!(run.state, WorkflowState::Failed | WorkflowState::Cancelled);
        let is_same = run.workflow_id == checked.workflow.id && run.inputs == checked.new.inputs;
        if !(has_failed && is_same) {
            return Ok(None);
        }
        let tasks = store.tasks_of_run(id).await?;
        let agents = store.agents_of_run(id).await?;
        let agents = agents.into_iter().map(|(agent, _)| agent).collect();
        Ok(Some(Before { run, tasks, agents }))
    }

    /// A task whose run was begun: it ends as that one did, or goes on waiting for it.
    pub(crate) async fn after_child(
        &self,
        job: Job<'_>,
        call: &CallSpec,
        child: RunId,
    ) -> Result<()> {
        let mut races = Races::new();
        loop {
            let run: Run = self.parts.store.get(child).await?;
            let left = time_left(call, &run, self.moment().now);
            if run.state == WorkflowState::Completed {
                let outputs = run.outputs.unwrap_or_else(|| json!({}));
                return self.end_with_child(job, child, Ok(outputs)).await;
            }
            if left == Some(Duration::ZERO) {
                let by = format!("the timeout of step '{}'", job.task.name);
                self.cancel_child(child, &by).await?;
                return self.end_with_child(job, child, Err(late(call, &run))).await;
            }
            if run.state.is_final() {
                return self.end_with_child(job, child, Err(failed(&run))).await;
            }
            let mut decision = job.task.await_run(&run, left, self.moment())?;
            // Written as it is, so that the store refuses this when it ended in between: nobody would
            // wake the task any more.
            decision.changes.push(Change::update(run));
            match self.commit(Batch::release(job.fence, decision)).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
        }
    }

    async fn end_with_child(
        &self,
        job: Job<'_>,
        child: RunId,
        ended: std::result::Result<Value, Failure>,
    ) -> Result<()> {
        let (job, opening) = job.begin(json!({ "child_run_id": child }), self.moment())?;
        let journal = TaskJournal::new(self, &job.task, &job.agent, opening);
        match journal.write(Vec::new()).await {
            Err(error) if error.is_held() => return self.give_back_unbegun(&job).await,
            written => written?,
        }
        match ended {
            Ok(outputs) => {
                let done = (outputs, Vec::new());
                self.succeed(&job, &journal, done, Source::Run(child)).await
            }
            Err(failure) => self.fail(&job, &journal, Vec::new(), failure).await,
        }
    }
}

/// How long a run may still take; `None` for one without a limit.
fn time_left(call: &CallSpec, run: &Run, now: fusion_core::Timestamp) -> Option<Duration> {
    let limit = Duration::from_secs(call.timeout_seconds?);
    let spent = (now - run.created_at).to_std().unwrap_or_default();
    Some(limit.saturating_sub(spent))
}

/// The workflow is of a project that takes nothing new.
fn archived(workflow: &Workflow, project: String) -> Failure {
    let help = unarchive(&project);
    let why = StoreError::Archived { project };
    Failure {
        code: ErrorCode::Conflict,
        message: format!("the workflow '{}' can't be run: {why}", workflow.name),
        help: Some(help),
    }
}

fn misfit(message: String) -> Failure {
    Failure {
        code: ErrorCode::InvalidInput,
        message,
        help: None,
    }
}

fn late(call: &CallSpec, run: &Run) -> Failure {
    let seconds = call.timeout_seconds.unwrap_or_default();
    Failure {
        code: ErrorCode::Timeout,
        message: format!(
            "run {} of workflow '{}' took longer than the timeout of {seconds} s",
            run.id, run.workflow_name
        ),
        help: Some("raise `timeout` of the step".to_owned()),
    }
}

/// What is said of a run that did not end well. One that a person cancelled is not tried again.
fn failed(run: &Run) -> Failure {
    let why = run.error_message.as_deref().unwrap_or("no reason given");
    let (id, name) = (run.id, &run.workflow_name);
    if run.state == WorkflowState::Cancelled {
        return misfit(format!("run {id} of workflow '{name}' was {why}"));
    }
    Failure {
        code: ErrorCode::Conflict,
        message: format!("run {id} of workflow '{name}' failed: {why}"),
        help: None,
    }
}
