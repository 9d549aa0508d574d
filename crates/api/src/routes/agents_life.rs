//! The life of agents: spawned, held, let go on, changed, ended.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::{self, AgentAction, NewAgent};
use fusion_coordination::AgentUpdate;
use fusion_core::{Agent, AgentId, AgentSpec, AgentState, Disposal, PauseAt, Project, ToolGroup};
use fusion_persistence::Repository;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::path::Id;
use crate::idempotency::Asked;
use crate::input::{Fields, Input, MAX_BODY, parsed};
use crate::precondition::{check, json, resource};
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::state::App;
use crate::views;

/// What is told of agents.
const KIND: &str = "agent";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(spawn))
        .routes(routes!(act, end))
}

/// Spawns an agent that lives outside of runs. Its model is asked for and its workspace made before
/// this is answered. An `Idempotency-Key` is refused: a spawn is more than one commit.
#[utoipa::path(post, path = "/agents", tag = "agents", request_body = NewAgent,
    responses((status = 201, body = api::Agent)))]
async fn spawn(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    if asked.has_key() {
        let message = "can't be used here: a spawn is more than one commit";
        return Err(Refusal::fault("Idempotency-Key", message));
    }
    let mut fields = input.fields(&[
        "name",
        "capabilities",
        "provider_id",
        "provider",
        "model_name",
        "project_id",
        "instructions",
        "tools",
        "max_turns",
        "metadata",
    ]);
    let wanted = Wanted::read(&mut fields);
    fields.finish()?;
    let new = wanted.resolved(&app).await?;
    let spawned = app.coordinator().spawn_agents(vec![new]).await?;
    let Some(agent) = spawned.into_iter().next() else {
        return Err(Refusal::internal("a spawn gave no agent"));
    };
    tell(&app, &asked, "spawned", agent.id).await;
    json(StatusCode::CREATED, &views::agent(agent))
}

/// A spawn that was read.
struct Wanted {
    name: String,
    spec: AgentSpec,
    provider_id: Option<fusion_core::ProviderId>,
    project: Option<fusion_core::ProjectId>,
    metadata: Map<String, Value>,
}

impl Wanted {
    fn read(fields: &mut Fields<'_>) -> Self {
        let provider_id = fields.read("provider_id", parsed);
        let provider = fields.name("provider").unwrap_or_default().to_owned();
        if provider_id.is_some() && !provider.is_empty() {
            fields.add("provider", "can't be given together with provider_id");
        }
        let mut spec = AgentSpec::new(provider, fields.needed_name("model_name"));
        let capabilities: Vec<String> = fields.ids("capabilities").unwrap_or_default();
        spec.capabilities = capabilities.into_iter().collect();
        spec.tools = tools(fields).unwrap_or_default();
        let instructions = fields.text("instructions", MAX_BODY);
        instructions
            .unwrap_or_default()
            .clone_into(&mut spec.instructions);
        spec.max_turns = fields.number("max_turns").unwrap_or(spec.max_turns);
        Self {
            name: fields.needed_name("name"),
            spec,
            provider_id,
            project: fields.read("project_id", parsed),
            metadata: metadata(fields),
        }
    }

    /// With the name of its provider: that which is named, else its project's.
    async fn resolved(mut self, app: &App) -> Result<fusion_coordination::NewAgent> {
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
            let row: Option<fusion_core::ProviderConfig> = app.reader().find(id).await?;
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
            base_dir: app.options.data_dir.join("workflows"),
        })
    }
}

fn tools(fields: &mut Fields<'_>) -> Option<Vec<ToolGroup>> {
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

fn metadata(fields: &mut Fields<'_>) -> Map<String, Value> {
    match fields.object("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        )
        | None => Map::new(),
    }
}

/// What a request wants of an agent.
enum Action {
    Pause(PauseAt),
    Resume,
    Update(Box<AgentUpdate>),
}

/// Holds an agent, lets it go on, or changes what it works with.
#[utoipa::path(patch, path = "/agents/{id}", tag = "agents", request_body = AgentAction,
    params(("id" = String, Path, description = "UUID of the agent.")),
    responses((status = 200, body = api::Agent)))]
