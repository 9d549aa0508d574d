//! Checks what agents are asked for, before anything is made.

use std::path::Path;

use fusion_core::{
    Agent, AgentSpec, AgentState, Capability, CapabilitySet, IMPORTED, MAX_LABEL, StateMachine,
    ToolGroup, is_label, nearest,
};
use fusion_messaging::Pattern;
use fusion_persistence::{CapabilityFilter, Page, ProviderFilter, Repository};
use fusion_providers::ModelRequest;
use fusion_web::{Hosts, MAX_HOSTS};
use serde_json::{Map, Value, json};

use super::{AgentUpdate, NewAgent, SPEC, STEP, refused, spec_of};
use crate::candidates::{CheckedModel, look_up, metadata};
use crate::{Coordinator, Error, Result};

/// Agents of one spawn at most.
pub const MAX_AGENTS: usize = 1_000;

/// Bytes of instructions at most.
const MAX_INSTRUCTIONS: usize = 256 * 1_024;

/// Bytes of an owner's metadata at most.
const MAX_METADATA: usize = 64 * 1_024;

/// Model calls in one task at most.
const MAX_TURNS: u32 = 200;

/// Patterns that an agent may listen to.
const MAX_PATTERNS: usize = 100;

/// How a host is written.
const HOST: &str = "hosts such as docs.rs, *.python.org or http://localhost:3000";

/// Capabilities that are read of the registry.
const REGISTERED: u32 = 10_000;

/// Members of the metadata that are the engine's own.
const RESERVED: [&str; 8] = [
    IMPORTED,
    "scripted",
    "models",
    "sandbox",
    SPEC,
    "paused",
    "ending",
    "restarting",
];

/// Something wrong with an agent that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// None was asked for, or too many.
    #[error("{count} agents can't be spawned at once: ask for 1 to {MAX_AGENTS}")]
    Count {
        /// How many.
        count: usize,
    },
    /// A name that is none.
    #[error("'{name}' is no name: it must have 1 to {MAX_LABEL} letters, digits, `_`, `-` or `.`")]
    Name {
        /// The name.
        name: String,
    },
    /// A capability that is not in the registry.
    #[error("there is no capability '{name}'{}", hint(.nearest.as_deref()))]
    Capability {
        /// The name.
        name: String,
        /// The registered name most like it.
        nearest: Option<String>,
    },
    /// A value beyond its limits.
    #[error("{what} must be {limit}")]
    Limit {
        /// The field.
        what: &'static str,
        /// What is allowed.
        limit: String,
    },
    /// A member of the metadata that the engine keeps for itself.
    #[error("'{name}' in the metadata belongs to the engine: take another name")]
    Reserved {
        /// The member.
        name: String,
    },
    /// A pattern of topics that is none.
    #[error("'{pattern}' is no pattern of topics: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        why: String,
    },
    /// The agent that a task is for can't do it.
    #[error("the agent '{name}' {why}")]
    Agent {
        /// Its name, or its id.
        name: String,
        /// Why not.
        why: String,
    },
    /// What a task needs will not end well.
    #[error("the task {id} {why}")]
    Dependency {
        /// Its id.
        id: String,
        /// Why not.
        why: String,
    },
    /// The project does not exist.
    #[error("there is no project {id}")]
    Project {
        /// Its id.
        id: String,
    },
}

impl Fault {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Count { .. } => "count",
            Self::Name { .. } => "name",
            Self::Capability { .. } => "capabilities",
            Self::Limit { what, .. } => what,
            Self::Reserved { .. } => "metadata",
            Self::Pattern { .. } => "message_subscriptions",
            Self::Agent { .. } => "agent_id",
            Self::Dependency { .. } => "dependencies",
            Self::Project { .. } => "project_id",
        }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |near| format!(": did you mean '{near}'?"))
}

