//! Several agents in one request: spawned all or none; held, let go on and ended each by itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{AgentsMade, BulkAgents, BulkAnswer, BulkResult, NewAgents};
use fusion_coordination::{Error as EngineError, NewAgent};
use fusion_core::{Agent, AgentId, AgentState, Disposal, PauseAt, error_chain};
use fusion_persistence::{AgentFilter, Error as StoreError, Page, Repository};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::agents_life::tell;
use super::new_agent::{FIELDS, Wanted};
use crate::idempotency::{Asked, made, replayed};
use crate::input::{Fields, Input};
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

/// Agents of one request at most.
const MOST: u32 = 1_000;

/// Who has not ended.
const LIVING: [AgentState; 5] = [
    AgentState::Spawning,
    AgentState::Idle,
    AgentState::Working,
    AgentState::Paused,
    AgentState::Error,
];

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(spawn)).routes(routes!(act))
}

/// Spawns agents that are alike, all of them or none.
#[utoipa::path(post, path = "/agents/batch", tag = "agents", operation_id = "spawn_batch", request_body = NewAgents,
    responses((status = 201, body = AgentsMade)))]
async fn spawn(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["agent", "count"]);
    let (wanted, count) = batch(&mut fields);
    fields.finish()?;
    let Some(wanted) = wanted else {
        return Err(Refusal::fault("/agent", "is required"));
    };
    let _turn = asked.turn(&app).await;
    if let Some(answer) = asked.remembered(&app, &input.bytes).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let one = wanted.resolved(&app, &asked).await?;
    let all = (1..=count).map(|number| NewAgent {
        name: format!("{}-{number}", one.name),
        ..one.clone()
    });
    let now = app.moment().now;
    let ask = |agents: &[Agent]| asked.ask(now, &input.bytes, || answer(agents.to_vec()));
    let spawned = app
        .coordinator()
        .spawn_agents_asked(all.collect(), ask)
        .await;
    match spawned {
        Ok(agents) => json(StatusCode::CREATED, &answer(agents)),
        Err(error) => made(Err(error), StatusCode::CREATED, &Value::Null),
    }
}

fn batch(fields: &mut Fields<'_>) -> (Option<Wanted>, u32) {
    let count: u32 = fields.number("count").unwrap_or_default();
    if count == 0 || count > MOST {
        fields.add("count", format!("must be a number from 1 to {MOST}"));
    }
    let wanted = fields.within("agent", FIELDS).map(|mut agent| {
        let wanted = Wanted::read(&mut agent);
        fields.absorb(agent);
        wanted
    });
    if !fields.has("agent") {
        fields.add("agent", "is required");
    }
    (wanted, count)
}

fn answer(agents: Vec<Agent>) -> AgentsMade {
    AgentsMade {
        agents: agents.into_iter().map(views::agent).collect(),
    }
}

/// What is to be done with each.
#[derive(Debug, Clone)]
enum Action {
    Pause(PauseAt),
    Resume,
    Restart(PauseAt),
    /// Those in one of these states; without any all.
    Terminate(Disposal, Vec<AgentState>),
}

/// Holds agents, lets them go on, does both one after the other, or ends them. Who can't be does not keep
/// the others. Ending one that has ended changes nothing. With `if_state` an agent that has left these states
/// is not ended, whatever it was when who asks looked.
#[utoipa::path(post, path = "/agents/bulk", tag = "agents", operation_id = "act_bulk", request_body = BulkAgents,
    responses((status = 200, body = BulkAnswer)))]
async fn act(State(app): State<App>, asked: Asked, query: Query, input: Input) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["action", "ids", "all", "at", "workspace", "if_state"]);
    let action = action(&mut fields);
    let ids = fields.ids::<AgentId>("ids");
    let all = fields.flag("all").unwrap_or_default();
    if all == ids.is_some() {
        fields.add("ids", "either ids are given or all is true");
    }
    fields.finish()?;
    let ids = match ids {
        Some(ids) => ids,
        None => standing(&app).await?,
    };
    let action = action.ok_or_else(|| Refusal::fault("/action", "is required"))?;
    let (app, asked, action) = (&app, &asked, &action);
    let each = stream::iter(ids).map(|id| async move { one(app, asked, id, action).await });
    let results = each.buffered(action.at_once()).try_collect().await?;
    json(StatusCode::OK, &BulkAnswer { results })
}

