//! Stored providers. A key goes in and comes out nowhere.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::ProviderTest;
use fusion_api_types::api::{self, NewProvider, ProviderChanges, ProviderPage, RateLimits};
use fusion_core::{Agent, AgentState, ProviderConfig, ProviderId};
use fusion_persistence::{AgentFilter, Page, ProviderFilter, Repository};
use serde_json::Value;

use super::path::Id;
use super::records;
use crate::idempotency::Asked;
use crate::input::{Fields, Input, parsed};
use crate::page;
use crate::parameters::{Paging, Trying};
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{DRY_RUN, MAX_LIMIT, Query, flag};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

/// The longest key, in characters.
const MAX_KEY: usize = 8 * 1024;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(get, change, replace, delete))
        .routes(routes!(test))
}

/// The stored providers, the newest first.
#[utoipa::path(get, path = "/providers", tag = "providers", params(
    ("name" = Option<String>, Query, description = "Only the one of this name."),
    ("provider_type" = Option<String>, Query, description = "Only those of this type."),
    ("enabled" = Option<bool>, Query, description = "Only those that are enabled, or not."),
    Paging,
), responses((status = 200, body = ProviderPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["name", "provider_type", "enabled", "limit", "cursor"]);
    let filter = ProviderFilter {
        name: query.one("name", parsed),
        provider_type: query.one("provider_type", parsed),
        enabled: query.one("enabled", flag),
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// Stores a provider; runs can use it from now on. Nobody is asked.
#[utoipa::path(post, path = "/providers", tag = "providers", request_body = NewProvider,
    responses((status = 201, body = api::Provider)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let new = read(&input)?;
    let desk = &app.parts.desk;
    let row = || Ok(desk.row(&new)?);
    let kept = |row: &ProviderConfig| desk.use_row(row);
    records::created(&app, (&asked, &input), row, views::provider, kept).await
}

/// A provider as it was sent.
fn read(input: &Input) -> Result<NewProvider> {
    let mut fields = input.fields(&[
        "name",
        "provider_type",
        "api_endpoint",
        "credentials",
        "rate_limits",
        "max_concurrent",
        "allow_plain_http",
        "allow_private_addresses",
    ]);
    let own = |text: Option<&str>| text.map(str::to_owned);
    let new = NewProvider {
        name: fields.needed_name("name"),
        provider_type: own(fields.name("provider_type")),
        api_endpoint: own(fields.text("api_endpoint", 2048)),
        credentials: own(fields.text("credentials", MAX_KEY)),
        rate_limits: rate_limits(&mut fields),
        max_concurrent: fields.number("max_concurrent"),
        allow_plain_http: fields.flag("allow_plain_http").unwrap_or_default(),
        allow_private_addresses: fields.flag("allow_private_addresses").unwrap_or_default(),
    };
    fields.finish()?;
    Ok(new)
}

fn rate_limits(fields: &mut Fields<'_>) -> Option<RateLimits> {
    let Value::Object(given) = fields.object("rate_limits")? else {
        return None;
    };
    let unknown = |name: &&String| *name != "requests_per_minute" && *name != "tokens_per_minute";
    if let Some(name) = given.keys().find(unknown) {
        let shown: String = name.chars().take(64).collect();
        fields.add("rate_limits", format!("there is no limit '{shown}'"));
    }
    let read = serde_json::from_value::<RateLimits>(Value::Object(given));
    if read.is_err() {
        fields.add(
            "rate_limits",
            "must hold whole numbers: requests_per_minute, tokens_per_minute",
        );
    }
    read.ok()
}

/// One provider.
#[utoipa::path(get, path = "/providers/{id}", tag = "providers",
    params(("id" = String, Path, description = "UUID of the provider.")),
    responses((status = 200, body = api::Provider)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<ProviderId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    records::shown(&app, id, (&query, &headers), views::provider).await
}

/// Lets runs use a provider or not, and sets its limits.
#[utoipa::path(patch, path = "/providers/{id}", tag = "providers", request_body = ProviderChanges,
    params(("id" = String, Path, description = "UUID of the provider.")),
    responses((status = 200, body = api::Provider)))]
async fn change(
    State(app): State<App>,
    Id(id): Id<ProviderId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut row: ProviderConfig = records::to_change(&app, id, &headers).await?;
    let mut fields = input.fields(&["enabled", "rate_limits"]);
    if let Some(enabled) = fields.flag("enabled") {
        row.enabled = enabled;
    }
    if let Some(limits) = rate_limits(&mut fields) {
        row.rate_limits.requests_per_minute = limits.requests_per_minute;
        row.rate_limits.tokens_per_minute = limits.tokens_per_minute;
    }
    fields.finish()?;
    let changed = records::changed(&app, &asked, row.clone(), views::provider).await?;
    row.version += 1;
    app.parts.desk.use_row(&row);
    Ok(changed)
}

/// Puts a provider in the place of another of the same name; runs ask it from now on. Its key stays where
/// none is sent and the base URL is the same.
#[utoipa::path(put, path = "/providers/{id}", tag = "providers", request_body = NewProvider,
    params(("id" = String, Path, description = "UUID of the provider.")),
    responses((status = 200, body = api::Provider)))]
