//! An agent that is asked for, as a body describes it.

use std::path::PathBuf;

use fusion_core::{AgentSpec, Project, ProjectId, ProviderConfig, ProviderId, ToolGroup};
use serde_json::{Map, Value};

use super::new_workspace::workspace;
use super::path::{folder, may_name_folders};
use super::tasks_life::limit;
use crate::idempotency::Asked;
use crate::input::{Fields, MAX_BODY, parsed};
use crate::problem::{Refusal, Result};
use crate::query::word;
use crate::state::App;

/// The fields that there may be.
pub(super) const FIELDS: &[&str] = &[
    "name",
    "capabilities",
    "provider_id",
    "provider",
    "model_name",
    "project_id",
    "instructions",
    "tools",
    "hosts",
    "max_turns",
    "max_cost_usd",
    "workspace",
    "base_dir",
    "metadata",
];

/// A spawn that was read.
pub(super) struct Wanted {
    name: String,
    spec: AgentSpec,
    provider_id: Option<ProviderId>,
    project: Option<ProjectId>,
    base_dir: Option<PathBuf>,
    metadata: Map<String, Value>,
}

impl Wanted {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let provider_id = fields.read("provider_id", parsed);
        let provider = fields.name("provider").unwrap_or_default().to_owned();
        if provider_id.is_some() && !provider.is_empty() {
            fields.add("provider", "can't be given together with provider_id");
        }
        let mut spec = AgentSpec::new(provider, fields.needed_name("model_name"));
        let capabilities: Vec<String> = fields.ids("capabilities").unwrap_or_default();
        spec.capabilities = capabilities.into_iter().collect();
        spec.tools = tools(fields).unwrap_or_default();
        spec.web_hosts = fields.ids("hosts").unwrap_or_default();
        let instructions = fields.text("instructions", MAX_BODY);
        instructions
            .unwrap_or_default()
            .clone_into(&mut spec.instructions);
        spec.max_turns = fields.number("max_turns").unwrap_or(spec.max_turns);
        spec.budget = limit(fields).unwrap_or_default();
        spec.workspace = workspace(fields);
        Self {
            name: fields.needed_name("name"),
            spec,
            provider_id,
            project: fields.read("project_id", parsed),
            base_dir: fields.read("base_dir", folder),
            metadata: metadata(fields),
        }
    }

    /// With the name of its provider: that which is named, else its project's.
    pub(super) async fn resolved(
        mut self,
        app: &App,
        asked: &Asked,
    ) -> Result<fusion_coordination::NewAgent> {
        if self.base_dir.is_some() || !self.spec.workspace.is_usual() {
            may_name_folders(asked)?;
        }
        let project: Option<Project> = match self.project {
            Some(id) => app.reader().find(id).await?,
            None => None,
        };
        if self.project.is_some() && project.is_none() {
            return Err(Refusal::fault("/project_id", "there is no such project"));
        }
        let default = project.and_then(|project| project.default_provider_id);
        let is_named = !self.spec.provider.is_empty();
        if let Some(id) = self.provider_id.or_else(|| default.filter(|_| !is_named)) {
            let row: Option<ProviderConfig> = app.reader().find(id).await?;
            let row = row.ok_or_else(|| {
                Refusal::fault("/provider_id", format!("there is no provider {id}"))
            })?;
            self.spec.provider = row.name;
        }
        if self.spec.provider.is_empty() {
            let message = "is required: provider_id, provider, or a project with a provider";
            return Err(Refusal::fault("/provider_id", message));
        }
        Ok(fusion_coordination::NewAgent {
            name: self.name,
            spec: self.spec,
            project: self.project,
            metadata: self.metadata,
            base_dir: self
                .base_dir
                .unwrap_or_else(|| app.options.data_dir.join("workflows")),
        })
    }
}

pub(super) fn tools(fields: &mut Fields<'_>) -> Option<Vec<ToolGroup>> {
    let names: Vec<String> = fields.ids("tools")?;
    let mut groups = Vec::new();
    for name in names {
        match word(
            &name,
            ToolGroup::from_text,
            ToolGroup::ALL,
            ToolGroup::as_str,
        ) {
            Ok(group) if groups.contains(&group) => {}
            Ok(group) => groups.push(group),
            Err(message) => fields.add("tools", message),
        }
    }
    Some(groups)
}

pub(super) fn metadata(fields: &mut Fields<'_>) -> Map<String, Value> {
    match fields.object("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        )
        | None => Map::new(),
    }
}
