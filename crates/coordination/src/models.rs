//! Checks that every agent's model can be asked, before anything is made for the run.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::{Assignee, WorkflowDefinition};
use fusion_providers::{ModelInfo, ModelRequest, Registry};

use crate::{Error, Result};

/// The resolved model of each agent, by the agent's name in the workflow file.
pub type Models = BTreeMap<String, ModelInfo>;

/// Asks each agent's provider for its model. No side effect: nothing has to be undone when
/// it fails.
///
/// # Errors
/// A provider is unknown or can't be reached, its key is missing, or it lacks the model.
pub async fn check_models(
    registry: &Registry,
    definition: &WorkflowDefinition,
    base_dir: &Path,
) -> Result<Models> {
    let mut models = Models::new();
    for (name, agent) in &definition.agents {
        let failed = |source| Error::Model {
            agent: name.clone(),
            source,
        };
        let steps: Vec<&str> = definition
            .steps
            .iter()
            .filter(|step| match &step.assignee {
                Assignee::Agent(assigned) => assigned == name,
                Assignee::Capabilities(required) => agent.capabilities.satisfies(required),
            })
            .map(|step| step.id.as_str())
            .collect();
        let hands_in = steps.iter().any(|id| {
            definition
                .step(id)
                .is_some_and(|step| !step.outputs.is_empty())
        });
        let request = ModelRequest {
            model: &agent.model,
            needs_tools: !agent.tools.is_empty() || hands_in,
            needs_json_schema: false,
            base_dir,
            steps: &steps,
        };
        let provider = registry.get(&agent.provider).map_err(failed)?;
        models.insert(
            name.clone(),
            provider.spawn_agent(&request).await.map_err(failed)?,
        );
    }
    Ok(models)
}
