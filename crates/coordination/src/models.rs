//! Checks that every agent's model can be asked, before anything is made for the run.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::{Assignee, WorkflowDefinition};
use fusion_providers::{ModelRequest, Registry};
use fusion_workflow_file::chosen_models;
use serde_json::{Map, Value};

use crate::candidates::look_up;
use crate::{CheckedModel, Error, Result};

/// The models of each agent in the order they are asked, by the agent's name in the workflow file.
pub type Models = BTreeMap<String, Vec<CheckedModel>>;

/// Asks each agent's provider for its model, and those of its fallback models, chosen by the
/// resolved `inputs` where their names are templates. No side effect: nothing has to be undone when
/// it fails.
///
/// # Errors
/// A name can't be made of the inputs, a provider is unknown or can't be reached, its key is
/// missing, or it lacks the model; with fallback models, only if none of them can be asked.
pub async fn check_models(
    registry: &Registry,
    definition: &WorkflowDefinition,
    inputs: &Map<String, Value>,
    base_dir: &Path,
) -> Result<Models> {
    let mut models = Models::new();
    for (name, agent) in &definition.agents {
        let choices =
            chosen_models(agent, &definition.name, inputs).map_err(|source| Error::Choice {
                agent: name.clone(),
                source,
            })?;
        let steps: Vec<&str> = definition
            .steps
            .iter()
            .filter(|step| match &step.assignee {
                Assignee::Agent(assigned) => assigned == name,
                Assignee::Capabilities(required) => agent.capabilities.satisfies(required),
                Assignee::Runner => false,
            })
            .map(|step| step.id.as_str())
            .collect();
        let request = ModelRequest {
            // Each look-up puts its own in.
            model: "",
            // Outputs of an agent without tools are its answer: see `agents/src/brief.rs`.
            needs_tools: !agent.tools.is_empty(),
            needs_json_schema: false,
            base_dir,
            steps: &steps,
        };
        let checked = look_up(registry, choices, &request)
            .await
            .map_err(|(number, source)| Error::Model {
                agent: name.clone(),
                number: Some(number),
                source: Box::new(source),
            })?;
        models.insert(name.clone(), checked);
    }
    Ok(models)
}