impl Coordinator {
    /// All that is wrong with what was asked for.
    pub(super) async fn check(&self, new: &[NewAgent]) -> Result<()> {
        let mut faults = Vec::new();
        if !(1..=MAX_AGENTS).contains(&new.len()) {
            faults.push(Fault::Count { count: new.len() });
        }
        let known = self.registered_capabilities().await?;
        for agent in new.iter().take(MAX_AGENTS) {
            if !is_label(&agent.name) {
                let name = agent.name.chars().take(MAX_LABEL).collect();
                faults.push(Fault::Name { name });
            }
            check_spec(&agent.spec, &known, &mut faults);
            check_metadata(&agent.metadata, &mut faults);
            if let Some(id) = agent.project
                && !self.is_open_project(id).await?
            {
                faults.push(Fault::Project { id: id.to_string() });
            }
        }
        // Agents of one spawn are mostly alike.
        let mut told: Vec<Fault> = Vec::new();
        for fault in faults {
            if !told.contains(&fault) {
                told.push(fault);
            }
        }
        none_of(told)
    }

    /// All that is wrong with capabilities that are asked for.
    pub(crate) async fn check_capabilities(
        &self,
        names: &CapabilitySet,
        faults: &mut Vec<Fault>,
    ) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let known = self.registered_capabilities().await?;
        check_capabilities(names, &known, faults);
        Ok(())
    }

    /// The names in the registry; with none, every name is allowed.
    async fn registered_capabilities(&self) -> Result<Vec<String>> {
        let filter = CapabilityFilter::default();
        let store = &self.parts.store;
        let registered: Vec<Capability> = store.list(&filter, Page::first(REGISTERED)).await?;
        Ok(registered.into_iter().map(|entry| entry.name).collect())
    }

    /// Asks the provider for the models of an agent.
    pub(super) async fn models_for(
        &self,
        name: &str,
        spec: &AgentSpec,
        base_dir: &Path,
    ) -> Result<Vec<CheckedModel>> {
        let request = ModelRequest {
            // The look-up puts each of them in.
            model: "",
            needs_tools: !spec.tools.is_empty(),
            needs_json_schema: false,
            base_dir,
            steps: &[STEP],
        };
        look_up(&self.parts.providers, spec.models().collect(), &request)
            .await
            .map_err(|(number, source)| Error::Model {
                agent: name.to_owned(),
                number: Some(number),
                source: Box::new(source),
            })
    }

    /// The stored configuration of a provider, when it has one.
    pub(super) async fn provider_id(
        &self,
        provider: &str,
    ) -> Result<Option<fusion_core::ProviderId>> {
        let filter = ProviderFilter {
            name: Some(provider.to_owned()),
            ..ProviderFilter::default()
        };
        let stored = self.parts.store.list(&filter, Page::first(1)).await?;
        Ok(stored.first().map(|provider| provider.id))
    }

    /// An agent as an update makes it.
    pub(super) async fn changed(&self, mut agent: Agent, update: &AgentUpdate) -> Result<Agent> {
        if agent.state == AgentState::Terminated || !agent.is_standing() {
            let to = AgentState::Idle;
            let refusal = agent.state.step(to).err();
            return Err(match refusal {
                Some(source) => refused(&agent)(source),
                None => Error::OfRun { agent: agent.name },
            });
        }
        let mut spec = spec_of(&agent)?;
        let asks_again = update.provider.is_some() || update.model.is_some();
        merge(&mut spec, update);
        let known = self.registered_capabilities().await?;
        let mut faults = Vec::new();
        check_spec(&spec, &known, &mut faults);
        check_metadata(&update.metadata, &mut faults);
        none_of(faults)?;
        let mut kept = agent.metadata.as_object().cloned().unwrap_or_default();
        if asks_again {
            let models = self
                .models_for(&agent.name, &spec, &update.base_dir)
                .await?;
            put_models(&mut agent, &mut kept, &mut spec, &models)?;
            agent.provider_id = self.provider_id(&agent.provider).await?;
        }
        for (name, value) in &update.metadata {
            if value.is_null() {
                kept.remove(name);
            } else {
                kept.insert(name.clone(), value.clone());
            }
        }
        agent.capabilities = spec.capabilities.clone();
        kept.insert(SPEC.to_owned(), json!(spec));
        agent.metadata = Value::Object(kept);
        Ok(agent)
    }
}

/// Writes which models serve an agent into its row and what it works with.
pub(super) fn put_models(
    agent: &mut Agent,
    kept: &mut Map<String, Value>,
    spec: &mut AgentSpec,
    models: &[CheckedModel],
) -> Result<()> {
    let Some(first) = models.first() else {
        return Err(Error::Broken(format!(
            "no model serves agent '{}'",
            agent.name
        )));
    };
    agent.provider.clone_from(&first.provider);
    agent.model_name.clone_from(&first.model);
    spec.provider.clone_from(&first.provider);
    spec.model.clone_from(&first.model);
    if let Value::Object(told) = metadata(models) {
        kept.extend(told);
    }
    Ok(())
}

