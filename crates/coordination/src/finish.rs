//! Ends a run whose tasks have all ended.

use fusion_core::{Agent, AgentState, Change, Decision, Row, Run, Task, WorkflowState};
use fusion_persistence::Batch;
use serde_json::{Map, Value};

use crate::expression_context::expression_context;
use crate::plan::Plan;
use crate::{Coordinator, Result};

impl Coordinator {
    /// Gathers the run's outputs, ends it and its agents. That another process did so meanwhile, or that
    /// an agent was paused, is no failure: it says `None`, and the run is looked at again.
    pub(crate) async fn finish(&self, plan: &Plan, run: Run) -> Result<Option<WorkflowState>> {
        let tasks = self.parts.store.tasks_of_run(run.id).await?;
        let agents = self.parts.store.agents_of_run(run.id).await?;
        let failed = tasks.iter().any(Task::is_failure);
        let outputs = if failed {
            Ok(Value::Null)
        } else {
            outputs(plan, &expression_context(&run, &tasks))
        };
        let agents = agents.into_iter().map(|(agent, _)| agent).collect();
        let decision = run.finish(&tasks, agents, outputs, self.moment())?;
        let state = state_in(&decision);
        let ended = ended_in(&decision);
        match self.commit(Batch::new(plan.guard(), decision)).await {
            Err(error) if error.is_conflict() => return Ok(None),
            other => other?,
        }
        self.discard_all_shared(&ended).await?;
        Ok(state)
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
