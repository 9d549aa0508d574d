//! Ends a run whose tasks have all ended.

use fusion_core::{Agent, AgentState, Change, Decision, Row, Run, RunId, Task, WorkflowState};
use fusion_persistence::{Batch, Listeners};
use serde_json::{Map, Value};

use crate::expression_context::expression_context;
use crate::plan::Plan;
use crate::worker::Job;
use crate::{Coordinator, Result};

/// A decision that ends a task, and with it its run.
pub(crate) struct WithRun {
    pub(crate) decision: Decision,
    /// The agents that end with the run.
    pub(crate) ended: Vec<Agent>,
}

impl Coordinator {
    /// Gathers the run's outputs, ends it and its agents. That another process did so meanwhile, or that
    /// an agent was paused, is no failure: it says `None`, and the run is looked at again.
    pub(crate) async fn finish(&self, plan: &Plan, run: Run) -> Result<Option<WorkflowState>> {
        let (tasks, agents) = self.all_of(run.id).await?;
        let decision = self.end_of(plan, run, &tasks, agents)?;
        let state = state_in(&decision);
        let ended = ended_in(&decision);
        match self.commit(Batch::new(plan.guard(), decision)).await {
            Err(error) if error.is_conflict() => return Ok(None),
            other => other?,
        }
        self.discard_all_shared(&ended).await?;
        Ok(state)
    }

    /// The end of a task's run together with that of the task, when it is the last that is open: one commit
    /// instead of two (ADR 0050). Where a person has a word in it, the driver ends the run.
    pub(crate) async fn with_run(
        &self,
        job: &Job<'_>,
        decision: &Decision,
    ) -> Result<Option<WithRun>> {
        let plan = job.plan;
        if plan.run.is_standalone || plan.is_needed(&job.step.id) {
            return Ok(None);
        }
        let run = self.progress_of(plan.run.id).await?.run;
        if run.open_tasks != 1 || run.halt.is_some() || run.state != WorkflowState::Running {
            return Ok(None);
        }
        let (mut tasks, mut agents) = self.all_of(run.id).await?;
        let others = agents.iter().filter(|agent| agent.id != job.agent.id);
        if !Listeners::among(run.id, others).patterns.is_empty() {
            // Of who subscribes from here on the row is a newer one: the commit is refused.
            return Ok(None);
        }
        foresee(decision, &mut tasks, &mut agents);
        let Ok(end) = self.end_of(plan, run, &tasks, agents) else {
            return Ok(None);
        };
        let ended = ended_in(&end);
        let mut decision = decision.clone();
        decision.merge(end);
        Ok(Some(WithRun { decision, ended }))
    }

    async fn all_of(&self, run: RunId) -> Result<(Vec<Task>, Vec<Agent>)> {
        let tasks = self.parts.store.tasks_of_run(run).await?;
        let agents = self.parts.store.agents_of_run(run).await?;
        Ok((tasks, agents.into_iter().map(|(agent, _)| agent).collect()))
    }

    fn end_of(
        &self,
        plan: &Plan,
        run: Run,
        tasks: &[Task],
        agents: Vec<Agent>,
    ) -> Result<Decision> {
        let failed = tasks.iter().any(Task::is_failure);
        let outputs = if failed {
            Ok(Value::Null)
        } else {
            outputs(plan, &expression_context(&run, tasks))
        };
        Ok(run.finish(tasks, agents, outputs, self.moment())?)
    }
}

/// What rows will be once a decision is written.
fn foresee(decision: &Decision, tasks: &mut [Task], agents: &mut [Agent]) {
    for change in &decision.changes {
        if let Change::Update(Row::Task(new)) = change {
            for task in tasks.iter_mut().filter(|task| task.id == new.id) {
                task.clone_from(new);
                task.version += 1;
            }
        }
        if let Change::Update(Row::Agent(new)) = change {
            for agent in agents.iter_mut().filter(|agent| agent.id == new.id) {
                agent.clone_from(new);
                agent.version += 1;
            }
        }
    }
}

/// The agents that a decision ends.
fn ended_in(decision: &Decision) -> Vec<Agent> {
    let agents = decision.changes.iter().filter_map(|change| {
        if let Change::Update(Row::Agent(agent)) = change {
            Some(&**agent)
        } else {
            None
        }
    });
    let ended = agents.filter(|agent| agent.state == AgentState::Terminated);
    ended.cloned().collect()
}

/// The state that a decision gives its run.
fn state_in(decision: &Decision) -> Option<WorkflowState> {
    decision.changes.iter().find_map(|change| {
        if let Change::Update(Row::Run(run)) = change {
            Some(run.state)
        } else {
            None
        }
    })
}

fn outputs(plan: &Plan, context: &Value) -> std::result::Result<Value, String> {
    let mut made = Map::new();
    for (name, template) in &plan.workflow.definition.outputs {
        let value = fusion_workflow_file::render(template, context)
            .map_err(|error| format!("the output '{name}' can't be made: {error}"))?;
        made.insert(name.clone(), value);
    }
    Ok(Value::Object(made))
}