impl Action {
    /// How many agents are asked at the same time: a restart waits for a worker, the others don't wait.
    const fn at_once(&self) -> usize {
        match self {
            Self::Restart(_) => 100,
            Self::Pause(_) | Self::Resume | Self::Terminate(..) => 1,
        }
    }
}

fn action(fields: &mut Fields<'_>) -> Option<Action> {
    let at = fields.read("at", |text| {
        word(text, PauseAt::from_text, PauseAt::ALL, PauseAt::as_str)
    });
    let disposal = fields.read("workspace", |text| {
        word(text, Disposal::from_text, Disposal::ALL, Disposal::as_str)
    });
    let states = states(fields);
    let action = fields.needed("action", |text| match text {
        "pause" => Ok(Action::Pause(at.unwrap_or(PauseAt::NextStep))),
        "resume" => Ok(Action::Resume),
        "restart" => Ok(Action::Restart(at.unwrap_or(PauseAt::NextStep))),
        "terminate" => Ok(Action::Terminate(
            disposal.unwrap_or(Disposal::Keep),
            states,
        )),
        _ => Err("must be one of: pause, resume, restart, terminate".to_owned()),
    });
    let may_ask = matches!(action, Some(Action::Terminate(..)) | None);
    if !may_ask && fields.is_given("if_state") {
        fields.add("if_state", "must be given with `terminate` only");
    }
    action
}

/// The states that are named; none where nothing is said of them. An empty list is refused: it names nobody, and
/// must not end everybody.
fn states(fields: &mut Fields<'_>) -> Vec<AgentState> {
    let Some(names) = fields.ids::<String>("if_state") else {
        return Vec::new();
    };
    if names.is_empty() {
        fields.add(
            "if_state",
            "must not be empty: leave it out for agents in whichever state",
        );
    }
    let mut states = Vec::new();
    let living = |text: &str| AgentState::from_text(text).filter(|state| LIVING.contains(state));
    for name in names {
        match word(&name, living, &LIVING, AgentState::as_str) {
            Ok(state) => states.push(state),
            Err(message) => fields.add("if_state", message),
        }
    }
    states
}

/// Every living agent that belongs to no run.
async fn standing(app: &App) -> Result<Vec<AgentId>> {
    let filter = AgentFilter {
        states: LIVING.to_vec(),
        standing: true,
        ..AgentFilter::default()
    };
    let agents = app.reader().list(&filter, Page::first(MOST)).await?;
    Ok(agents.into_iter().map(|agent| agent.id).collect())
}

/// # Errors
/// The store is away: what was done before is done, and asking again does no harm.
async fn one(app: &App, asked: &Asked, id: AgentId, action: &Action) -> Result<BulkResult> {
    let found: Option<Agent> = app.reader().find(id).await?;
    let Some(before) = found else {
        return Ok(BulkResult {
            id: id.to_string(),
            agent: None,
            error: Some(format!("there is no agent {id}")),
        });
    };
    let has_ended = before.state == AgentState::Terminated;
    let engine = app.coordinator();
    let (done, word) = match action {
        Action::Pause(at) => (engine.pause_agent(id, *at).await, "paused"),
        Action::Resume => (engine.resume_agent(id).await, "resumed"),
        Action::Restart(at) => (engine.restart_agent(id, *at).await, "restarted"),
        Action::Terminate(..) if has_ended => (Ok(before.clone()), "terminated"),
        Action::Terminate(disposal, states) => {
            let ended = engine.terminate_agent_if(id, *disposal, states);
            (ended.await, "terminated")
        }
    };
    match done {
        Ok(agent) => {
            if agent.version != before.version {
                tell(app, asked, word, id).await;
            }
            Ok(BulkResult {
                id: id.to_string(),
                agent: Some(views::agent(agent)),
                error: None,
            })
        }
        Err(error @ EngineError::Store(StoreError::Unavailable { .. })) => Err(error.into()),
        Err(error) => Ok(BulkResult {
            id: id.to_string(),
            agent: Some(views::agent(before)),
            error: Some(error_chain(&error)),
        }),
    }
}
