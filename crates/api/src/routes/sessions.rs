//! Signing a browser in, and out.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::{NewSession, SignInCode, Token, TokenMade};
use fusion_core::ApiToken;
use fusion_persistence::Repository;
use secrecy::ExposeSecret;

use crate::auth::{ANOTHER_CODE, Entrant};
use crate::idempotency::{Asked, refuse_key};
use crate::input::Input;
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::sign_in::{SignInError, session};
use crate::state::App;
use crate::views;

/// The longest code that is looked at.
const MAX_CODE: usize = 255;

/// What wants a token.
pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(code))
        .routes(routes!(current, sign_out))
}

/// What wants a code.
pub(super) fn open<R: Routes>() -> R {
    R::none().routes(routes!(create))
}

/// Makes a code that signs a browser in once: put it behind `/sign-in#code=`, where no server and no log
/// sees it.
#[utoipa::path(post, path = "/sessions/codes", tag = "sessions",
    responses((status = 201, body = SignInCode)))]
async fn code(State(app): State<App>, asked: Asked, query: Query) -> Result<Response> {
    query.none()?;
    asked.refuse_key()?;
    let token = own(&app, &asked.entrant).await?;
    let (codes, moment) = (&app.parts.sign_ins, app.moment());
    let made = codes.code(&token, app.coordinator(), moment).await?;
    json(StatusCode::CREATED, &made)
}

/// Exchanges a code for a token with the scope of the one that made it. It ends after 12 hours, or with
/// that one.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", request_body = NewSession,
    responses((status = 201, body = TokenMade)))]
async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    refuse_key(&headers)?;
    let mut fields = input.fields(&["code"]);
    let code = fields.needed("code", |text| match text.len() {
        1..=MAX_CODE => Ok(text.to_owned()),
        _ => Err(format!("must have 1 to {MAX_CODE} characters")),
    });
    fields.finish()?;
    let moment = app.moment();
    let taken = app
        .parts
        .sign_ins
        .take(&code.unwrap_or_default(), moment.now);
    let taken = taken.ok_or_else(|| app.door.refuse_code())?;
    let issuer: Option<ApiToken> = app.reader().find(taken.issuer).await?;
    let issuer = issuer.filter(|issuer| issuer.holds(moment.now));
    let issuer = issuer.ok_or_else(|| app.door.refuse_code())?;
    let (row, secret) = session(taken, &issuer, app.coordinator(), moment).await?;
    let made = TokenMade {
        token: views::token(&row),
        secret: secret.expose_secret().to_owned(),
    };
    json(StatusCode::CREATED, &made)
}

/// The token that asks: what it may, and until when.
#[utoipa::path(get, path = "/sessions/current", tag = "sessions",
    responses((status = 200, body = Token)))]
async fn current(
    State(app): State<App>,
    Extension(entrant): Extension<Entrant>,
    query: Query,
) -> Result<Response> {
    query.none()?;
    json(StatusCode::OK, &views::token(&own(&app, &entrant).await?))
}

/// Signs out: takes the token that asks away, where it was made by signing in.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions",
    responses((status = 204, description = "It is refused from now on.")))]
async fn sign_out(State(app): State<App>, asked: Asked, query: Query) -> Result<Response> {
    query.none()?;
    let row = own(&app, &asked.entrant).await?;
    if row.issuer.is_none() {
        let text = "this token was not made by signing in, so it can't sign out";
        return Err(Refusal::conflict(text).with_hint("take it away with: fusion-kit token revoke"));
    }
    super::tokens::take_away(&app, row, &asked).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn own(app: &App, entrant: &Entrant) -> Result<ApiToken> {
    Ok(app.reader().get(entrant.actor.token).await?)
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Random(error) => Self::internal(&error.to_string()),
            SignInError::Full => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "limited",
                "too many codes were made that nobody has used as yet",
            )
            .retry_after(Duration::from_secs(60)),
            SignInError::OfSession => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "who signed in with a code can't make another",
            )
            .with_hint(ANOTHER_CODE),
            SignInError::Engine(error) => error.into(),
        }
    }
}