fn merge(spec: &mut AgentSpec, update: &AgentUpdate) {
    let AgentUpdate {
        provider,
        model,
        capabilities,
        instructions,
        tools,
        max_turns,
        limit,
        metadata: _,
        base_dir: _,
    } = update.clone();
    spec.provider = provider.unwrap_or_else(|| spec.provider.clone());
    spec.model = model.unwrap_or_else(|| spec.model.clone());
    spec.capabilities = capabilities.unwrap_or_else(|| spec.capabilities.clone());
    spec.instructions = instructions.unwrap_or_else(|| spec.instructions.clone());
    spec.tools = tools.unwrap_or_else(|| spec.tools.clone());
    spec.max_turns = max_turns.unwrap_or(spec.max_turns);
    spec.budget = limit.unwrap_or(spec.budget);
}

fn none_of(faults: Vec<Fault>) -> Result<()> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::Description { faults })
    }
}

fn check_spec(spec: &AgentSpec, known: &[String], faults: &mut Vec<Fault>) {
    check_capabilities(&spec.capabilities, known, faults);
    let mut limit = |what, fits: bool, limit: String| {
        if !fits {
            faults.push(Fault::Limit { what, limit });
        }
    };
    let turns = 1..=MAX_TURNS;
    limit(
        "max_turns",
        turns.contains(&spec.max_turns),
        format!("from 1 to {MAX_TURNS}"),
    );
    let bytes = spec.instructions.len();
    let most = format!("{MAX_INSTRUCTIONS} bytes at most");
    limit("instructions", bytes <= MAX_INSTRUCTIONS, most);
    let heat = spec.temperature.unwrap_or_default();
    limit(
        "temperature",
        (0.0..=2.0).contains(&heat),
        "from 0 to 2".to_owned(),
    );
    let has_web = spec.tools.contains(&ToolGroup::Web);
    limit(
        "hosts",
        has_web != spec.web_hosts.is_empty(),
        "given with the tools `web`, and only with them".to_owned(),
    );
    limit(
        "hosts",
        spec.web_hosts.len() <= MAX_HOSTS,
        format!("{MAX_HOSTS} at most"),
    );
    for host in &spec.web_hosts {
        let host = vec![host.clone()];
        limit("hosts", Hosts::try_from(host).is_ok(), HOST.to_owned());
    }
    let count = spec.subscriptions.len();
    let most = format!("{MAX_PATTERNS} patterns at most");
    limit("message_subscriptions", count <= MAX_PATTERNS, most);
    for (what, text) in [("provider", &spec.provider), ("model_name", &spec.model)] {
        let fits = !text.is_empty() && text.len() <= MAX_PATH;
        limit(what, fits, format!("1 to {MAX_PATH} bytes"));
    }
    for pattern in spec.subscriptions.iter().take(MAX_PATTERNS) {
        if let Err(error) = pattern.parse::<Pattern>() {
            let (pattern, why) = (pattern.clone(), error.to_string());
            faults.push(Fault::Pattern { pattern, why });
        }
    }
}

/// The longest name of a provider or a model: that of a scripted one is a path.
const MAX_PATH: usize = 4_096;

fn check_capabilities(names: &CapabilitySet, known: &[String], faults: &mut Vec<Fault>) {
    for name in names.iter() {
        if !is_label(name) {
            let name = name.chars().take(MAX_LABEL).collect();
            faults.push(Fault::Name { name });
        } else if !known.is_empty() && !known.iter().any(|one| one == name) {
            faults.push(Fault::Capability {
                name: name.to_owned(),
                nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            });
        }
    }
}

fn check_metadata(metadata: &Map<String, Value>, faults: &mut Vec<Fault>) {
    for name in metadata
        .keys()
        .filter(|name| RESERVED.contains(&name.as_str()))
    {
        faults.push(Fault::Reserved { name: name.clone() });
    }
    let bytes = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_METADATA {
        faults.push(Fault::Limit {
            what: "metadata",
            limit: format!("{MAX_METADATA} bytes at most"),
        });
    }
}
