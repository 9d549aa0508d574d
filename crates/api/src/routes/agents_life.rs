//! The life of agents: spawned, held, let go on, changed, ended.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::{self, AgentAction, NewAgent};
use fusion_coordination::{AgentUpdate, Coordinator};
use fusion_core::{Agent, AgentId, AgentState, Budget, Disposal, PauseAt};
use fusion_persistence::Repository;
use serde_json::Value;

use super::new_agent::{FIELDS, Wanted, metadata, tools};
use super::path::{Id, folder, may_name_folders};
use crate::dry_run::tried;
use crate::idempotency::{Asked, made, replayed};
use crate::input::{Fields, Input, MAX_BODY};
use crate::parameters::Trying;
use crate::precondition::{check, json, resource};
use crate::problem::{Refusal, Result};
use crate::query::{DRY_RUN, Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

/// What is told of agents.
const KIND: &str = "agent";

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(spawn)).routes(routes!(act, end))
}

/// Spawns an agent that lives outside of runs. Its model is asked for and its workspace made before
/// this is answered.
#[utoipa::path(post, path = "/agents", tag = "agents", request_body = NewAgent,
    responses((status = 201, body = api::Agent)))]
async fn spawn(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(FIELDS);
    let wanted = Wanted::read(&mut fields);
    fields.finish()?;
    let _turn = asked.turn(&app).await;
    if let Some(answer) = asked.remembered(&app, &input.bytes).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let new = wanted.resolved(&app, &asked).await?;
    let now = app.moment().now;
    let ask = |agents: &[Agent]| {
        let answer = agents.first().cloned().map(views::agent);
        asked.ask(now, &input.bytes, || answer)
    };
    match app.coordinator().spawn_agents_asked(vec![new], ask).await {
        Ok(spawned) => match spawned.into_iter().next() {
            Some(agent) => json(StatusCode::CREATED, &views::agent(agent)),
            None => Err(Refusal::internal("a spawn gave no agent")),
        },
        Err(error) => made(Err(error), StatusCode::CREATED, &Value::Null),
    }
}

/// What a request wants of an agent.
enum Action {
    Pause(PauseAt),
    Resume,
    Restart(PauseAt),
    Update(Box<AgentUpdate>),
}

/// Holds an agent, lets it go on, does both one after the other, or changes what it works with.
#[utoipa::path(patch, path = "/agents/{id}", tag = "agents", request_body = AgentAction,
    params(("id" = String, Path, description = "UUID of the agent."), Trying),
    responses((status = 200, body = api::Agent)))]
async fn act(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let mut fields = input.fields(&["action", "at", "config"]);
    let mut names_folder = false;
    let action = action(&app, &mut fields, &mut names_folder);
    fields.finish()?;
    if names_folder {
        may_name_folders(&asked)?;
    }
    let before: Agent = app.reader().get(id).await?;
    check(&headers, before.version)?;
    let action = action.ok_or_else(|| Refusal::fault("/action", "is required"))?;
    if dry_run {
        let by = &asked.actor().name;
        return tried(&app, |dry| acted(dry, id, action, by)).await;
    }
    let by = &asked.actor().name;
    let (agent, done) = acted(app.coordinator().clone(), id, action, by).await?;
    tell(&app, &asked, done, id).await;
    resource(&HeaderMap::new(), agent.version, &views::agent(agent))
}

/// Does it for who asked, and says what was done.
async fn acted(
    engine: Coordinator,
    id: AgentId,
    action: Action,
    by: &str,
) -> fusion_coordination::Result<(Agent, &'static str)> {
    Ok(match action {
        Action::Pause(at) => (engine.pause_agent(id, at).await?, "paused"),
        Action::Resume => (engine.resume_agent(id).await?, "resumed"),
        Action::Restart(at) => (engine.restart_agent(id, at).await?, "restarted"),
        Action::Update(update) => (engine.update_agent(id, *update, by).await?, "updated"),
    })
}

fn action(app: &App, fields: &mut Fields<'_>, names_folder: &mut bool) -> Option<Action> {
    let at = fields.read("at", |text| {
        word(text, PauseAt::from_text, PauseAt::ALL, PauseAt::as_str)
    });
    let update = config(app, fields, names_folder);
    let words = "must be one of: pause, resume, restart, update_config";
    match fields
        .needed("action", |text| Ok::<_, String>(text.to_owned()))?
        .as_str()
    {
        "pause" => Some(Action::Pause(at.unwrap_or(PauseAt::NextStep))),
        "resume" => Some(Action::Resume),
        "restart" => Some(Action::Restart(at.unwrap_or(PauseAt::NextStep))),
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

fn config(app: &App, fields: &mut Fields<'_>, names_folder: &mut bool) -> Option<AgentUpdate> {
    let mut config = fields.within(
        "config",
        &[
            "provider",
            "model_name",
            "capabilities",
            "instructions",
            "tools",
            "max_turns",
            "max_cost_usd",
            "base_dir",
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
        limit: config.read("max_cost_usd", Budget::read_usd),
        metadata: metadata(&mut config),
        base_dir: match config.read("base_dir", folder) {
            Some(folder) => {
                *names_folder = true;
                folder
            }
            None => app.options.data_dir.join("workflows"),
        },
    };
    fields.absorb(config);
    Some(update)
}

/// Ends an agent for good; its history stays. Ending it again changes nothing.
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", params(
    ("id" = String, Path, description = "UUID of the agent."),
    ("workspace" = Option<String>, Query, description = "What becomes of its directory: `keep` (without it), `archive` or `remove`."),
    Trying,
), responses((status = 204, description = "It has ended.")))]
async fn end(
    State(app): State<App>,
    Id(id): Id<AgentId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let mut query = query.of(&["workspace", DRY_RUN]);
    let dry_run = query.dry_run();
    let disposal = query.one("workspace", |text| {
        word(text, Disposal::from_text, Disposal::ALL, Disposal::as_str)
    });
    query.finish()?;
    let agent: Agent = app.reader().get(id).await?;
    check(&headers, agent.version)?;
    let disposal = disposal.unwrap_or(Disposal::Keep);
    let has_ended = agent.state == AgentState::Terminated;
    if dry_run {
        let trying = |dry: Coordinator| async move {
            match has_ended {
                true => Ok(agent),
                false => dry.terminate_agent(id, disposal).await,
            }
        };
        return tried(&app, trying).await;
    }
    if !has_ended {
        app.coordinator().terminate_agent(id, disposal).await?;
        tell(&app, &asked, "terminated", id).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The engine made the change in commits of its own: who asked is told after it.
pub(super) async fn tell(app: &App, asked: &Asked, done: &str, id: AgentId) {
    let told = app
        .coordinator()
        .tell_change(asked.actor(), done, KIND, id.uuid());
    if let Err(error) = told.await {
        tracing::error!(%error, done, %id, "who changed an agent could not be told");
    }
}
