//! Whether the server can do its work. No token is needed, and no secret is told.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{Check, Health, Readiness};

use crate::precondition::json;
use crate::problem::Result;
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;

/// Without a token, at their own places.
pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(health))
        .routes(routes!(livez))
        .routes(routes!(readyz))
}

async fn database_answers(app: &App) -> bool {
    app.reader().outbox_after(u64::MAX >> 1, 1).await.is_ok()
}

/// The state of the server and of its parts.
#[utoipa::path(get, path = "/api/v1/health", tag = "health", responses(
    (status = 200, description = "It can work.", body = Health),
    (status = 503, description = "A needed part is down.", body = Health),
))]
async fn health(State(app): State<App>, query: Query) -> Result<Response> {
    query.none()?;
    let is_up = database_answers(&app).await;
    let bus = app.parts.desk.bus_fault().await;
    let told = Health {
        status: if is_up { "healthy" } else { "unhealthy" }.to_owned(),
        database: if is_up { "connected" } else { "unavailable" }.to_owned(),
        bus: bus.unwrap_or_else(|| "connected".to_owned()),
        version: app.options.version.clone(),
        knows: [Health::DRY_RUN, Health::RETRY_DESCRIPTION]
            .map(str::to_owned)
            .into(),
    };
    let status = if is_up {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &told)
}

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses(
    (status = 200, description = "It answers.", body = Readiness),
))]
async fn livez(query: Query) -> Result<Response> {
    query.none()?;
    let told = Readiness {
        ready: true,
        checks: Vec::new(),
    };
    json(StatusCode::OK, &told)
}

/// Requests can be served.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "They can.", body = Readiness),
    (status = 503, description = "They can't: a part is down, or the server stops.", body = Readiness),
))]
async fn readyz(State(app): State<App>, query: Query) -> Result<Response> {
    query.none()?;
    let check = |name: &str, ok| Check {
        name: name.to_owned(),
        ok,
    };
    let checks = vec![
        check("database", database_answers(&app).await),
        check("running", !app.stopping.is_cancelled()),
    ];
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &Readiness { ready, checks })
}
