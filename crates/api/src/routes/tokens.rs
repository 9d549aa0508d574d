//! Tokens of the API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::{NewToken, TokenMade, TokenPage};
use fusion_coordination::{Ask, Coordinator};
use fusion_core::{ApiToken, ApiTokenId, TokenScope};
use fusion_persistence::{Repository, TokenFilter};
use secrecy::ExposeSecret;

use super::path::Id;
use crate::auth::{hash_of, new_secret};
use crate::dry_run::tried;
use crate::idempotency::Asked;
use crate::input::{Input, time};
use crate::page;
use crate::parameters::{Paging, Trying};
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// The tokens, the newest first.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(
    Paging,
), responses((status = 200, body = TokenPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["limit", "cursor"]);
    let page = query.page();
    query.finish()?;
    page::answer(&app, &TokenFilter::default(), page).await
}

/// Makes a token. It is in the answer and never shown again, so an `Idempotency-Key` is refused here:
/// the answer could not be given a second time.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = TokenMade)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    asked.refuse_key()?;
    let mut fields = input.fields(&["name", "scope", "expires_at"]);
    let moment = app.moment();
    let name = fields.needed_name("name");
    let scope = fields.needed("scope", |text| {
        word(
            text,
            TokenScope::from_text,
            TokenScope::ALL,
            TokenScope::as_str,
        )
    });
    let expires_at = fields.read("expires_at", time);
    if expires_at.is_some_and(|end| end <= moment.now) {
        fields.add("expires_at", "has passed");
    }
    fields.finish()?;
    let secret = new_secret().map_err(|error| Refusal::internal(&error.to_string()))?;
    let row = ApiToken {
        id: ApiTokenId::from_uuid(moment.ids.uuid()),
        name,
        hash: hash_of(secret.expose_secret()),
        scope: scope.unwrap_or(TokenScope::Read),
        created_at: moment.now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
        issuer: None,
        version: 1,
    };
    let made = TokenMade {
        token: views::token(&row),
        secret: secret.expose_secret().to_owned(),
    };
    app.coordinator().create_record(row, asked.plain()).await?;
    json(StatusCode::CREATED, &made)
}

/// Takes a token away for good; its row stays, so that events which name it can be read.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "UUID of the token."), Trying),
    responses((status = 204, description = "It is refused from now on.")))]
async fn revoke(
    State(app): State<App>,
    Id(id): Id<ApiTokenId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let row = app.reader().get(id).await?;
    if dry_run {
        let trying = |dry: Coordinator| async move { dry.revoke_token(row, Ask::default()).await };
        return tried(&app, trying).await;
    }
    take_away(&app, row, &asked).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Has a token refused from now on, and those that it let in.
pub(super) async fn take_away(app: &App, row: ApiToken, asked: &Asked) -> Result<()> {
    app.coordinator().revoke_token(row, asked.plain()).await?;
    app.door.forget();
    Ok(())
}