async fn replace(
    State(app): State<App>,
    Id(id): Id<ProviderId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    query.none()?;
    let before: ProviderConfig = records::to_change(&app, id, &headers).await?;
    let new = read(&input)?;
    if new.name != before.name {
        let message = format!(
            "must stay '{}': agents name the provider by it",
            before.name
        );
        return Err(Refusal::fault("/name", message));
    }
    let mut row = app.parts.desk.replacement(&before, &new)?;
    let changed = records::changed(&app, &asked, row.clone(), views::provider).await?;
    row.version += 1;
    app.parts.desk.use_row(&row);
    Ok(changed)
}

/// Takes a provider away that no living agent asks.
#[utoipa::path(delete, path = "/providers/{id}", tag = "providers", params(
    ("id" = String, Path, description = "UUID of the provider."),
    ("force" = Option<bool>, Query,
        description = "Also when agents of runs ask it that are not at work; these runs then can't go on."),
    Trying,
), responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<ProviderId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let mut query = query.of(&["force", DRY_RUN]);
    let force = query.one("force", flag).unwrap_or_default();
    let dry_run = query.dry_run();
    query.finish()?;
    let row: ProviderConfig = records::to_change(&app, id, &headers).await?;
    refuse_if_needed(&app, &row, force).await?;
    let gone = records::removed(&app, (&asked, dry_run), &row).await?;
    if !dry_run {
        app.parts.desk.forget(&row.name);
    }
    Ok(gone)
}

/// Refuses while a living agent asks the provider; with `force` only while one is at work, or lives outside
/// of runs.
async fn refuse_if_needed(app: &App, row: &ProviderConfig, force: bool) -> Result<()> {
    let living = AgentFilter {
        states: AgentState::ALL
            .iter()
            .copied()
            .filter(|state| *state != AgentState::Terminated)
            .collect(),
        ..AgentFilter::default()
    };
    let needs = |agent: &&Agent| {
        let can_not_do_without = agent.state == AgentState::Working || agent.run_id.is_none();
        agent.provider == row.name && (can_not_do_without || !force)
    };
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: MAX_LIMIT,
        };
        let agents = app.reader().list(&living, page).await?;
        if let Some(agent) = agents.iter().find(needs) {
            return Err(in_use(&row.name, agent));
        }
        match agents.last() {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

fn in_use(name: &str, agent: &Agent) -> Refusal {
    let agent_name = &agent.name;
    let used = format!("the provider '{name}' is in use: the agent '{agent_name}'");
    if agent.state == AgentState::Working {
        let refusal = Refusal::conflict(format!("{used} is at work with it"));
        return refusal.with_hint("wait until its task is done, or end it");
    }
    if agent.ending().is_some() {
        let refusal = Refusal::conflict(format!("{used} is being ended"));
        let hint = format!(
            "wait until it has ended; see what is in the way with: agent terminate {agent_name}"
        );
        return refusal.with_hint(hint);
    }
    let hint = match agent.run_id {
        None => "give the agent another provider with: agent update".to_owned(),
        Some(run) => format!(
            "end run {run}, or give it up with: provider remove {name} --force (force=true over the API)"
        ),
    };
    Refusal::conflict(format!("{used} asks it")).with_hint(hint)
}

/// Makes a real call and tells what came of it.
#[utoipa::path(post, path = "/providers/{id}/test", tag = "providers",
    params(("id" = String, Path, description = "UUID of the provider.")),
    responses((status = 200, body = ProviderTest)))]
async fn test(State(app): State<App>, Id(id): Id<ProviderId>, query: Query) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    json(StatusCode::OK, &app.parts.desk.test(&row).await?)
}

#[cfg(test)]
mod tests {
    use fusion_core::Agent;
    use serde_json::{Value, from_value, json};

    use super::in_use;

    const ID: &str = "019ab3c4-0000-7000-8000-000000000000";

    fn agent(metadata: &Value) -> Agent {
        let now = json!("2026-11-27T10:00:00Z");
        from_value(json!({
            "id": ID, "name": "writer", "state": "paused", "created_at": now, "updated_at": now,
            "last_heartbeat": null, "workspace_path": "/w", "provider": "mine",
            "provider_id": null, "model_name": "m", "capabilities": [], "metadata": metadata,
            "message_subscriptions": [], "project_id": null, "run_id": null, "version": 1,
        }))
        .unwrap()
    }

    /// Another provider is of no use to who is about to end, and can't be given to it.
    #[test]
    fn what_is_in_the_way_is_told_with_a_way_out_that_there_is() {
        let told = |metadata| format!("{:?}", in_use("mine", &agent(&metadata)));
        let lives = told(json!({}));
        assert!(lives.contains("agent update"), "{lives}");
        let ends = told(json!({ "ending": "archive" }));
        assert!(
            ends.contains("the agent 'writer' is being ended")
                && ends.contains("agent terminate writer")
                && !ends.contains("agent update"),
            "{ends}"
        );
    }
}