async fn act(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    asked: Asked,
    headers: HeaderMap,
    input: Input,
) -> Result<Response> {
    let mut fields = input.fields(&["action", "at", "config"]);
    let action = action(&app, &mut fields);
    fields.finish()?;
    let before: Agent = app.reader().get(id).await?;
    check(&headers, before.version)?;
    let engine = app.coordinator();
    let (agent, done) = match action {
        Some(Action::Pause(at)) => (engine.pause_agent(id, at).await?, "paused"),
        Some(Action::Resume) => (engine.resume_agent(id).await?, "resumed"),
        Some(Action::Update(update)) => (engine.update_agent(id, *update).await?, "updated"),
        None => return Err(Refusal::fault("/action", "is required")),
    };
    tell(&app, &asked, done, id).await;
    resource(&HeaderMap::new(), agent.version, &views::agent(agent))
}

fn action(app: &App, fields: &mut Fields<'_>) -> Option<Action> {
    let at = fields.read("at", |text| {
        word(text, PauseAt::from_text, PauseAt::ALL, PauseAt::as_str)
    });
    let update = config(app, fields);
    let words = "must be one of: pause, resume, update_config";
    match fields
        .needed("action", |text| Ok::<_, String>(text.to_owned()))?
        .as_str()
    {
        "pause" => Some(Action::Pause(at.unwrap_or(PauseAt::NextStep))),
        "resume" => Some(Action::Resume),
        "update_config" => {
            if update.is_none() {
                fields.add("config", "is required for update_config");
            }
            update.map(|update| Action::Update(Box::new(update)))
        }
        _ => {
            fields.add("action", words);
            None
        }
    }
}

fn config(app: &App, fields: &mut Fields<'_>) -> Option<AgentUpdate> {
    let mut config = fields.within(
        "config",
        &[
            "provider",
            "model_name",
            "capabilities",
            "instructions",
            "tools",
            "max_turns",
            "metadata",
        ],
    )?;
    let own = |text: Option<&str>| text.map(str::to_owned);
    let capabilities: Option<Vec<String>> = config.ids("capabilities");
    let update = AgentUpdate {
        provider: own(config.name("provider")),
        model: own(config.name("model_name")),
        capabilities: capabilities.map(|names| names.into_iter().collect()),
        instructions: own(config.text("instructions", MAX_BODY)),
        tools: tools(&mut config),
        max_turns: config.number("max_turns"),
        metadata: metadata(&mut config),
        base_dir: app.options.data_dir.join("workflows"),
    };
    fields.absorb(config);
    Some(update)
}

/// Ends an agent for good; its history stays. Ending it again changes nothing.
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("workspace" = Option<String>, Query, description = "What becomes of its directory: `keep` (without it), `archive` or `remove`."),
), responses((status = 204, description = "It has ended.")))]
async fn end(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let mut query = query.of(&["workspace"]);
    let disposal = query.one("workspace", |text| {
        word(text, Disposal::from_text, Disposal::ALL, Disposal::as_str)
    });
    query.finish()?;
    let agent: Agent = app.reader().get(id).await?;
    check(&headers, agent.version)?;
    if agent.state != AgentState::Terminated {
        let disposal = disposal.unwrap_or(Disposal::Keep);
        app.coordinator().terminate_agent(id, disposal).await?;
        tell(&app, &asked, "terminated", id).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The engine made the change in commits of its own: who asked is told after it.
async fn tell(app: &App, asked: &Asked, done: &str, id: AgentId) {
    let told = app
        .coordinator()
        .tell_change(asked.actor(), done, KIND, id.uuid());
    if let Err(error) = told.await {
        tracing::error!(%error, done, %id, "who changed an agent could not be told");
    }
}
